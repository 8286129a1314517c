"""`memory://`: the nodes of one process."""

from __future__ import annotations

from collections.abc import Callable

import gevent

from .buffer import Buffer
from .channels import ALL
from .contract import Backplane

_BATCH = 100
_BATCH_SIZE = 1024 * 1024

_listeners: dict[str, dict[MemoryBackplane, None]] = {}
"""By channel."""


class MemoryBackplane(Backplane):
    """Each node has a greenlet that opens what the others have put there."""

    def __init__(self) -> None:
        self._incoming = Buffer()
        self._greenlet: gevent.Greenlet[..., None] | None = None

    @property
    def is_ready(self) -> bool:
        return self._greenlet is not None

    @property
    def node_count(self) -> int | None:
        return len(_listeners.get(ALL, ()))

    def start(self, receive: Callable[[str, bytes], None]) -> None:
        self._incoming.attach()
        self._greenlet = gevent.spawn(self._pass_on, receive)

    def wait_for_answer(self) -> None:
        pass

    def publish(self, channel: str, data: bytes) -> None:
        for listener in tuple(_listeners.get(channel, ())):
            listener._incoming.append(channel, data)

    def has_listeners(self, channel: str) -> bool:
        return any(listener is not self for listener in tuple(_listeners.get(channel, ())))

    def subscribe(self, channel: str) -> None:
        _listeners.setdefault(channel, {})[self] = None

    def unsubscribe(self, channel: str) -> None:
        listeners = _listeners.get(channel, {})
        listeners.pop(self, None)
        if not listeners:
            _listeners.pop(channel, None)

    def wait_subscribed(self, channel: str, seconds: float) -> bool:
        return self in _listeners.get(channel, {})

    def abandon(self) -> None:
        for channel in [name for name, listeners in _listeners.items() if self in listeners]:
            self.unsubscribe(channel)
        if self._greenlet is not None:
            self._greenlet.kill(block=False)
            self._greenlet = None

    def close(self, seconds: float) -> None:
        self.abandon()

    def _pass_on(self, receive: Callable[[str, bytes], None]) -> None:
        while True:
            self._incoming.wait()
            for channel, data in self._incoming.take(_BATCH, _BATCH_SIZE):
                receive(channel, data)
