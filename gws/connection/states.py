"""How far a connection is, and what ends it.

What ends a connection, from the politest to the rudest. The first to come decides `Ending`, code and reason; what comes
later can only be faster. Every one but the last tells the conversation once, by `on_ending`.

    cause                       method                    ending  Close frame                waits for the peer's Close
    ws.close, a stop            close                     OURS    behind the close handler   close_timeout
    the handshake is refused    refuse                    LOST    none: it never opens       no
    the peer's Close            _on_close_frame           PEER    echoed, behind the same    no
    the peer breaks a rule      _on_protocol_error        FAILED  the same, then FIN         no, but reads on for LINGER
    a handler raises            fail                      FAILED  the same, then FIN         no, but reads on for LINGER
    a fault in gws              fail_internally           FAILED  the same, then FIN         no, but reads on for LINGER
    the outbox is over its      drop_slow_consumer        FAILED  at once, for what was      no, but reads on for LINGER
      bound                                                       queued
    no answer to a ping         _on_ping_timeout          LOST    none                       no
    TCP is gone                 _on_connection_lost       LOST    none                       no
    the end takes too long      _on_close_timeout         -       if none is queued yet      no
    the grace of a stop is over abort                     LOST    if the kernel takes it     no
    a fork, in the child        forget_after_fork         none    none: it is the parent's   no
"""

from __future__ import annotations

import enum
from typing import Final


class State(enum.Enum):
    """How far a connection is; only `Transport._enter` changes it."""

    HANDSHAKE = enum.auto()
    """There is no socket yet; what is queued waits for it."""
    OPEN = enum.auto()
    CLOSING = enum.auto()
    """The Close frame is queued: nothing goes out behind it."""
    CLOSED = enum.auto()
    """The socket is closed."""


class Ending(enum.Enum):
    """Who has ended a connection; only `Connection._end` sets it, once."""

    OURS = enum.auto()
    """The server closes, and waits for the peer's Close."""
    PEER = enum.auto()
    """The peer sent a Close, which is echoed."""
    FAILED = enum.auto()
    """The peer broke the protocol or a limit, or a handler raised: Close, and FIN at once."""
    LOST = enum.auto()
    """There is nobody left to tell."""


# On Python 3.11 it takes 100 ns to look an enum's member up, and a message passes ten such places.
HANDSHAKE: Final = State.HANDSHAKE
OPEN: Final = State.OPEN
CLOSING: Final = State.CLOSING
CLOSED: Final = State.CLOSED
OURS: Final = Ending.OURS
PEER: Final = Ending.PEER
FAILED: Final = Ending.FAILED
LOST: Final = Ending.LOST

NEXT: Final = {
    HANDSHAKE: frozenset((OPEN, CLOSED)),
    OPEN: frozenset((CLOSING, CLOSED)),
    CLOSING: frozenset((CLOSED,)),
    CLOSED: frozenset[State](),
}
"""The states that may follow each."""
