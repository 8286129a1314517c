"""Timers that connections of one hub share: those that are due at about the same time are looked at together.

A timer of its own for each connection would have the process wake up twice for every single ping.
"""

from __future__ import annotations

import math
import time
from typing import Any, Protocol


class HasKeepalive(Protocol):
    """A connection, as far as a slot is concerned."""

    def keep_alive(self) -> None:
        """Do what is due; it must not raise."""


class Slot(dict[HasKeepalive, None]):
    """Connections due in the same interval; each removes itself when it closes."""

    __slots__ = ("timer",)

    def __init__(self, timer: Any) -> None:
        super().__init__()
        self.timer = timer


class HubSlots:
    """The slots of one hub.

    Args:
        loop: the hub's.
    """

    def __init__(self, loop: Any) -> None:
        self._loop = loop
        self._slots: dict[tuple[float, int], Slot] = {}

    def add(self, connection: HasKeepalive, when: float, width: float) -> Slot:
        """Have a connection looked at.

        Args:
            connection: whose `keep_alive` is to be called, once.
            when: by the monotonic clock, in seconds.
            width: seconds by which that may be late.
        """
        number = math.ceil(when / width)
        slot = self._slots.get((width, number))
        if slot is None:
            seconds = max(number * width - time.monotonic(), 0.0)
            slot = self._slots[width, number] = Slot(self._loop.timer(seconds))
            slot.timer.start(self._look, width, number, update=True)
        slot[connection] = None
        return slot

    def _look(self, width: float, number: int) -> None:
        slot = self._slots.pop((width, number))
        slot.timer.close()
        for connection in tuple(slot):
            # One may end another.
            if connection in slot:
                connection.keep_alive()
