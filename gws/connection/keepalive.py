"""When to ping a peer, and when to give it up; no I/O, no clock.

RFC 6455 §5.5.2 leaves both to the endpoint.
"""

from __future__ import annotations

import enum


class Verdict(enum.Enum):
    """What a look at a peer comes to."""

    WAIT = enum.auto()
    PING = enum.auto()
    GIVE_UP = enum.auto()


class Keepalive:
    """The pings of one connection. Whatever the peer sends is an answer.

    Args:
        interval: seconds between two pings.
        timeout: seconds from a ping until a peer that has not answered is given up.
        now: by a monotonic clock, in seconds, as every time here.
    """

    __slots__ = ("_interval", "_next_ping", "_timeout", "_unanswered_since")

    def __init__(self, interval: float, timeout: float, now: float) -> None:
        self._interval = interval
        self._timeout = timeout
        self._next_ping = now + interval
        self._unanswered_since: float | None = None
        """When the first ping was due that nothing has come after."""

    @property
    def due(self) -> float:
        """When to look next."""
        if self._unanswered_since is None:
            return self._next_ping
        return min(self._next_ping, self._unanswered_since + self._timeout)

    def look(self, now: float, *, heard: bool, has_read: bool, behind: bool) -> Verdict:
        """Return what to do now.

        Args:
            now: the time of the look.
            heard: whether the peer has sent anything since the last look.
            has_read: whether it has read anything that waited for it, or is held back by us.
            behind: whether much waits for it. It shows life by reading, then, not by what it sends.
        """
        if has_read or (heard and not behind):
            self._unanswered_since = None
        if self._unanswered_since is not None and now >= self._unanswered_since + self._timeout:
            return Verdict.GIVE_UP
        if now < self._next_ping:
            return Verdict.WAIT
        self._next_ping = now + self._interval
        if self._unanswered_since is None:
            self._unanswered_since = now
        return Verdict.WAIT if behind else Verdict.PING
