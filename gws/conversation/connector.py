"""`ws`, what a handler knows of its connection: Robyn's `WebSocketConnector`, and what Flask adds to it.

Longer than other modules: users read its docstrings.
"""

from __future__ import annotations

import asyncio
import functools
import logging
from collections.abc import Callable, Mapping
from typing import Any, Final

from flask import Request
from werkzeug.datastructures import Headers, ImmutableMultiDict

from ..backplane.channels import check_room
from ..cluster.endpoint import Endpoint
from ..cluster.ids import new_id
from ..cluster.leaving import leave_all
from ..cluster.process import process
from ..cluster.registry import deliver
from ..connection.backpressure import async_drain, drain
from ..connection.connection import Connection
from ..connection.states import OURS
from ..connection.transport import HIGH_WATER
from ..errors import TooManyRoomsError
from ..metrics import counters
from ..protocol.encoding import Sendable
from ..protocol.frames import check_close
from ..servers.shutdown import shutdown
from ..settings import Settings
from .query_arguments import QueryArgument
from .query_params import QueryParams

logger = logging.getLogger("gws.conversation")

_NO_ARGUMENTS: Final[Mapping[QueryArgument, Any]] = {}


class WebSocketConnector:
    """One connection, as its handlers and whoever they hand it to see it.

    Attributes:
        path_params: the variables of the URL rule.
        arguments: the values of the query parameters that its handlers ask for by name.
        subprotocol: what client and endpoint have agreed to speak (RFC 6455 §1.9), or None.
    """

    __slots__ = (
        "__weakref__",
        "_accept",
        "_connection",
        "_endpoint",
        "_id",
        "_max_rooms",
        "_query_params",
        "_request",
        "_rooms",
        "_state",
        "arguments",
        "path_params",
        "subprotocol",
    )

    def __init__(
        self,
        endpoint: Endpoint,
        connection: Connection,
        request: Request,
        path_params: Mapping[str, Any],
        subprotocol: str | None,
        accept: Callable[[], None],
        max_rooms: int,
    ) -> None:
        self._id = new_id()
        self.path_params = path_params
        self.subprotocol = subprotocol
        self._endpoint = endpoint
        self._connection = connection
        self._request = request
        self._accept = accept
        self._max_rooms = max_rooms
        self._query_params: QueryParams | None = None
        self._state: dict[str, Any] | None = None
        self.arguments: Mapping[QueryArgument, Any] = _NO_ARGUMENTS
        self._rooms: set[str] | None = None
        """Those that it has joined; most connections never do."""

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

    @property
    def rooms(self) -> frozenset[str]:
        """The rooms that the connection is in."""
        return frozenset(self._rooms or ())

    def join(self, room: str) -> None:
        """Put the connection into a room of its endpoint, until it leaves or ends. Any greenlet, any thread.

        In a `def` handler it returns when the other nodes' messages to the room are heard here too, or after a second;
        in a coroutine, and in another thread, at once.

        Args:
            room: its name; it exists while somebody is in it. To join it twice is to join it once.

        Raises:
            TypeError: the name is no `str`.
            ValueError: it is longer than 1 KiB in UTF-8.
            TooManyRoomsError: the connection is in `max_rooms` others. What another thread asks for counts as soon as
                the hub takes it; what is too much then is not done, and counted as `rooms_refused`.
        """
        check_room(room)
        if self._is_full(room):
            raise TooManyRoomsError(
                f"the connection is in {self._max_rooms} rooms, and may be in no more of {self._endpoint!r}: "
                "set WebSocket(..., max_rooms=...) or GWS_MAX_ROOMS, or have it leave one"
            )
        self._connection.io.call(self._join, room)
        if self._connection.io.may_wait():
            process.cluster_of(self._endpoint).wait_joined(self._endpoint, room)

    def leave(self, room: str) -> None:
        """Take the connection out of a room; one that it is not in is no error. Any greenlet, any thread."""
        self._connection.io.call(self._leave, room)

    def accept(self) -> None:
        """Send the 101 now rather than when the connect handler returns. In the connect handler."""
        self._accept()

    def send(self, message: Sendable) -> bool:
        """Send to this connection's own client, and wait while it is behind. Any greenlet, any thread.

        Args:
            message: text, binary, or a dict or list that becomes JSON text.

        Returns:
            Whether it was queued; False once the connection has begun to end.

        Raises:
            TypeError: the message is none of these.
            WouldBlockError: the client is behind, and a coroutine sends: write `await ws.async_send(...)`.
        """
        return self.sync_send_to(self.id, message)

    async def async_send(self, message: Sendable) -> bool:
        """`send` for `async def` handlers.

        Raises:
            TypeError: the message is neither `str`, `bytes`, `dict` nor `list`.
            RuntimeError: no event loop runs: a plain `def` handler calls `send`.
        """
        _require_loop("async_send", "send")
        return await self.async_send_to(self.id, message)

    def sync_send_to(self, recipient_id: str, message: Sendable) -> bool:
        """Send to a connection of this endpoint. Any greenlet, any thread.

        Sending to itself waits while the client is behind; sending to others never waits.

        Args:
            recipient_id: its `ws.id`.
            message: text, binary, or a dict or list that becomes JSON text.

        Returns:
            Whether it was queued, or handed on to the node that the id names: False when the endpoint has no such
            connection here, and no such node lives.

        Raises:
            TypeError: the message is neither `str`, `bytes`, `dict` nor `list`.
            WouldBlockError: sent to itself in a coroutine, and the client is behind.
        """
        queued = self._queue_for(recipient_id, message)
        if recipient_id == self.id:
            if queued:
                self._accept_if_full()
                drain(self._connection)
            else:
                self._say_why_dropped()
        return queued

    async def async_send_to(self, recipient_id: str, message: Sendable) -> bool:
        """`sync_send_to` for `async def` handlers.

        Raises:
            TypeError: the message is neither `str`, `bytes`, `dict` nor `list`.
            RuntimeError: no event loop runs: a plain `def` handler calls `sync_send_to`.
        """
        _require_loop("async_send_to", "sync_send_to")
        queued = self._queue_for(recipient_id, message)
        if recipient_id == self.id:
            if queued:
                self._accept_if_full()
                await async_drain(self._connection)
            else:
                self._say_why_dropped()
        await self._end_burst()
        return queued

    def sync_broadcast(self, message: Sendable, room: str | None = None, include_self: bool = True) -> None:
        """Send to every connection of this endpoint, on all nodes. Any greenlet, any thread; never waits.

        Args:
            message: text, binary, or a dict or list that becomes JSON text.
            room: the room whose members get it, rather than everyone; the sender need not be one.
            include_self: whether this connection gets it too.

        Raises:
            TypeError: the message is neither `str`, `bytes`, `dict` nor `list`, or the room no `str`.
            ValueError: the room's name is longer than 1 KiB.
        """
        frame = self._endpoint.encode(message)
        exclude = () if include_self else (self.id,)
        process.cluster_of(self._endpoint).broadcast(self._endpoint, frame, room, exclude)
        if self._connection.is_joining and include_self and (room is None or room in self.rooms):
            deliver([self._connection], frame)
            self._accept_if_full()

    async def async_broadcast(
        self, message: Sendable, room: str | None = None, include_self: bool = True
    ) -> None:
        """`sync_broadcast` for `async def` handlers.

        Raises:
            TypeError, ValueError: as there.
            RuntimeError: no event loop runs: a plain `def` handler calls `sync_broadcast`.
        """
        _require_loop("async_broadcast", "sync_broadcast")
        self.sync_broadcast(message, room, include_self)
        await self._end_burst()

    def close(self, code: int = 1000, reason: str = "Connection closed") -> None:
        """Close the connection: out of the registry at once, then what runs is finished. Any greenlet, any thread.

        From another thread, "at once" is as soon as the hub can. The running handler's return value is still sent, the
        close handler runs and its return value is sent, then the Close frame. Idempotent.

        Args:
            code: 1000 to 1003, 1007 to 1014 or 3000 to 4999 (RFC 6455 §7.4).
            reason: at most 123 bytes of UTF-8.

        Raises:
            TypeError: the code is no `int`, or the reason no `str`.
            ValueError: a code or reason that may not be sent.
        """
        self._connection.io.call(self._connection.close, *check_close(code, reason))

    def _is_full(self, room: str) -> bool:
        rooms = self._rooms
        return rooms is not None and len(rooms) >= self._max_rooms and room not in rooms

    def _queue_for(self, recipient_id: str, message: Sendable) -> bool:
        frame = self._endpoint.encode(message)
        if recipient_id == self.id and self._connection.is_joining:
            return deliver([self._connection], frame)
        return process.cluster_of(self._endpoint).send_to(self._endpoint, recipient_id, frame)

    def _say_why_dropped(self) -> None:
        # Who is gone, or told that the server goes, is nobody's mistake.
        if self._connection.ending is OURS and not shutdown.is_stopping:
            _warn_of_late_send(repr(self._endpoint))

    def _join(self, room: str) -> None:
        if self._connection.ending is not None:
            return
        if self._rooms is None:
            self._rooms = set()
        elif room in self._rooms:
            return
        if self._is_full(room):
            counters["rooms_refused"] += 1
            return
        self._rooms.add(room)
        process.cluster_of(self._endpoint).join(self._endpoint, room, self.id, self._connection)

    def _leave(self, room: str) -> None:
        if self._rooms and room in self._rooms:
            self._rooms.remove(room)
            process.cluster_of(self._endpoint).leave(self._endpoint, room, self.id)

    def _accept_if_full(self) -> None:
        """Send the 101 when much waits behind it, so that what waits can leave."""
        connection = self._connection
        if connection.is_joining and connection.outbox.size > HIGH_WATER and connection.io.is_current():
            self._accept()

    async def _end_burst(self) -> None:
        """Let the hub write when it is time to, as `HubIO.end_burst` does for a greenlet."""
        io = self._connection.io
        if io.has_burst():
            await asyncio.sleep(0)
            for _ in range(io.count_unflushed()):
                if io.count_unflushed():
                    await asyncio.sleep(1e-6)


