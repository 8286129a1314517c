"""Which other nodes live: each says so every two seconds, and when it stops."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Final

import gevent

from ..backplane import channels
from .envelope import Envelope, Kind
from .node import Node
from .plausible import Rule

HEARTBEAT_INTERVAL: Final = 2.0
"""Seconds between the heartbeats of a node."""
LIFETIME: Final = 7.0
"""Seconds after which a node that nothing was heard of is dead: three heartbeats, and gone from every answer within
ten."""
GREETING_TIMEOUT: Final = 1.0
"""Seconds for the others to know a new node; to those that are later, its connections do not exist yet."""

_GREETING: Final = b"?"
"""The payload of a heartbeat that asks for one in return."""


class Membership:
    """The other nodes of a backplane, as far as this one knows them.

    Args:
        node: this one.

    Attributes:
        gone: called with the number of each node that has stopped, or is dead.
    """

    def __init__(self, node: Node) -> None:
        self.gone: list[Callable[[int], None]] = [node.forget]
        self._node = node
        self._last_heard: dict[int, float] = {}
        """When something has come from each node, by the monotonic clock."""
        self._greeted: set[int] = set()
        """Nodes that have answered this one, so that they know it."""
        self._timer: Any = None
        node.heard = self._hear
        node.on(
            Kind.HEARTBEAT,
            self._receive_heartbeat,
            all=Rule(payloads=(b"", _GREETING)),
            node=Rule(payloads=(b"",)),
        )
        node.on(Kind.FAREWELL, self._receive_farewell, all=Rule(payloads=(b"",)))

    def __contains__(self, node: object) -> bool:
        return node in self._last_heard

    def alive(self) -> set[int]:
        """Return their numbers; none while this node is not ready. Any thread."""
        io = self._node.io
        if io is not None and io.is_current():
            self._forget_the_dead()
        return set(self._last_heard) if self._node.is_ready else set()

    def start(self) -> None:
        """Greet the others, and say from now on that this node lives. In the hub; does not wait."""
        assert self._node.io is not None
        self._greet()
        # Nothing waits for it: a program that has nothing else to do may end.
        self._timer = self._node.io.loop.timer(HEARTBEAT_INTERVAL, HEARTBEAT_INTERVAL, ref=False)
        self._timer.start(self._beat)

    def wait_until_known(self) -> None:
        """Wait until all others know this node, `GREETING_TIMEOUT` at most. In a greenlet."""
        # Answers to what `start` asked may have come before they could be heard.
        self._greet()
        deadline = time.monotonic() + GREETING_TIMEOUT
        while not self._is_known() and time.monotonic() < deadline:
            gevent.sleep(0.01)

    def say_farewell(self) -> None:
        """Tell the others that this node stops. In the hub; does not wait."""
        self.stop()
        self._node.publish(channels.ALL, Kind.FAREWELL)

    def stop(self) -> None:
        """Say no more that this node lives."""
        if self._timer is not None:
            self._timer.stop()
            self._timer.close()
            self._timer = None

    def _greet(self) -> None:
        self._node.publish(channels.ALL, Kind.HEARTBEAT, _GREETING)

    def _is_known(self) -> bool:
        count = self._node.backplane.node_count
        return count is not None and len(self._greeted) >= count - 1

    def _hear(self, node: int) -> None:
        self._last_heard[node] = time.monotonic()

    def _receive_heartbeat(self, channel: str, envelope: Envelope) -> None:
        if envelope.payload:
            self._node.publish(channels.of_node(envelope.origin), Kind.HEARTBEAT)
        elif channel != channels.ALL:
            self._greeted.add(envelope.origin)

    def _receive_farewell(self, channel: str, envelope: Envelope) -> None:
        self._forget(envelope.origin)

    def _beat(self) -> None:
        """Say that this node lives, and see which others do not. A callback of the hub."""
        self._forget_the_dead()
        self._node.publish(channels.ALL, Kind.HEARTBEAT)

    def _forget_the_dead(self) -> None:
        now = time.monotonic()
        if not self._node.backplane.is_ready:
            # Nobody can be heard: it says nothing of anyone's death.
            self._last_heard = dict.fromkeys(self._last_heard, now)
        for node in [node for node, heard in self._last_heard.items() if now - heard > LIFETIME]:
            self._forget(node)

    def _forget(self, node: int) -> None:
        self._last_heard.pop(node, None)
        self._greeted.discard(node)
        for tell in self.gone:
            tell(node)
