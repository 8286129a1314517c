"""What a node or a `Publisher` may have sent. Anybody who reaches the server can publish there: the rest is made up."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final, NamedTuple

from ..backplane.channels import place_of
from ..errors import BadEnvelopeError
from .envelope import MAX_IDS, Envelope, Kind
from .ids import NODE_BITS, node_of

MAX_SEQUENCE: Final = 1 << 48
"""Messages of a node on one channel: nine years of a million in a second."""


class _Rule(NamedTuple):
    """What all envelopes of a kind have in common.

    Attributes:
        ids: how many connections they name.
        has_endpoint: whether they name one.
        has_message: whether the payload is a client's message, text or binary.
        from_publisher: whether it may come from what is no node.
        payloads: those that there are; None where they are many.
    """

    ids: range
    has_endpoint: bool
    has_message: bool
    from_publisher: bool
    payloads: Collection[bytes] | None = None


_BROADCAST: Final = _Rule(range(MAX_IDS + 1), False, True, True)
_RULES: Final = {
    (Kind.BROADCAST, "endpoint"): _BROADCAST,
    (Kind.BROADCAST, "room"): _BROADCAST,
    (Kind.SEND, "node"): _Rule(range(1, 2), True, True, True),
    (Kind.CLOSE, "node"): _Rule(range(1, 2), True, False, True),
    (Kind.HEARTBEAT, "all"): _Rule(range(1), False, False, False, (b"", b"?")),
    (Kind.HEARTBEAT, "node"): _Rule(range(1), False, False, False, (b"",)),
    (Kind.FAREWELL, "all"): _Rule(range(1), False, False, False, (b"",)),
    (Kind.QUESTION, "all"): _Rule(range(1), True, False, False),
    (Kind.ANSWER, "node"): _Rule(range(1), False, False, False),
}
"""By kind, and by the place that it is said in."""


def check(envelope: Envelope, channel: str, node: int) -> None:
    """Refuse what nobody can have sent; what a payload holds is for who reads it.

    Args:
        envelope: what has come.
        channel: where.
        node: the number of the node that it has come to.

    Raises:
        BadEnvelopeError: it is made up.
    """
    rule = _RULES.get((envelope.kind, place_of(channel)))
    if rule is None:
        raise BadEnvelopeError(f"a {envelope.kind.name} does not come by way of {channel!r}")
    if envelope.origin >> NODE_BITS or not (envelope.origin or rule.from_publisher):
        raise BadEnvelopeError(f"no node that sends a {envelope.kind.name} has the number {envelope.origin}")
    if envelope.sequence >= MAX_SEQUENCE:
        raise BadEnvelopeError(f"no node has sent {envelope.sequence} messages")
    if (
        len(envelope.ids) not in rule.ids
        or bool(envelope.endpoint) is not rule.has_endpoint
        or (envelope.is_text and not rule.has_message)
        or (rule.payloads is not None and envelope.payload not in rule.payloads)
    ):
        raise BadEnvelopeError(f"no {envelope.kind.name} is made like this")
    for one in envelope.ids:
        named = node_of(one)
        if named is None or (rule.has_endpoint and named != node):
            raise BadEnvelopeError(f"{one} is not the id of a connection that is meant here")
