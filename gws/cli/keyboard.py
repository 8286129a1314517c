"""What the user of `gws connect` types, and what is shown meanwhile: a line editor with a history, and a plain pipe."""

from __future__ import annotations

import contextlib
import os
import sys
import termios
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

try:
    import readline
except ImportError:
    # Python may be built without it: there is no history then.
    readline = None  # type: ignore[assignment]

PROMPT: Final = "> "
HISTORY_LENGTH: Final = 1000
"""Lines that are kept for the next time."""

TakeLine = Callable[[str | None], object]
"""Called with what was typed, and with None when nothing more will be."""


class Keyboard:
    """A terminal with a prompt; a thread waits for its lines.

    Args:
        take_line: called in the thread.
    """

    def __init__(self, take_line: TakeLine) -> None:
        self._take_line = take_line
        self._is_asking = False
        self._saved: list[object] = []

    @contextlib.contextmanager
    def reading(self) -> Iterator[None]:
        """Read lines meanwhile; afterwards the terminal is as it was, though the thread still waits for one."""
        self._saved = list(termios.tcgetattr(sys.stdin))
        path = _history_file()
        if readline is not None:
            with contextlib.suppress(OSError):
                readline.read_history_file(path)
        threading.Thread(target=self._ask, daemon=True).start()
        try:
            yield
        finally:
            if self._is_asking:
                # Behind the prompt.
                print(flush=True)
            termios.tcsetattr(sys.stdin, termios.TCSADRAIN, self._saved)  # type: ignore[arg-type]
            if readline is not None:
                _save_history(path)

    def show(self, line: str) -> None:
        """Print a line above the prompt, and the prompt with what has been typed again."""
        if not self._is_asking:
            print(line, flush=True)
            return
        typed = readline.get_line_buffer() if readline is not None else ""
        sys.stdout.write(f"\r\x1b[K{line}\n{PROMPT}{typed}")
        sys.stdout.flush()

    def _ask(self) -> None:
        while True:
            self._is_asking = True
            try:
                line = input(PROMPT)
            except (EOFError, OSError, ValueError):
                self._take_line(None)
                return
            finally:
                self._is_asking = False
            self._take_line(line)


def read_pipe(take_line: TakeLine) -> None:
    """Read the lines of a standard input that is no terminal, in a thread."""

    def read() -> None:
        pending = b""
        # Not with sys.stdin, whose lock a waiting thread would have when the program ends.
        while data := os.read(0, 65536):
            *lines, pending = (pending + data).split(b"\n")
            for line in lines:
                take_line(line.removesuffix(b"\r").decode(errors="replace"))
        if pending:
            take_line(pending.decode(errors="replace"))
        take_line(None)

    threading.Thread(target=read, daemon=True).start()


def _history_file() -> Path:
    return Path(os.environ.get("XDG_STATE_HOME") or "~/.local/state").expanduser() / "gws" / "connect_history"


def _save_history(path: Path) -> None:
    """Keep what was typed, for this user only: there may be a password in it."""
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        # GNU readline would see to it by itself, libedit would not.
        os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600))
        readline.set_history_length(HISTORY_LENGTH)
        readline.write_history_file(path)
