"""`ws`, what a handler knows of its connection: Robyn's `WebSocketConnector`, and what Flask adds to it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable, Mapping
from typing import TYPE_CHECKING, Any

from flask import Request
from werkzeug.datastructures import Headers, ImmutableMultiDict

from .connection import Connection
from .handlers import encode_message
from .ids import new_id
from .protocol.frames import check_close
from .protocol.messages import Message
from .query_params import QueryParams
from .registry import deliver, registry
from .transport import HIGH_WATER

if TYPE_CHECKING:
    from gevent.event import Event


class WebSocketConnector:
    """One connection, as its handlers and whoever they hand it to see it.

    Attributes:
        path_params: the variables of the URL rule.
        subprotocol: what client and endpoint have agreed to speak (RFC 6455 §1.9), or None.
    """

    __slots__ = (
        "__weakref__",
        "_accept",
        "_connection",
        "_endpoint",
        "_id",
        "_query_params",
        "_request",
        "_state",
        "path_params",
        "subprotocol",
    )

    def __init__(
        self,
        endpoint: Hashable,
        connection: Connection,
        request: Request,
        path_params: Mapping[str, Any],
        subprotocol: str | None,
        accept: Callable[[], None],
    ) -> None:
        self._id = new_id()
        self.path_params = path_params
        self.subprotocol = subprotocol
        self._endpoint = endpoint
        self._connection = connection
        self._request = request
        self._accept = accept
        self._query_params: QueryParams | None = None
        self._state: dict[str, Any] | None = None

    def __repr__(self) -> str:
        return f"<WebSocketConnector {self.id} {self._request.path}>"

    @property
    def id(self) -> str:
        """The connection's id, a UUID; whoever has it may send to the connection."""
        return self._id

    @property
    def query_params(self) -> QueryParams:
        """The query string of the URL."""
        if self._query_params is None:
            self._query_params = QueryParams(self._request.query_string.decode(errors="replace"))
        return self._query_params

    @property
    def headers(self) -> Headers:
        """The headers of the upgrade request."""
        return self._request.headers

    @property
    def cookies(self) -> ImmutableMultiDict[str, str]:
        """The cookies of the upgrade request."""
        return self._request.cookies

    @property
    def remote_addr(self) -> str | None:
        """The client's address; behind a proxy with Werkzeug's ProxyFix, the one that the proxy names."""
        return self._request.remote_addr

    @property
    def state(self) -> dict[str, Any]:
        """A dict of the application's own, for as long as the connection."""
        if self._state is None:
            self._state = {}
        return self._state

    @property
    def close_code(self) -> int | None:
        """What ended the connection (RFC 6455 §7.4.1): 1006 when it was lost, None while it is open."""
        return self._connection.close_code

    @property
    def close_reason(self) -> str | None:
        """The text that came with `close_code`; None while the connection is open."""
        return self._connection.close_reason

    def accept(self) -> None:
        """Send the 101 now rather than when the connect handler returns. In the connect handler."""
        self._accept()

    def sync_send_to(self, recipient_id: str, message: Message) -> bool:
        """Send to a connection of this endpoint. Any greenlet, any thread.

        Sending to itself waits while the client is behind; sending to others never waits.

        Args:
            recipient_id: its `ws.id`.
            message: text or binary.

        Returns:
            Whether it was queued: False when the endpoint has no such connection (any more).

        Raises:
            TypeError: the message is neither `str` nor `bytes`.
            WouldBlockError: sent to itself in a coroutine, and the client is behind.
        """
        queued = self._queue_for(recipient_id, encode_message(message))
        if queued and recipient_id == self.id:
            self._accept_if_full()
            self._connection.drain()
        return queued

    async def async_send_to(self, recipient_id: str, message: Message) -> bool:
        """`sync_send_to` for `async def` handlers.

        Raises:
            TypeError: the message is neither `str` nor `bytes`.
            RuntimeError: no event loop runs: a plain `def` handler calls `sync_send_to`.
        """
        _require_loop("async_send_to", "sync_send_to")
        queued = self._queue_for(recipient_id, encode_message(message))
        if queued and recipient_id == self.id:
            self._accept_if_full()
            await self._drained()
        await self._end_burst()
        return queued

    def sync_broadcast(self, message: Message) -> None:
        """Send to every connection of this endpoint, this one included. Any greenlet, any thread; never waits.

        Raises:
            TypeError: the message is neither `str` nor `bytes`.
        """
        frame = encode_message(message)
        registry.broadcast(self._endpoint, frame)
        if self._connection.in_connect:
            deliver([self._connection], frame)
            self._accept_if_full()

    async def async_broadcast(self, message: Message) -> None:
        """`sync_broadcast` for `async def` handlers.

        Raises:
            TypeError: the message is neither `str` nor `bytes`.
            RuntimeError: no event loop runs: a plain `def` handler calls `sync_broadcast`.
        """
        _require_loop("async_broadcast", "sync_broadcast")
        self.sync_broadcast(message)
        await self._end_burst()

    def close(self, code: int = 1000, reason: str = "Connection closed") -> None:
        """Close the connection: out of the registry at once, then what runs is finished. Any greenlet, any thread.

        From another thread, "at once" is as soon as the hub can. The running handler's return value is still sent, the
        close handler runs and its return value is sent, then the Close frame. Twice is once.

        Args:
            code: 1000 to 1003, 1007 to 1014 or 3000 to 4999 (RFC 6455 §7.4).
            reason: at most 123 bytes of UTF-8.

        Raises:
            TypeError: the code is no `int`, or the reason no `str`.
            ValueError: a code or reason that may not be sent.
        """
        self._connection.io.call(self._connection.close, *check_close(code, reason))

    def _queue_for(self, recipient_id: str, frame: bytes) -> bool:
        if recipient_id == self.id and self._connection.in_connect:
            return deliver([self._connection], frame)
        return registry.send_to(self._endpoint, recipient_id, frame)

    def _accept_if_full(self) -> None:
        """Send the 101 when much waits behind it, so that what waits can leave."""
        connection = self._connection
        if connection.in_connect and connection.outbox_size > HIGH_WATER and connection.io.is_current():
            self._accept()

    async def _end_burst(self) -> None:
        """Let the hub write when it is time to, as `HubIO.end_burst` does for a greenlet."""
        if self._connection.io.has_burst():
            await asyncio.sleep(0)

    async def _drained(self) -> None:
        connection = self._connection
        while connection.io.is_current() and connection.is_behind():
            before = connection.outbox_size
            while connection.outbox_size == before:
                # Taken before anything else runs: whoever changes it tells only those who are there.
                changed = connection.changed()
                try:
                    await asyncio.wait_for(_wait_in_loop(changed), connection.stall_timeout)
                except asyncio.TimeoutError:
                    connection.end_slow()


async def _wait_in_loop(event: Event) -> None:
    """Wait for an event of gevent's on whatever event loop runs."""
    loop = asyncio.get_running_loop()
    is_set = asyncio.Event()

    def tell(_: object) -> None:
        loop.call_soon_threadsafe(is_set.set)

    event.rawlink(tell)
    try:
        await is_set.wait()
    finally:
        event.unlink(tell)


def _require_loop(called: str, instead: str) -> None:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        raise RuntimeError(
            f"await ws.{called}(...) in an async def handler; a plain def handler calls ws.{instead}(...)"
        ) from None
