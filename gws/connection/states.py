"""How far a connection is, and who has ended it."""

from __future__ import annotations

import enum
from typing import Final


class State(enum.Enum):
    """How far a connection is; only `Transport._enter` changes it."""

    CONNECTING = enum.auto()
    """There is no socket yet; what is queued waits for it."""
    OPEN = enum.auto()
    CLOSING = enum.auto()
    """The Close frame is queued: nothing goes out behind it."""
    CLOSED = enum.auto()
    """The socket is closed."""


class Ending(enum.Enum):
    """Who has ended a connection; only `Connection._end` says so, once."""

    OURS = enum.auto()
    """The server closes in order, and waits for the peer's Close."""
    PEER = enum.auto()
    """The peer sent a Close, which is echoed."""
    FAILED = enum.auto()
    """The peer broke the protocol or a limit, or a handler raised: Close, and FIN at once."""
    LOST = enum.auto()
    """There is nobody left to tell."""


# On Python 3.11 it takes 100 ns to look an enum's member up, and a message passes ten such places.
CONNECTING: Final = State.CONNECTING
OPEN: Final = State.OPEN
CLOSING: Final = State.CLOSING
CLOSED: Final = State.CLOSED
OURS: Final = Ending.OURS
PEER: Final = Ending.PEER
FAILED: Final = Ending.FAILED
LOST: Final = Ending.LOST
