"""The global dict of this process's connections, by endpoint, room and id, and delivery to them."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from ..connection.connection import Connection
from ..hub.io import HubIO
from ..hub.threads import get_thread
from .endpoint import Endpoint


def deliver(connections: Iterable[Connection], frame: bytes) -> bool:
    """Queue one frame on each connection; False if a hub took none. Any greenlet, any thread; waits for no client."""
    thread = get_thread()
    io = None
    elsewhere: dict[HubIO, list[Connection]] = {}
    for connection in connections:
        if connection.io.thread == thread:
            io = connection.io
            connection.queue(frame)
        else:
            elsewhere.setdefault(connection.io, []).append(connection)
    if io is not None:
        io.end_burst(len(frame))
    taken = True
    for other, members in elsewhere.items():
        taken = other.hand_over(members, frame) and taken
    return taken


class Registry:
    """Connections that anybody may reach: from the end of their connect handler until they begin to end."""

    def __init__(self) -> None:
        self._endpoints: dict[Endpoint, dict[str, Connection]] = {}
        self._rooms: dict[tuple[Endpoint, str], dict[str, Connection]] = {}
        """Those of a room whose connect handler has not finished are there already, and those that leave it yet."""

    def clear(self) -> None:
        """Forget everyone, in a forked process: they are connected to the parent."""
        self._endpoints.clear()
        self._rooms.clear()

    def add(self, endpoint: Endpoint, connection_id: str, connection: Connection) -> None:
        """Let others reach this connection."""
        self._endpoints.setdefault(endpoint, {})[connection_id] = connection

    def remove(self, endpoint: Endpoint, connection_id: str) -> None:
        """Let nobody reach it any more; an unknown one is no error."""
        members = self._endpoints.get(endpoint)
        if members is not None and members.pop(connection_id, None) is not None and not members:
            del self._endpoints[endpoint]

    def get(self, endpoint: Endpoint, connection_id: object) -> Connection | None:
        """Return the connection of this endpoint with that id; None for anything that is no id of its. Any thread."""
        if not isinstance(connection_id, str):
            return None
        return self._endpoints.get(endpoint, {}).get(connection_id)

    def join(self, endpoint: Endpoint, room: str, connection_id: str, connection: Connection) -> None:
        """Put a connection into a room of its endpoint."""
        self._rooms.setdefault((endpoint, room), {})[connection_id] = connection

    def leave(self, endpoint: Endpoint, room: str, connection_id: str) -> None:
        """Take it out again; a room that nobody is in is forgotten."""
        members = self._rooms.get((endpoint, room))
        if members is not None and members.pop(connection_id, None) is not None and not members:
            del self._rooms[endpoint, room]

    def has_room(self, endpoint: Endpoint, room: str) -> bool:
        """Return whether anybody is in a room. Any thread."""
        return (endpoint, room) in self._rooms

    def members(self, endpoint: Endpoint, room: str | None = None) -> dict[str, Connection]:
        """Return the connections of an endpoint, or of one of its rooms, at this moment, by id. Any thread."""
        # A copy: those who are slow leave while the others are being sent to.
        if room is None:
            return self._endpoints.get(endpoint, {}).copy()
        members = self._rooms.get((endpoint, room), {}).copy()
        return {key: member for key, member in members.items() if member.is_reachable}

    def deliver_local_to(self, endpoint: Endpoint, connection_id: object, frame: bytes) -> bool:
        """Queue a frame for one connection; False when the endpoint has none of that id. Any greenlet, any thread."""
        connection = self.get(endpoint, connection_id)
        return connection is not None and deliver([connection], frame)

    def deliver_local(
        self, endpoint: Endpoint, frame: bytes, room: str | None = None, exclude: Collection[str] = ()
    ) -> None:
        """Queue a frame for every connection of the endpoint, or of a room, but some. Any greenlet, any thread."""
        members = self.members(endpoint, room)
        for connection_id in exclude:
            members.pop(connection_id, None)
        deliver(members.values(), frame)

    def __len__(self) -> int:
        """How many connections there are."""
        return sum(map(len, self._endpoints.values()))


registry = Registry()
"""This process's."""
