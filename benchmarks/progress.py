"""A bar on stderr that shows how far the benchmark is."""

import sys
import time

WIDTH = 30  # Characters.


class Progress:
    """On a terminal the line is overwritten, elsewhere each step is a line of its own."""

    def __init__(self) -> None:
        self._total = 1
        self._done = -1
        self._began = time.monotonic()

    def expect(self, total: int) -> None:
        """So many steps, from now on."""
        self._total, self._done, self._began = total, -1, time.monotonic()

    def step(self, text: str) -> None:
        """Return the next step begins."""
        self._done += 1
        filled = WIDTH * self._done // self._total
        minutes, seconds = divmod(int(time.monotonic() - self._began), 60)
        bar = "#" * filled + "." * (WIDTH - filled)
        self.say(f"[{bar}] {self._done:>3}/{self._total} {minutes}:{seconds:02} {text}")

    def say(self, text: str) -> None:
        overwrite = sys.stderr.isatty()
        line = f"\r\033[K{text}" if overwrite else f"{text}\n"
        print(line, end="", file=sys.stderr, flush=True)

    def done(self) -> None:
        if sys.stderr.isatty():
            print("\r\033[K", end="", file=sys.stderr, flush=True)
