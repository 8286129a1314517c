"""What a node or a `Publisher` may have sent. Anybody who reaches the server can publish there: the rest is made up."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final, NamedTuple

from ..errors import BadEnvelopeError
from .envelope import Envelope
from .ids import NODE_BITS, node_of

MAX_SEQUENCE: Final = 1 << 48
"""Messages of a node on one channel: nine years of a million in a second."""


class Rule(NamedTuple):
    """What all envelopes of a kind, on the channels of a place, have in common.

    Attributes:
        ids: how many connections they name, at least and at most.
        has_endpoint: whether they name one.
        has_message: whether the payload is a client's message, text or binary.
        from_publisher: whether it may come from what is no node.
        payloads: those that there are; None where they are many.
    """

    ids: tuple[int, int] = (0, 0)
    has_endpoint: bool = False
    has_message: bool = False
    from_publisher: bool = False
    payloads: Collection[bytes] | None = None


def check(envelope: Envelope, rule: Rule, node: int) -> None:
    """Refuse what nobody can have sent; what a payload holds is for who reads it.

    Args:
        envelope: what has come.
        rule: of its kind, where it came.
        node: the number of the node that it has come to.

    Raises:
        BadEnvelopeError: it is made up.
    """
    if envelope.origin >> NODE_BITS or not (envelope.origin or rule.from_publisher):
        raise BadEnvelopeError(f"no node that sends a {envelope.kind.name} has the number {envelope.origin}")
    if envelope.sequence >= MAX_SEQUENCE:
        raise BadEnvelopeError(f"no node has sent {envelope.sequence} messages")
    fewest, most = rule.ids
    if (
        not fewest <= len(envelope.ids) <= most
        or bool(envelope.endpoint) is not rule.has_endpoint
        or (envelope.is_text and not rule.has_message)
        or (rule.payloads is not None and envelope.payload not in rule.payloads)
    ):
        raise BadEnvelopeError(f"no {envelope.kind.name} is made like this")
    for one in envelope.ids:
        named = node_of(one)
        if named is None or (rule.has_endpoint and named != node):
            raise BadEnvelopeError(f"{one} is not the id of a connection that is meant here")
