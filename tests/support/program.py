"""Starts programs in processes of their own, and waits for what they do."""

from __future__ import annotations

import os
import re
import signal
import ssl
import subprocess
import sys
import textwrap
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

DEADLINE = 15.0
"""Seconds that any wait in a test may take; reaching it is a failure."""

T = TypeVar("T")


def wait_for(look: Callable[[], T | None], what: str) -> T:
    """Look until there is something, and return it."""
    end = time.monotonic() + DEADLINE
    while time.monotonic() < end:
        found = look()
        if found:
            return found
        time.sleep(0.01)
    raise AssertionError(f"waited {DEADLINE} s for {what}")


def python(script: str, *arguments: str) -> str:
    """Run a script in a new interpreter, and return what it printed."""
    command = [sys.executable, "-W", "error", "-c", textwrap.dedent(script), *arguments]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=DEADLINE)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


class Program:
    """A program that listens on one address of the loopback network.

    Args:
        command: the program and its arguments.
        folder: where its log goes.
        cwd: where it runs, if not there.
        environment: variables of its own.
    """

    def __init__(
        self,
        command: list[str],
        folder: Path,
        cwd: Path | None = None,
        environment: dict[str, str] | None = None,
    ) -> None:
        self.tls: ssl.SSLContext | None = None
        """What to speak TLS with, to a program that does."""
        self.folder = folder
        self._log = folder / "log"
        with self._log.open("w") as log:
            self.process = subprocess.Popen(
                command,
                stdout=log,
                stderr=log,
                cwd=cwd or folder,
                env=os.environ | (environment or {}),
                start_new_session=True,
            )
        self.address = wait_for(self._find_address, "the program to listen")
        self.port = int(self.address.rpartition(":")[2])

    def _find_address(self) -> str | None:
        if self.process.poll() is not None:
            raise AssertionError(f"the program ended with {self.process.returncode}: {self.log()}")
        found = re.search(r"(?:listens on|Listening at:) https?://([\d.]+:\d+)", self.log())
        return found and found[1]

    def log(self) -> str:
        """Return what it has written so far."""
        return self._log.read_text(errors="replace")

    def get(self, path: str) -> str:
        """Return the body of a page."""
        url = f"{'https' if self.tls else 'http'}://{self.address}{path}"
        with urllib.request.urlopen(url, timeout=DEADLINE, context=self.tls) as response:
            return str(response.read().decode())

    def tell(self, number: int = signal.SIGTERM) -> None:
        """Signal it as a person would: Ctrl-C goes to the whole group."""
        if number == signal.SIGINT:
            os.killpg(self.process.pid, number)
        else:
            self.process.send_signal(number)

    def wait(self) -> int:
        """Wait for it to end, and return its exit code."""
        return self.process.wait(DEADLINE)

    def clean_up(self) -> None:
        """Tell it to stop if it has not; nobody waits for that before the session's end, when `end_all` does."""
        if self.process.poll() is None:
            self.tell()
            _ending.append(self.process)


_ending: list[subprocess.Popen[bytes]] = []


def end_all() -> None:
    """Wait for every program that was told to stop; one that does not is killed, and is a failure."""
    stubborn = []
    for process in _ending:
        try:
            process.wait(DEADLINE)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            stubborn.append(process.args)
    assert not stubborn, f"SIGTERM did not end {stubborn}"
