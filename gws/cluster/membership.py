"""Which other nodes there are, by their heartbeats."""

from __future__ import annotations

from typing import Final

HEARTBEAT_INTERVAL: Final = 2.0
"""Seconds between the heartbeats of a node."""
LIFETIME: Final = 7.0
"""Seconds after which a node that nothing was heard of is dead: three heartbeats, and gone from every answer within
ten."""


class Peers:
    """The nodes that live, as far as is known here."""

    def __init__(self) -> None:
        self._heard: dict[int, float] = {}

    def __contains__(self, node: object) -> bool:
        return node in self._heard

    def alive(self) -> set[int]:
        """Their numbers."""
        return set(self._heard)

    def hear(self, node: int, now: float) -> None:
        """Something has come from a node, at this time of the monotonic clock."""
        self._heard[node] = now

    def forget(self, node: int) -> None:
        """Forget a node that says that it stops, or is dead."""
        self._heard.pop(node, None)

    def dead(self, now: float) -> list[int]:
        """Return the nodes of which nothing has been heard for too long."""
        return [node for node, heard in self._heard.items() if now - heard > LIFETIME]

    def excuse(self, now: float) -> None:
        """Nobody can be heard at this time: it says nothing of anyone's death."""
        self._heard = dict.fromkeys(self._heard, now)
