"""What `gws connect` does from the first connection to the last: shows, sends, connects again, says how it ended."""

from __future__ import annotations

import contextlib
import itertools
import os
import queue
import random
import sys
import threading
import time
from collections.abc import Mapping
from typing import Final, NamedTuple

import click
from websockets.exceptions import ConnectionClosed, WebSocketException
from websockets.sync.client import ClientConnection
from websockets.sync.client import connect as open_connection

from ..printable import printable
from .commands import Commands
from .display import show
from .keyboard import Keyboard, read_pipe
from .target import MAX_SIZE, Target, describe_refusal, options_of, status_of

UNREACHABLE: Final = 1
REFUSED: Final = 3
CLOSED: Final = 4
LOST: Final = 5
"""The exit codes of what goes wrong."""

CLOSE_TIMEOUT: Final = 2.0
"""Seconds to wait for the server's Close."""
FIRST_PAUSE: Final = 0.1
LONGEST_PAUSE: Final = 5.0
"""Seconds between attempts to connect again; each is twice the one before, less up to half of it by chance."""
_FINAL: Final = (1000, 1002, 1003, 1007, 1008, 1009, 1010)
"""Close codes after which to connect again would end in the same way."""
_EVENTS: Final = 64
"""Messages and lines that wait to be looked at; a server that sends faster is held back by TCP."""


class _Line(NamedTuple):
    # None at the end.
    text: str | None


class _Note(NamedTuple):
    text: str


class _Message(NamedTuple):
    data: str | bytes


class _End(NamedTuple):
    connection: ClientConnection


