"""Connection ids: UUIDs of version 8 that say which process holds the connection.

48 bits are the node, one for each process; 74 are random, so an id cannot be guessed (RFC 9562 §5.8).
"""

from __future__ import annotations

import re
import secrets
import uuid
from typing import Final

from ..forks import Step, after_fork

NODE_BITS: Final = 48
_RANDOM_HIGH = 12
_RANDOM_LOW = 62
_ID = re.compile("[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")


_own_node = secrets.randbits(NODE_BITS)


@after_fork(Step.IDS)
def _draw() -> None:
    global _own_node
    _own_node = secrets.randbits(NODE_BITS)


def own_node() -> int:
    """Return this process's node number; a forked child has its own."""
    return _own_node


def new_id() -> str:
    """Return a connection id of this process. Any greenlet, any thread."""
    random_high, random_low = divmod(secrets.randbits(_RANDOM_HIGH + _RANDOM_LOW), 1 << _RANDOM_LOW)
    high = (_own_node << 16) | (0x8 << 12) | random_high
    low = (0b10 << _RANDOM_LOW) | random_low
    return str(uuid.UUID(int=(high << 64) | low))


def node_of(connection_id: object) -> int | None:
    """Return the number of the node that an id names; None for anything that is no id."""
    if not isinstance(connection_id, str) or not _ID.fullmatch(connection_id):
        return None
    return int(connection_id[:8] + connection_id[9:13], 16)


def is_of_node(raw: bytes, node: int) -> bool:
    """Return whether 16 bytes are the id of a connection of this node."""
    return raw[:6] == node.to_bytes(6, "big") and raw[6] >> 4 == 0x8 and raw[8] >> 6 == 0b10
