"""What a stream of bytes comes to in `gws.protocol.messages`, by the quick way and by the plain one."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

from gws.errors import ProtocolError
from gws.protocol.frames import Close
from gws.protocol.messages import Message, MessageReader

from .client_frames import PONG, arrivals, frame

LIMIT = 1 << 20


@dataclasses.dataclass
class Outcome:
    """What a stream of bytes came to."""

    messages: list[Message] = dataclasses.field(default_factory=list)
    sent: list[bytes] = dataclasses.field(default_factory=list)
    close: Close | None = None
    error: int | None = None
    reason: str | None = None


def read(pieces: Iterable[bytes], limit: int = LIMIT) -> Outcome:
    outcome = Outcome()
    reader = MessageReader(outcome.messages, outcome.sent.append, max_message_size=limit)
    try:
        for piece in pieces:
            reader.receive_data(piece)
    except ProtocolError as error:
        outcome.error, outcome.reason = error.code, str(error)
    outcome.close = reader.close
    return outcome


def read_every_way(stream: bytes, limit: int = LIMIT) -> Outcome:
    """Whole, which is the quick way where there is one; byte by byte, which is the plain one; and cut in two."""
    whole = read([stream], limit)
    for pieces in arrivals(stream):
        assert read(pieces, limit) == whole
    return whole


def pong(payload: bytes) -> bytes:
    return frame(PONG, payload, mask=None)