class Session:
    """One run of the command.

    Args:
        target: where to.
        templates: those of `Commands`.
        texts: what to send instead of what is typed.
        wait: seconds to listen for when all has been sent.
        reconnect: whether to connect again.
    """

    def __init__(
        self, target: Target, templates: Mapping[str, str], texts: list[str], wait: float, reconnect: bool
    ) -> None:
        self._target = target
        self._texts = texts
        self._wait = wait
        self._reconnect = reconnect
        self._events: queue.Queue[_Line | _Note | _Message | _End] = queue.Queue(_EVENTS)
        self._is_interactive = not texts and sys.stdin.isatty() and sys.stdout.isatty()
        self._is_coloured = sys.stdout.isatty() and "NO_COLOR" not in os.environ
        self._keyboard = Keyboard(self._take_line)
        self._commands = Commands(templates, self._say, lambda text: self._put(_Note(text)))
        self._connection: ClientConnection | None = None
        self._connections = contextlib.ExitStack()
        """That one, or nothing: what `websockets` opens it wants closed by a `with`."""
        self._is_open = threading.Event()
        self._is_closing = False
        self._end = float("inf")
        """When there has been enough listening."""

    def run(self) -> int:
        """Talk, and return the exit code."""
        code = self._open()
        if code is not None:
            return code
        if self._is_interactive:
            with self._keyboard.reading():
                return self._talk()
        if self._texts:
            threading.Thread(target=lambda: [*map(self._pass_on, [*self._texts, None])], daemon=True).start()
        else:
            read_pipe(self._pass_on)
        return self._talk()

    def close(self) -> None:
        """Close the connection, if there is one."""
        self._is_closing = True
        with contextlib.suppress(ConnectionClosed, KeyboardInterrupt):
            self._connections.close()

    def _put(self, event: _Line | _Note | _Message | _End) -> None:
        """Have the main thread see to something; at the end nobody does, and nothing has to wait for it."""
        while not self._is_closing:
            with contextlib.suppress(queue.Full):
                self._events.put(event, timeout=0.2)
                return

    def _take_line(self, text: str | None) -> None:
        self._put(_Line(text))

    def _pass_on(self, text: str | None) -> None:
        """Send what needs no commands; not in the main thread, which has to read meanwhile what a server answers."""
        if text is None:
            self._put(_Line(None))
            return None
        while True:
            self._is_open.wait()
            assert self._connection is not None
            try:
                return self._connection.send(text)
            except ConnectionClosed:
                # Sent again when there is a next connection, if there is one.
                self._is_open.clear()

    def _talk(self) -> int:
        while True:
            left = self._end - time.monotonic()
            try:
                event = self._events.get(timeout=None if left == float("inf") else max(left, 0))
            except queue.Empty:
                self.close()
                return 0
            if isinstance(event, _Message):
                self._show_message(event.data)
            elif isinstance(event, _Note):
                self._say(event.text)
            elif isinstance(event, _Line):
                if event.text is not None:
                    self._do_line(event.text)
                elif self._is_interactive:
                    self.close()
                    return 0
                else:
                    self._end = time.monotonic() + self._wait
            elif event.connection is self._connection:
                code = self._do_end(event.connection)
                if code is not None:
                    return code
            if time.monotonic() >= self._end:
                self.close()
                return 0

    def _do_line(self, text: str) -> None:
        assert self._connection is not None
        # What could not be sent is told by the connection's end, which follows.
        with contextlib.suppress(ConnectionClosed):
            if text.startswith("/"):
                self._commands.run(text, self._connection)
            elif text:
                self._connection.send(text)

    def _do_end(self, connection: ClientConnection) -> int | None:
        """Say how a connection has ended; return the exit code, or None if there is another one."""
        sent, received = connection.protocol.close_sent, connection.protocol.close_rcvd
        if received is None:
            self._say("the connection was lost, without a Close")
            code = LOST
        else:
            reason = f": {printable(received.reason)}" if received.reason else ""
            self._say(f"closed with {received.code}{reason}")
            is_ours = sent is not None and not connection.protocol.close_rcvd_then_sent
            code = 0 if received.code == 1000 or is_ours else CLOSED
        if not self._reconnect or code == 0 or (received is not None and received.code in _FINAL):
            return code
        return self._open()

    def _open(self) -> int | None:
        """Connect, again and again if that was asked for; return the exit code if it is in vain."""
        began = time.monotonic()
        is_first = self._connection is None
        self._connections.close()
        for attempt in itertools.count():
            try:
                connection = self._connections.enter_context(self._make_connection())
            except (OSError, WebSocketException, ValueError) as error:
                status = status_of(error)
                self._say(f"no connection to {self._target.shown}: {describe_refusal(error)}")
                if not self._reconnect or (status is not None and status < 500):
                    return UNREACHABLE if status is None else REFUSED
                time.sleep(min(LONGEST_PAUSE, FIRST_PAUSE * 2**attempt) * random.uniform(0.5, 1))
            else:
                break
        self._connection = connection
        self._is_open.set()
        threading.Thread(target=self._receive, args=[connection], daemon=True).start()
        subprotocol = f", subprotocol {printable(connection.subprotocol)}" if connection.subprotocol else ""
        again = "" if is_first else f" again, after {(time.monotonic() - began) * 1000:.0f} ms"
        self._say(f"connected to {self._target.shown}{again}{subprotocol}")
        return None

    def _make_connection(self) -> ClientConnection:
        options = options_of(self._target)
        connection: ClientConnection = open_connection(
            self._target.url, max_size=MAX_SIZE, close_timeout=CLOSE_TIMEOUT, **options
        )
        return connection

    def _receive(self, connection: ClientConnection) -> None:
        with contextlib.suppress(ConnectionClosed):
            while True:
                self._put(_Message(connection.recv()))
        self._put(_End(connection))

    def _show_message(self, data: str | bytes) -> None:
        if sys.stdout.isatty():
            mark = click.style("<", fg="blue") if self._is_coloured else "<"
            self._keyboard.show(f"{mark} {show(data, self._is_coloured)}")
            return
        sys.stdout.buffer.write((data.encode() if isinstance(data, str) else data) + b"\n")
        sys.stdout.buffer.flush()

    def _say(self, text: str) -> None:
        """Show a line about the connection, beside the messages."""
        if self._is_interactive:
            self._keyboard.show(click.style(text, dim=True) if self._is_coloured else text)
        else:
            click.echo(text, err=True)
