"""`ws` of a receive loop, which receives and sends as that of Robyn 0.80 and later: for `def`, and for `async def`.

Longer than other modules: users read its docstrings, and the two kinds are in sight of each other.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from time import monotonic
from typing import Any, Final, TypeVar

import gevent
from flask import current_app

from .. import aio
from ..cluster.registry import deliver
from ..connection.backpressure import async_drain, drain
from ..connection.states import OURS
from ..errors import NotJSONError, WebSocketDisconnect, WrongMessageTypeError
from ..hub.io import TURN
from ..hub.threads import poll_once
from ..protocol.encoding import Sendable
from ..protocol.frames import ABNORMAL, encode_binary, encode_text
from ..protocol.messages import Message
from .connector import WebSocketConnector, is_behind
from .typed_messages import decode_as

logger = logging.getLogger("gws.conversation")

MAX_DISCONNECTS: Final = 10
"""How often a handler may be told of the end before it is ended: one that catches everything would keep others out."""

LOOK_EVERY: Final = 16
"""Messages that a handler sends between two looks at the clock."""
PAUSE: Final = 0.1
"""Seconds between two attempts to end a handler that catches even that."""

S = TypeVar("S", bound="_Socket")
T = TypeVar("T")


class _Socket(WebSocketConnector):
    """What both kinds have: the batch of messages that is being handled, and the frames of what is sent."""

    __slots__ = (
        "_batch",
        "_disconnects",
        "_handled",
        "_has_batch",
        "_next_look",
        "_other",
        "_sent",
        "_turn_ends",
        "is_looping",
    )

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._begin()

    def _begin(self) -> None:
        self.is_looping = False
        """Whether the handler runs, which an end is to reach; `on_connect` and `on_close` go on."""
        self._disconnects = 0
        """How often the handler has been told of the end, and has come back."""
        self._other: _Socket | None = None
        """The same connection, for a callback of the other kind."""
        self._turn_ends = 0.0
        """When others have their turn, of a handler that sends and receives nothing."""
        self._keep([])

    def seen_as(self, kind: type[S]) -> S:
        """Return the same connection with the methods of `def`, or those of `async def`."""
        if self._other is None:
            # What both see is made before they part.
            self._state, self._rooms = self.state, self._rooms or set()
            other = kind.__new__(kind)
            for name in WebSocketConnector.__slots__:
                if name != "__weakref__":
                    setattr(other, name, getattr(self, name))
            other._begin()
            self._other = other
        assert isinstance(self._other, kind)
        return self._other

    @property
    def rooms(self) -> frozenset[str]:
        """The rooms that the connection is in."""
        return super().rooms if self._connection.ending is None else frozenset()

    def _keep(self, batch: list[Message]) -> None:
        self._batch: Iterator[Message] = iter(batch)
        self._has_batch = bool(batch)
        self._handled = 0
        self._next_look = 1 if len(batch) > 1 else 0
        self._sent = 0
        """Messages since the batch came."""

    def _next(self) -> Message | None:
        """Return the next message of the batch; None if there is none, or others are to have their turn first.

        Raises:
            WebSocketDisconnect: the application has closed the connection.
        """
        connection = self._connection
        if connection.ending is OURS:
            raise self._disconnect()
        handled = self._handled
        if handled and handled == self._next_look:
            self._next_look = connection.inbox.next_look(handled)
            if not self._next_look:
                connection.inbox.put_back(self._batch)
                self._keep([])
                return None
        self._handled = handled + 1
        message = next(self._batch, None)
        if message is None:
            self._has_batch = False
        return message

    def _queue(self, frame: bytes) -> bool:
        """Queue a frame; False when nothing is sent any more, outside of the loop.

        Raises:
            WebSocketDisconnect: in the loop, nothing is sent any more.
        """
        connection = self._connection
        is_over = connection.ending is OURS if self.is_looping else connection.ending is not None
        if not is_over and (
            connection.queue(frame) if connection.io.is_current() else deliver([connection], frame)
        ):
            return True
        if self.is_looping:
            raise self._disconnect()
        return False

    def _is_over_its_turn(self) -> bool:
        """Return whether others are to have their turn: a client that reads fast never holds back who only sends."""
        self._sent += 1
        if self._sent % LOOK_EVERY:
            return False
        now = monotonic()
        if self._sent > LOOK_EVERY and now < self._turn_ends:
            return False
        self._turn_ends = now + TURN
        return self._sent > LOOK_EVERY

    def _disconnect(self) -> BaseException:
        """Return what is raised at the end; a handler that catches it again and again is ended."""
        self._disconnects += 1
        if self._disconnects > MAX_DISCONNECTS:
            if self._disconnects == MAX_DISCONNECTS + 1:
                logger.warning(
                    "a handler of %s goes on after its connection has ended, and is stopped: "
                    "let WebSocketDisconnect pass, or leave the loop",
                    self._endpoint,
                )
            return self._ending()
        return WebSocketDisconnect(self.close_code or ABNORMAL, self.close_reason or "")

    def _ending(self) -> BaseException:
        """Return what ends a handler that does not want to end."""
        raise NotImplementedError


class Socket(_Socket):
    """One connection, as the `def` handler of a receive loop sees it.

    `for message in ws` receives until the connection ends.
    """

    __slots__ = ()

    def __iter__(self) -> Socket:
        return self

    def __next__(self) -> Message:
        try:
            return self.receive()
        except WebSocketDisconnect:
            raise StopIteration from None

    def receive(self, timeout: float | None = None) -> Message:
        """Wait for the next message: `str` for text, `bytes` for binary. The handler's own greenlet.

        Args:
            timeout: seconds to wait; None for as long as the connection.

        Raises:
            WebSocketDisconnect: the connection has ended, and what came before has been received.
            TimeoutError: there was no message in time.
            RuntimeError: another greenlet receives than the one that runs the handler, or the handshake is not over.
        """
        message = self._next()
        while message is None:
            self._keep(self._wait(timeout))
            message = self._next()
        return message

    def receive_text(self, timeout: float | None = None) -> str:
        """`receive` where only text is expected.

        Raises:
            WrongMessageTypeError: it was binary, a TypeError; where nobody catches it, the connection closes with 1003.
        """
        return _text(self.receive(timeout))

    def receive_bytes(self, timeout: float | None = None) -> bytes:
        """`receive` where only binary is expected; as `receive_text` otherwise."""
        return _binary(self.receive(timeout))

    def receive_json(self, timeout: float | None = None) -> Any:
        """`receive`, and what is in it as JSON, by the application's JSON provider.

        Raises:
            NotJSONError: it is none, a ValueError; where nobody catches it, the connection closes with 1007.
        """
        return _json(self.receive(timeout))

    def receive_as(self, kind: Any, timeout: float | None = None) -> Any:
        """`receive`, and the value of a type that it is, as of a typed message handler.

        Args:
            kind: the type, or a union of types that are told apart by a tag.
            timeout: seconds to wait; None for as long as the connection.

        Raises:
            InvalidMessageError: it does not fit, a ValueError; uncaught, it closes the connection with 1007.
        """
        return decode_as(kind, self._endpoint.codec, self.receive(timeout))

    def send(self, message: Sendable) -> bool:
        """Send to the client, and wait while it is behind: `str`, `bytes`, or a `dict` or `list` as JSON text.

        Raises:
            TypeError: the message is none of these.
            WebSocketDisconnect: in the handler, nothing is sent any more; `on_connect` and `on_close` get False.
        """
        return self._send(self._endpoint.encode(message))

    def send_text(self, message: str) -> bool:
        """Send text; as `send` otherwise."""
        return self._send(encode_text(_checked(message, str)))

    def send_bytes(self, message: bytes) -> bool:
        """Send binary; as `send` otherwise."""
        return self._send(encode_binary(_checked(message, bytes)))

    def send_json(self, value: Any) -> bool:
        """Send any value as JSON text, by the application's JSON provider; as `send` otherwise."""
        return self._send(self._endpoint.encode_json(value))

    def broadcast(self, message: Sendable, room: str | None = None, include_self: bool = True) -> None:
        """Send to every connection of this endpoint; `sync_broadcast` says more."""
        self.sync_broadcast(message, room, include_self)

    def _send(self, frame: bytes) -> bool:
        queued = self._queue(frame)
        if queued and is_behind(self):
            drain(self._connection)
        if self._is_over_its_turn() and self._connection.io.may_wait():
            poll_once()
        return queued

    def _ending(self) -> BaseException:
        # Whatever catches this, too: the others have their turn meanwhile.
        if self._connection.io.may_wait():
            gevent.sleep(PAUSE)
        return gevent.GreenletExit()

    def _wait(self, timeout: float | None) -> list[Message]:
        connection = self._connection
        if connection.inbox.greenlet is not gevent.getcurrent():
            raise RuntimeError(
                "ws.receive() is for the handler itself, once the handshake is over: "
                "receive there, and pass messages on to other greenlets by a gevent.queue.Queue"
            )
        late = TimeoutError(f"no message in {timeout} seconds")
        with gevent.Timeout(timeout, late):
            batch = connection.receive()
        if not batch:
            raise self._disconnect()
        return batch