def connection_of(ws: WebSocketConnector) -> Connection:
    """Return what it is the face of."""
    return ws._connection


def settings_of(ws: WebSocketConnector) -> Settings:
    """Return the limits of its connection."""
    return ws._connection.settings


def queue_value(ws: WebSocketConnector, value: Any) -> bool:
    """Queue what a handler yields, unless it is None; False when the connection takes no more.

    Raises:
        TypeError: it is nothing that can be sent.
    """
    return value is None or ws._connection.queue(ws._endpoint.encode(value))


def is_behind(ws: WebSocketConnector) -> bool:
    """Return whether to wait for the client; the 101 is sent first, if it has not been."""
    outbox = ws._connection.outbox
    if outbox.size <= HIGH_WATER:
        return False
    ws._accept_if_full()
    return outbox.size > HIGH_WATER


def leave_rooms(ws: WebSocketConnector) -> None:
    """Take a connection that is over out of its rooms. In the hub."""
    rooms, ws._rooms = ws._rooms, None
    if rooms:
        endpoint, connection_id = ws._endpoint, ws.id
        cluster = process.cluster_of(endpoint)
        leave_all(ws._connection.io, lambda room: cluster.leave(endpoint, room, connection_id), rooms)


def _require_loop(called: str, instead: str) -> None:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        raise RuntimeError(
            f"await ws.{called}(...) in an async def handler; a plain def handler calls ws.{instead}(...)"
        ) from None


@functools.lru_cache(maxsize=64)
def _warn_of_late_send(endpoint: str) -> None:
    logger.warning(
        "a handler of %s sends to its client after ws.close(); the message is dropped and False returned: send first",
        endpoint,
    )
