"""One line on stderr that says how far the benchmark is."""

import sys


class Progress:
    """On a terminal the line is overwritten, elsewhere each step is a line of its own."""

    def __init__(self) -> None:
        self._total = 0
        self._step = 0

    def expect(self, total: int) -> None:
        self._total = total

    def step(self, text: str) -> None:
        self._step += 1
        self.say(f"[{self._step}/{self._total}] {text}")

    def say(self, text: str) -> None:
        overwrite = sys.stderr.isatty()
        print(
            f"\r\033[K{text}" if overwrite else text,
            end="" if overwrite else "\n",
            file=sys.stderr,
            flush=True,
        )

    def done(self) -> None:
        if sys.stderr.isatty():
            print("\r\033[K", end="", file=sys.stderr, flush=True)
