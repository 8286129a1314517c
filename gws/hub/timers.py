"""Timers that connections of one hub share: those that are due at about the same time are looked at together.

A timer of its own for each connection would have the process wake up twice for every single ping.
"""

from __future__ import annotations

import math
import time
from typing import Any, Protocol


class HasKeepalive(Protocol):
    """A connection, as far as its timer is concerned."""

    def keep_alive(self) -> None:
        """Do what is due; it must not raise."""


class SharedTimer(dict[HasKeepalive, None]):
    """Connections due in the same interval; each removes itself when it closes."""

    __slots__ = ("timer",)

    def __init__(self, timer: Any) -> None:
        super().__init__()
        self.timer = timer


class SharedTimers:
    """The timers of one hub, each shared by those that are due in the same interval.

    Args:
        loop: the hub's.
    """

    def __init__(self, loop: Any) -> None:
        self._loop = loop
        self._timers: dict[tuple[float, int], SharedTimer] = {}

    def add(self, connection: HasKeepalive, when: float, width: float) -> SharedTimer:
        """Have a connection looked at.

        Args:
            connection: whose `keep_alive` is to be called, once.
            when: by the monotonic clock, in seconds.
            width: seconds by which that may be late.
        """
        number = math.ceil(when / width)
        shared = self._timers.get((width, number))
        if shared is None:
            seconds = max(number * width - time.monotonic(), 0.0)
            shared = self._timers[width, number] = SharedTimer(self._loop.timer(seconds))
            shared.timer.start(self._look, width, number, update=True)
        shared[connection] = None
        return shared

    def _look(self, width: float, number: int) -> None:
        shared = self._timers.pop((width, number))
        shared.timer.close()
        for connection in tuple(shared):
            # One may end another.
            if connection in shared:
                connection.keep_alive()
