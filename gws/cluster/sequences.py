"""Numbers what a node sends on each channel, and counts what others have sent and this one has not had."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

MAX_CHANNELS: Final = 10_000
"""Channels whose next number is kept; one that has not been sent on for longer than that begins anew, with 0."""


class Numbering:
    """The numbers of what is sent, by channel."""

    def __init__(self) -> None:
        self._next: OrderedDict[str, int] = OrderedDict()

    def number(self, channel: str) -> int:
        """Return the number of what is sent on a channel now."""
        number = self._next.pop(channel, 0)
        self._next[channel] = number + 1
        if len(self._next) > MAX_CHANNELS:
            self._next.popitem(last=False)
        return number


class Gaps:
    """What came, by channel and origin."""

    def __init__(self) -> None:
        self._expected: dict[str, dict[int, int]] = {}

    def count(self, channel: str, origin: int, number: int) -> int:
        """How many messages are missing between the last one and this one.

        The first of an origin on a channel misses nothing: this node did not listen before. Nor does a 0, with which
        an origin begins, or begins anew.
        """
        expected = self._expected.setdefault(channel, {})
        missing = number - expected.get(origin, number)
        expected[origin] = number + 1
        return max(missing, 0)

    def forget_channel(self, channel: str) -> None:
        """Forget a channel that this node listens to no more."""
        self._expected.pop(channel, None)

    def forget_origin(self, origin: int) -> None:
        """Forget a node that is gone."""
        for expected in self._expected.values():
            expected.pop(origin, None)
