"""Messages that wait for one greenlet, up to a bound."""

from __future__ import annotations

from collections import deque
from typing import Final

from gevent.event import Event

from ..hub.io import HubIO, get_hub_io
from ..hub.threads import make_lock
from ..metrics import counters

MAX_SIZE: Final = 8 * 1024 * 1024
"""Bytes that wait: some seconds of a busy server, and little beside what its connections take."""
MAX_MESSAGES: Final = 20_000
"""Messages that wait, of which the smallest take five times their bytes."""


class Buffer:
    """A queue that never keeps a writer waiting: when it is full, the oldest are given up, since news is worth more."""

    def __init__(self, max_size: int = MAX_SIZE, max_messages: int = MAX_MESSAGES) -> None:
        self.dropped = 0
        """Messages given up, since the beginning."""
        self._max_size = max_size
        self._max_messages = max_messages
        self._messages: deque[tuple[str, bytes]] = deque()
        self._size = 0
        self._lock = make_lock()
        """Of the native thread: nothing may switch greenlets while it is held."""
        self._filled: Event | None = None
        self._io: HubIO | None = None

    def __len__(self) -> int:
        return len(self._messages)

    def attach(self) -> None:
        """Make the calling greenlet's hub the one that `wait` is called in."""
        self._io = get_hub_io()
        self._filled = Event()

    def append(self, channel: str, data: bytes) -> None:
        """Add a message. Any thread."""
        with self._lock:
            self._messages.append((channel, data))
            self._size += len(data)
            while len(self._messages) > 1 and (
                self._size > self._max_size or len(self._messages) > self._max_messages
            ):
                self._size -= len(self._messages.popleft()[1])
                self.dropped += 1
                counters["backplane_dropped"] += 1
            was_empty = len(self._messages) == 1
        if was_empty and self._io is not None and self._filled is not None:
            self._io.call(self._filled.set)

    def wait(self) -> None:
        """Wait until there is a message, or somebody calls `wake`. In a greenlet of the hub."""
        assert self._filled is not None
        self._filled.clear()
        if not self._messages:
            self._filled.wait()

    def wake(self) -> None:
        """Have whoever waits look at something else. In the hub."""
        if self._filled is not None:
            self._filled.set()

    def take(self, max_messages: int, max_size: int) -> list[tuple[str, bytes]]:
        """Take the messages that are there, without waiting.

        Args:
            max_messages: how many to take at most.
            max_size: bytes after which to take no more.
        """
        taken: list[tuple[str, bytes]] = []
        size = 0
        with self._lock:
            while self._messages and len(taken) < max_messages and size < max_size:
                message = self._messages.popleft()
                size += len(message[1])
                taken.append(message)
            self._size -= size
        return taken
