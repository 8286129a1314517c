"""What goes from node to node: a small binary header, and the payload as it is.

version, kind, text or binary, the ids' number, origin, sequence, the endpoint's length: 22 bytes, big-endian; then the
ids, 16 bytes each, the endpoint's name in UTF-8, and the payload.
"""

from __future__ import annotations

import enum
import struct
import uuid
from collections.abc import Collection, Sequence
from typing import Final, NamedTuple

from ..errors import BadEnvelopeError

VERSION: Final = 1
MAX_IDS: Final = 255
"""Ids in one envelope: the connections that a broadcast leaves out, or the one that it is for."""

_HEADER = struct.Struct("!BBBBQQH")
_ID_SIZE = 16


class Kind(enum.IntEnum):
    """What an envelope asks of the node that opens it."""

    BROADCAST = 1
    """Send the payload to everyone whom the channel names, but for the ids."""
    SEND = 2
    """Send the payload to the connection that the id names."""
    CLOSE = 3
    """Close the connection that the id names; the payload is a Close frame's (RFC 6455 §5.5.1)."""
    HEARTBEAT = 4
    """The origin is alive; the payload, if there is one, asks for a heartbeat in return."""
    FAREWELL = 5
    """The origin stops."""
    QUESTION = 6
    """Tell the origin your connections."""
    ANSWER = 7


class Envelope(NamedTuple):
    """One message between nodes.

    Attributes:
        kind: what is to be done.
        origin: the node that sent it; 0 is no node but a `Publisher`.
        sequence: how many the origin had sent on this channel before; see `sequences`.
        payload: bytes of the message.
        is_text: whether the payload is text, in UTF-8.
        ids: of connections; at most `MAX_IDS`.
        endpoint: the name of the endpoint, where the channel does not say it.
    """

    kind: Kind
    origin: int
    sequence: int
    payload: bytes = b""
    is_text: bool = False
    ids: Sequence[str] = ()
    endpoint: str = ""


def check_excluded(ids: object) -> None:
    """Refuse what cannot be the ids that a broadcast leaves out.

    Raises:
        TypeError: it is one id, and no collection of them.
        ValueError: they are more than `MAX_IDS`.
    """
    if not isinstance(ids, Collection) or isinstance(ids, str | bytes):
        raise TypeError(f"exclude is a list of ids, not {ids!r}")
    if len(ids) > MAX_IDS:
        raise ValueError(f"at most {MAX_IDS} connections can be left out, not {len(ids)}")


def encode(envelope: Envelope) -> bytes:
    """Return an envelope's bytes.

    Raises:
        ValueError: there are too many ids, one is no UUID, or the endpoint's name is longer than 64 KiB.
    """
    check_excluded(envelope.ids)
    endpoint = envelope.endpoint.encode()
    if len(endpoint) > 0xFFFF:
        raise ValueError("the endpoint's name is too long")
    header = _HEADER.pack(
        VERSION,
        envelope.kind,
        envelope.is_text,
        len(envelope.ids),
        envelope.origin,
        envelope.sequence,
        len(endpoint),
    )
    ids = b"".join(uuid.UUID(one).bytes for one in envelope.ids)
    return b"".join((header, ids, endpoint, envelope.payload))


def decode(data: bytes) -> Envelope:
    """Return the envelope that bytes are.

    Raises:
        BadEnvelopeError: they are none: truncated, of another version, neither text nor binary, or of a kind that
            there is not.
    """
    try:
        version, kind, is_text, count, origin, sequence, length = _HEADER.unpack_from(data)
    except struct.error:
        raise BadEnvelopeError("the envelope is truncated") from None
    if version != VERSION:
        raise BadEnvelopeError(f"the envelope is of version {version}, and {VERSION} is spoken here")
    if is_text > 1:
        raise BadEnvelopeError(f"the envelope is neither text nor binary, but {is_text}")
    endpoint_at = _HEADER.size + count * _ID_SIZE
    payload_at = endpoint_at + length
    if len(data) < payload_at:
        raise BadEnvelopeError("the envelope is truncated")
    ids = tuple(
        str(uuid.UUID(bytes=data[at : at + _ID_SIZE])) for at in range(_HEADER.size, endpoint_at, _ID_SIZE)
    )
    try:
        endpoint = data[endpoint_at:payload_at].decode()
        return Envelope(Kind(kind), origin, sequence, data[payload_at:], bool(is_text), ids, endpoint)
    except ValueError as error:
        raise BadEnvelopeError(str(error)) from None
