"""The names of the channels on which nodes hear of what concerns them."""

from __future__ import annotations

from typing import Final

ALL: Final = "all"
"""What every node hears."""

MAX_ROOM_SIZE: Final = 1024
"""Bytes of a room's name in UTF-8: one that a client may choose is no way to fill a server's memory."""


def of_node(number: int) -> str:
    """Return what one node hears."""
    return f"node {number:012x}"


def of_endpoint(endpoint: str, room: str | None = None) -> str:
    """Return what the nodes with connections of an endpoint hear, or those with members of one of its rooms."""
    return f"endpoint {endpoint}" if room is None else f"room {endpoint}\0{room}"


def audience_of(channel: str) -> tuple[str, str | None]:
    """Return the endpoint, and the room if there is one, whose connections a channel of `of_endpoint` is for."""
    kind, _, name = channel.partition(" ")
    endpoint, _, room = name.partition("\0")
    return endpoint, room if kind == "room" else None


def place_of(channel: str) -> str:
    """Return what a channel's name begins with: "all", "node", "endpoint" or "room"."""
    return channel.partition(" ")[0]


def check_room(room: object) -> None:
    """Refuse what cannot be the name of a room.

    Raises:
        TypeError: it is no `str`.
        ValueError: it is longer than `MAX_ROOM_SIZE`.
    """
    if not isinstance(room, str):
        raise TypeError(f"a room's name is a str, not {room!r}")
    if len(room.encode()) > MAX_ROOM_SIZE:
        raise ValueError(f"a room's name has at most {MAX_ROOM_SIZE} bytes of UTF-8")
