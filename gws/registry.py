"""The global dict of this process's connections, by endpoint and id, and delivery to them."""

from __future__ import annotations

from collections.abc import Hashable, Iterable

from .connection import Connection
from .hub_io import HubIO, get_thread


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
        self._endpoints: dict[Hashable, dict[str, Connection]] = {}

    def add(self, endpoint: Hashable, connection_id: str, connection: Connection) -> None:
        """Let others reach this connection."""
        self._endpoints.setdefault(endpoint, {})[connection_id] = connection

    def remove(self, endpoint: Hashable, connection_id: str) -> None:
        """Let nobody reach it any more; an unknown one is no error."""
        members = self._endpoints.get(endpoint)
        if members is not None and members.pop(connection_id, None) is not None and not members:
            del self._endpoints[endpoint]

    def get(self, endpoint: Hashable, connection_id: object) -> Connection | None:
        """The connection of this endpoint with that id; None for anything that is no id of its. Any thread."""
        if not isinstance(connection_id, str):
            return None
        return self._endpoints.get(endpoint, {}).get(connection_id)

    def members(self, endpoint: Hashable) -> list[Connection]:
        """The endpoint's connections at this moment. Any thread."""
        # A copy: those who are slow leave while the others are being sent to.
        return list(self._endpoints.get(endpoint, {}).values())

    def send_to(self, endpoint: Hashable, connection_id: object, frame: bytes) -> bool:
        """Queue a frame for one connection; False when the endpoint has none of that id. Any greenlet, any thread."""
        connection = self.get(endpoint, connection_id)
        return connection is not None and deliver([connection], frame)

    def broadcast(self, endpoint: Hashable, frame: bytes) -> None:
        """Queue a frame for every connection of the endpoint. Any greenlet, any thread."""
        deliver(self.members(endpoint), frame)

    def __len__(self) -> int:
        """How many connections there are."""
        return sum(map(len, self._endpoints.values()))


registry = Registry()
"""This process's."""
