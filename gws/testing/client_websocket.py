"""A WebSocket in a test: what it sends, what it hears, and what the server knows of it."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import TracebackType
from typing import Any

from flask import Flask

from ..errors import ClosedError
from ..protocol.encoding import Sendable
from ..protocol.frames import check_close
from .server_side import Progress, ServerSide
from .wire import Closed, Wire

LOOK_INTERVAL = 0.002
"""Seconds between two looks at a handler that runs."""


class ClientWebSocket:
    """One connection, made by `Client.connect`; use it with `with`, whose end closes it with 1000.

    Every wait has a deadline: the client's `timeout`, or the method's own, in seconds. What a handler raises is raised
    in the test, once: where the messages end that came before it, or at the end of the `with`.

    Attributes:
        path: as it was connected to.
        subprotocol: what client and endpoint have agreed to speak, or None.
    """

    def __init__(
        self,
        app: Flask,
        path: str,
        wire: Wire,
        side: ServerSide,
        subprotocol: str | None,
        timeout: float,
        on_closed: Callable[[ClientWebSocket], object],
    ) -> None:
        self.path = path
        self.subprotocol = subprotocol
        self._app = app
        self._wire = wire
        self._side = side
        self._timeout = timeout
        self._on_closed = on_closed

    def __repr__(self) -> str:
        closed = self._wire.closed
        return f"<ClientWebSocket {self.path} {'open' if closed is None else f'closed {closed.code}'}>"

    def __enter__(self) -> ClientWebSocket:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is None:
            self.close()
        elif isinstance(error, KeyboardInterrupt | SystemExit | TimeoutError):
            # Whoever has waited in vain does not wait again.
            self.abort()
        else:
            self._close_after(error)

    # Messages

    def send(self, message: Sendable, timeout: float | None = None) -> None:
        """Send text, binary, or a dict or list that becomes JSON text by the application's JSON provider.

        Raises:
            TypeError: the message is none of these.
            ClosedError, Exception: the WebSocket is closed, or what closed it: a handler's exception.
            TimeoutError: the server does not read; the connection is lost.
        """
        if isinstance(message, dict | list):
            message = self._app.json.dumps(message)
        elif not isinstance(message, str | bytes):
            raise TypeError(f"a message is str, bytes, dict or list, not {type(message).__name__}")
        seconds = self._seconds(timeout)
        self._wire.read(0)
        if self._wire.closed is not None:
            self._raise_closed()
        try:
            self._wire.send(message, _from_now(seconds))
        except TimeoutError:
            raise TimeoutError(
                f"the server has not read a message to {self.path} within {seconds:g} s{self._side.describe()}"
            ) from None

    def receive(self, timeout: float | None = None) -> str | bytes:
        """Return the next message: `str` for text, `bytes` for binary.

        Raises:
            TimeoutError: none has come; it says which handler is where.
            ClosedError: the WebSocket is closed, and the last message received.
            Exception: what a handler raised, behind the last message.
        """
        seconds = self._seconds(timeout)
        deadline = _from_now(seconds)
        while not self._wire.messages:
            if self._wire.closed is not None:
                self._raise_closed()
            if not self._wire.read(deadline):
                raise TimeoutError(
                    f"no message from {self.path} within {seconds:g} s, and it is open{self._side.describe()}"
                )
        return self._wire.messages.popleft()

    def receive_json(self, timeout: float | None = None) -> Any:
        """Return the value of the next message, by the application's JSON provider; as `receive` otherwise.

        Raises:
            ValueError: the message is no JSON.
        """
        return self._app.json.loads(self.receive(timeout))

    def assert_nothing(self, seconds: float = 0.05) -> None:
        """Check that no message has come, nor comes for so long after the server has read all that was sent to it.

        Raises:
            AssertionError: one has; it can still be received.
            ClosedError, Exception: as of `receive`.
            TimeoutError: the server does not read.
        """
        self._ping(self._seconds(None))
        deadline = _from_now(seconds)
        while not self._wire.messages:
            if self._wire.closed is not None:
                self._raise_closed()
            if not self._wire.read(deadline):
                return
        raise AssertionError(f"{self.path} has sent {self._wire.messages[0]!r}, and nothing was expected")

    # The end

    @property
    def closed(self) -> Closed | None:
        """How the WebSocket was closed, as `closed.code` and `closed.reason`; None while it is open.

        Waits until all that was sent is handled: a handler that closes has done so by then.

        Raises:
            TimeoutError: the server does not read.
        """
        self._settle()
        return self._wire.closed

    def wait_closed(self, timeout: float | None = None) -> Closed:
        """Wait until the server closes the WebSocket, and return how; what came before can still be received.

        Raises:
            TimeoutError: it is open.
        """
        seconds = self._seconds(timeout)
        if not self._wire.wait_closed(_from_now(seconds)):
            raise TimeoutError(f"{self.path} is open after {seconds:g} s{self._side.describe()}")
        assert self._wire.closed is not None
        return self._wire.closed

    def close(self, code: int = 1000, reason: str = "", timeout: float | None = None) -> None:
        """Close the WebSocket, and wait until its close handler has run. Idempotent.

        Args:
            code: 1000 to 1003, 1007 to 1014 or 3000 to 4999 (RFC 6455 §7.4).
            reason: at most 123 bytes of UTF-8.
            timeout: seconds.

        Raises:
            TypeError, ValueError: a code or reason that may not be sent.
            TimeoutError: a handler runs on; it says where.
            Exception: what a handler raised, and the test has not had yet.
        """
        check_close(code, reason)
        seconds = self._seconds(timeout)
        try:
            is_closed = self._wire.close(code, reason, _from_now(seconds))
        except TimeoutError:
            is_closed = False
        where = "" if is_closed else self._side.describe()
        self.abort()
        if not is_closed:
            raise TimeoutError(f"{self.path} has not ended its handlers {seconds:g} s after a close{where}")
        if self._side.errors:
            raise self._side.errors.popleft()

    def abort(self) -> None:
        """Lose the connection, without a Close; the close handler runs, with 1006, and nobody waits for it."""
        self._wire.abort()
        self._on_closed(self)

    # The server's side

    @property
    def id(self) -> str:
        """The connection's id, which is `ws.id` in its handlers.

        Raises:
            TimeoutError: the connect handler has accepted, and runs on.
        """
        return self._side.connector(self._timeout).id

    @property
    def rooms(self) -> frozenset[str]:
        """The rooms that the connection is in, once all that was sent is handled.

        Raises:
            TimeoutError: a handler runs on; it says where.
        """
        if not self._settle():
            raise TimeoutError(
                f"the handlers of {self.path} have not ended within {self._timeout:g} s{self._side.describe()}"
            )
        return self._side.connector(self._timeout).rooms

    def _settle(self) -> bool:
        """Return whether the server has handled all that was sent, after waiting for it."""
        deadline = _from_now(self._timeout)
        self._ping(self._timeout)
        while self._wire.closed is None:
            if time.monotonic() > deadline:
                return False
            try:
                progress = self._side.progress(deadline - time.monotonic())
            except TimeoutError:
                return False
            if progress is Progress.ENDING:
                return self._wire.wait_closed(deadline)
            if progress is Progress.DONE:
                break
            self._wire.read(min(_from_now(LOOK_INTERVAL), deadline))
        return True

    def _ping(self, seconds: float) -> None:
        if not self._wire.ping(_from_now(seconds)):
            raise TimeoutError(
                f"{self.path} does not read: no pong within {seconds:g} s{self._side.describe()}"
            )

    def _close_after(self, error: BaseException) -> None:
        """Close behind a test that has failed; what a handler raised stands above the test's own exception."""
        try:
            self.close()
        except Exception as reason:  # noqa: BLE001 - the test's own exception goes on
            if error.__context__ is None and reason is not error:
                error.__context__ = reason

    def _raise_closed(self) -> None:
        closed = self._wire.closed
        assert closed is not None
        if self._side.errors:
            raise self._side.errors.popleft()
        raise ClosedError(closed.code, closed.reason)

    def _seconds(self, timeout: float | None) -> float:
        return self._timeout if timeout is None else timeout


def _from_now(seconds: float) -> float:
    return time.monotonic() + seconds