class Receiver:
    """A coroutine that waits for the next message; as a waker of the connection's inbox."""

    __slots__ = ("_future", "is_late")

    def __init__(self) -> None:
        self.is_late = False
        """Whether it has waited as long as it would."""
        self._future: asyncio.Future[None] | None = None

    async def wait(self) -> None:
        """Wait until something has changed."""
        self._future = asyncio.get_running_loop().create_future()
        await self._future

    def switch(self) -> None:
        """Let the coroutine look again. In the hub."""
        if self._future is not None and not self._future.done():
            self._future.set_result(None)

    def expire(self) -> None:
        """End the wait."""
        self.is_late = True
        self.switch()


class AsyncSocket(_Socket):
    """One connection, as the `async def` handler of a receive loop sees it.

    `async for message in ws` receives until the connection ends.
    """

    __slots__ = ("_receiver",)

    def _begin(self) -> None:
        super()._begin()
        self._receiver: Receiver | None = None
        """The coroutine that waits for a message, if one does."""

    def __aiter__(self) -> AsyncSocket:
        return self

    async def __anext__(self) -> Message:
        try:
            return await self.receive()
        except WebSocketDisconnect:
            raise StopAsyncIteration from None

    async def receive(self, timeout: float | None = None) -> Message:
        """Wait for the next message: `str` for text, `bytes` for binary. Any task of the handler's, one at a time.

        Args:
            timeout: seconds to wait; None for as long as the connection.

        Raises:
            WebSocketDisconnect: the connection has ended, and what came before has been received.
            TimeoutError: there was no message in time.
            RuntimeError: another task waits for a message already, the handshake is not over, or the event loop is
                not the one that runs the handler.
        """
        await self._pause_behind_the_end()
        message = self._next()
        while message is None:
            await self._wait(timeout)
            message = self._next()
        return message

    async def receive_text(self, timeout: float | None = None) -> str:
        """`receive` where only text is expected.

        Raises:
            WrongMessageTypeError: it was binary, a TypeError; where nobody catches it, the connection closes with 1003.
        """
        return _text(await self.receive(timeout))

    async def receive_bytes(self, timeout: float | None = None) -> bytes:
        """`receive` where only binary is expected; as `receive_text` otherwise."""
        return _binary(await self.receive(timeout))

    async def receive_json(self, timeout: float | None = None) -> Any:
        """`receive`, and what is in it as JSON, by the application's JSON provider.

        Raises:
            NotJSONError: it is none, a ValueError; where nobody catches it, the connection closes with 1007.
        """
        return _json(await self.receive(timeout))

    async def receive_as(self, kind: Any, timeout: float | None = None) -> Any:
        """`receive`, and the value of a type that it is; `Socket.receive_as` says more."""
        return decode_as(kind, self._endpoint.codec, await self.receive(timeout))

    async def send(self, message: Sendable) -> bool:  # type: ignore[override]
        """Send to the client, and wait while it is behind: `str`, `bytes`, or a `dict` or `list` as JSON text.

        Raises:
            TypeError: the message is none of these.
            WebSocketDisconnect: in the handler, nothing is sent any more; `on_connect` and `on_close` get False.
        """
        return await self._send(self._endpoint.encode(message))

    async def send_text(self, message: str) -> bool:
        """Send text; as `send` otherwise."""
        return await self._send(encode_text(_checked(message, str)))

    async def send_bytes(self, message: bytes) -> bool:
        """Send binary; as `send` otherwise."""
        return await self._send(encode_binary(_checked(message, bytes)))

    async def send_json(self, value: Any) -> bool:
        """Send any value as JSON text, by the application's JSON provider; as `send` otherwise."""
        return await self._send(self._endpoint.encode_json(value))

    async def broadcast(self, message: Sendable, room: str | None = None, include_self: bool = True) -> None:
        """Send to every connection of this endpoint; `async_broadcast` says more."""
        await self.async_broadcast(message, room, include_self)

    async def close(self, code: int = 1000, reason: str = "Connection closed") -> None:  # type: ignore[override]
        """Close the connection; `WebSocketConnector.close` says more."""
        super().close(code, reason)

    def _ending(self) -> BaseException:
        return asyncio.CancelledError()

    async def _send(self, frame: bytes) -> bool:
        await self._pause_behind_the_end()
        queued = self._queue(frame)
        if queued and is_behind(self):
            await async_drain(self._connection)
        if self._is_over_its_turn():
            # Not 0, with which the sockets are not polled.
            await asyncio.sleep(1e-6)
        return queued

    async def _pause_behind_the_end(self) -> None:
        """Let others have their turn, where a handler catches even what ends it."""
        if self._disconnects >= MAX_DISCONNECTS:
            await asyncio.sleep(PAUSE)

    async def _wait(self, timeout: float | None) -> None:
        """Wait until there is a batch, which another task may have got meanwhile."""
        connection, loop = self._connection, asyncio.get_running_loop()
        if connection.inbox.greenlet is None or not connection.io.is_current() or loop is not aio.get_loop():
            raise RuntimeError("ws.receive() is for the handler and its tasks, once the handshake is over")
        if connection.inbox.messages:
            # More than one turn has time for.
            await asyncio.sleep(0)
        if self._receiver is not None:
            raise RuntimeError(
                "another task is already waiting for a message: receive in one task, and pass messages on by a queue"
            )
        receiver = self._receiver = Receiver()
        timer = None if timeout is None else loop.call_later(timeout, receiver.expire)
        before = connection.inbox.notify(receiver)
        try:
            while not self._has_batch:
                batch = connection.poll()
                if batch:
                    self._keep(batch)
                    return
                if connection.ending is not None:
                    raise self._disconnect()
                if receiver.is_late:
                    raise TimeoutError(f"no message in {timeout} seconds")
                await receiver.wait()
        finally:
            self._receiver = None
            connection.inbox.notify(before)
            if timer is not None:
                timer.cancel()


def _text(message: Message) -> str:
    if isinstance(message, bytes):
        raise WrongMessageTypeError("text is expected, not binary")
    return message


def _binary(message: Message) -> bytes:
    if isinstance(message, str):
        raise WrongMessageTypeError("binary is expected, not text")
    return message


def _checked(message: T, kind: type[T]) -> T:
    """Return what is to be sent.

    Raises:
        TypeError: it is of another type.
    """
    if not isinstance(message, kind):
        raise TypeError(f"the message is {type(message).__name__}, and has to be {kind.__name__}")
    return message


def _json(message: Message) -> Any:
    try:
        return current_app.json.loads(message)
    except (ValueError, RecursionError):
        raise NotJSONError("JSON is expected") from None
