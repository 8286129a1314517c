"""Replaces the process that serves by a newer one when the code changes: `gws run --reload`.

The supervisor holds the listening socket, and every child accepts from it, so nobody is refused. A new child says
that it serves before the old one is told to go; one that cannot start leaves the old one alone. gevent does not survive
a reload inside of a process, nor would threads: a process is the unit that is replaced.
"""

from __future__ import annotations

import contextlib
import os
import queue
import selectors
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from typing import Any, Final

import click

from ..printable import printable
from ..servers.handover import VARIABLE
from .watching import Watcher

LAST: Final = 10.0
"""Seconds for a child to end that was told to; it takes 5 when a handler does not end."""


class Child:
    """A process that serves, or is about to.

    Args:
        command: the program.
        listener: the file descriptor that it inherits.
    """

    def __init__(self, command: list[str], listener: int) -> None:
        self.began = time.monotonic()
        self.deadline = float("inf")
        """When it is killed."""
        self.line, theirs = socket.socketpair()
        with theirs:
            self.process = subprocess.Popen(
                command,
                pass_fds=(listener, theirs.fileno()),
                env=os.environ | {VARIABLE: str(theirs.fileno())},
            )

    def hang_up(self) -> None:
        """Tell it that a newer one serves, and to end."""
        self.line.shutdown(socket.SHUT_WR)
        self.end()

    def end(self) -> None:
        """Tell it to end."""
        self.deadline = time.monotonic() + LAST
        self.process.terminate()

    def close(self) -> None:
        """Let go of it when it has ended."""
        self.line.close()


class Supervisor:
    """Runs children until SIGTERM or Ctrl-C.

    Args:
        command: makes the program of a child; told whether it is the first one, which prints the URLs.
        listener: the file descriptor that listens.
        app: the name of the application, whose folder is watched beside this one.
    """

    def __init__(self, command: Callable[[bool], list[str]], listener: int, app: str | None) -> None:
        self._command = command
        self._listener = listener
        self._watcher = Watcher(folders_of(app), self._note_change)
        self._selector = selectors.DefaultSelector()
        self._wake, self._waker = socket.socketpair()
        self._waker.setblocking(False)
        self._wake.setblocking(False)
        self._changed: queue.SimpleQueue[list[str]] = queue.SimpleQueue()
        self._is_told = False
        self._serving: Child | None = None
        self._starting: Child | None = None
        self._ending: list[Child] = []
        self._has_served = False

    def run(self) -> int:
        """Serve, and return the exit code."""
        self._selector.register(self._wake, selectors.EVENT_READ)
        # SIGCHLD has to have a handler to be noticed.
        handlers = {signal.SIGTERM: self._stop, signal.SIGINT: self._stop, signal.SIGCHLD: lambda *_: None}
        for number, handler in handlers.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(self._waker.fileno(), warn_on_full_buffer=False)
        self._watcher.start()
        self._say(f"reloading when a Python file changes ({self._watcher.means})")
        self._start()
        while not self._is_told:
            self._turn()
        for child in self._children():
            child.end()
        while any(self._children()):
            self._turn()
        self._watcher.stop()
        return 0

    def _children(self) -> Iterator[Child]:
        yield from (child for child in (self._starting, self._serving, *self._ending) if child is not None)

    def _turn(self) -> None:
        """Wait until something happens, and see to it."""
        ready = {key.fileobj for key, _ in self._selector.select(self._time_left())}
        if self._wake in ready:
            self._wake.recv(4096)
        child = self._starting
        if child is not None and child.line in ready and _has_spoken(child):
            self._take_over(child)
        for child in list(self._children()):
            if child.process.poll() is not None:
                self._bury(child)
            elif time.monotonic() > child.deadline:
                child.process.kill()
        if not self._changed.empty() and not self._is_told:
            self._reload()

    def _time_left(self) -> float | None:
        deadline = min((child.deadline for child in self._children()), default=float("inf"))
        return None if deadline == float("inf") else max(0.0, deadline - time.monotonic()) + 0.01

    def _start(self) -> None:
        self._starting = Child(self._command(not self._has_served), self._listener)
        self._selector.register(self._starting.line, selectors.EVENT_READ)

    def _reload(self) -> None:
        paths: dict[str, None] = {}
        while not self._changed.empty():
            paths |= dict.fromkeys(self._changed.get())
        names = [printable(os.path.relpath(path)) for path in paths]
        more = f" and {len(names) - 3} more" if len(names) > 3 else ""
        self._say(f"{', '.join(names[:3])}{more} changed")
        if self._starting is not None:
            # It may have read half of the change.
            self._selector.unregister(self._starting.line)
            self._starting.end()
            self._ending.append(self._starting)
        self._start()

    def _take_over(self, child: Child) -> None:
        self._selector.unregister(child.line)
        self._starting = None
        if self._serving is not None:
            self._serving.hang_up()
            self._ending.append(self._serving)
        if self._has_served:
            self._say(f"reloaded in {time.monotonic() - child.began:.2f} s")
        self._serving = child
        self._has_served = True

    def _bury(self, child: Child) -> None:
        if child in self._ending or self._is_told:
            pass
        elif child is self._serving:
            self._say(f"the process has ended ({_how(child)}); a change starts it again")
        elif self._serving is not None:
            self._say(f"the new code does not start ({_how(child)}); what ran before goes on")
        else:
            self._say(f"it does not start ({_how(child)}); a change starts it again")
        if child.line in self._selector.get_map():
            self._selector.unregister(child.line)
        if child is self._starting:
            self._starting = None
        elif child is self._serving:
            self._serving = None
        else:
            self._ending.remove(child)
        child.close()

    def _note_change(self, paths: list[str]) -> None:
        """Hand a change over, from the watcher's thread."""
        self._changed.put(paths)
        with contextlib.suppress(BlockingIOError):
            self._waker.send(b".")

    def _stop(self, *_: Any) -> None:
        self._is_told = True

    def _say(self, text: str) -> None:
        click.echo(f"gws: {text}", err=True)


def folders_of(app: str | None) -> list[str]:
    """Return what is watched: the current folder, and that of the application if it is none below."""
    here = os.getcwd()
    there = os.path.dirname(os.path.realpath((app or "").partition(":")[0]))
    return [here] if not os.path.isdir(there) or os.path.commonpath([here, there]) == here else [here, there]


def _has_spoken(child: Child) -> bool:
    """Return whether it serves; else its end of the line is closed, and it is about to end."""
    try:
        return bool(child.line.recv(1, socket.MSG_DONTWAIT))
    except OSError:
        return False


def _how(child: Child) -> str:
    code = child.process.returncode
    return f"exit code {code}" if code >= 0 else f"{signal.Signals(-code).name}"
