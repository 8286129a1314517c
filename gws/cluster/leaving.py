"""Takes connections that are over out of their rooms: however many these are, the hub is not held up."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import Final

import gevent

from ..hub.io import HubIO
from ..hub.threads import poll_once

AT_ONCE: Final = 32
"""Rooms that are left without ado, which takes less than a message to each."""
TURN: Final = 0.002
"""Seconds for which rooms are left before the connections have their turn."""


class _Leaving:
    """What is still to be left, in one hub, by one greenlet."""

    def __init__(self) -> None:
        self._waiting: deque[tuple[Callable[[str], None], set[str]]] = deque()

    def add(self, leave: Callable[[str], None], rooms: set[str]) -> None:
        self._waiting.append((leave, rooms))
        if len(self._waiting) == 1:
            gevent.spawn(self._run)

    def _run(self) -> None:
        while self._waiting:
            end = time.monotonic() + TURN
            while self._waiting and time.monotonic() < end:
                leave, rooms = self._waiting[0]
                leave(rooms.pop())
                if not rooms:
                    self._waiting.popleft()
            poll_once()


_of_hub: dict[HubIO, _Leaving] = {}


def leave_all(io: HubIO, leave: Callable[[str], None], rooms: set[str]) -> None:
    """Call `leave` for every room, and empty the set: at once if they are few, else while others have their turn.

    In the hub.
    """
    if len(rooms) > AT_ONCE:
        _of_hub.setdefault(io, _Leaving()).add(leave, rooms)
        return
    while rooms:
        leave(rooms.pop())
