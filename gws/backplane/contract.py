"""What every engine does for the node that uses it."""

from __future__ import annotations

import abc
from collections.abc import Callable


class Backplane(abc.ABC):
    """Carries messages between nodes: at most once, and in order from one sender on one channel.

    A node hears what it publishes itself, if it has subscribed to the channel.
    """

    @property
    @abc.abstractmethod
    def is_ready(self) -> bool:
        """Whether what is published goes out, and what was subscribed to comes in. Any thread."""

    @property
    @abc.abstractmethod
    def node_count(self) -> int | None:
        """Nodes that heard the last message to all, with this one; None as long as that is not known. In the hub."""

    @abc.abstractmethod
    def start(self, receive: Callable[[str, bytes], None]) -> None:
        """Begin, in the hub of the caller; does not wait.

        Args:
            receive: called in a greenlet of that hub with the channel and the message. It must not raise.
        """

    @abc.abstractmethod
    def wait_for_answer(self) -> None:
        """Wait for a first answer of the engine, some seconds at most. An unreachable engine is no error yet.

        Raises:
            BackplaneError: this can never work: the password is refused, or what answers is no such engine.
        """

    @abc.abstractmethod
    def publish(self, channel: str, data: bytes) -> None:
        """Send to the nodes that have subscribed to a channel; queues and returns at once. Any thread."""

    @abc.abstractmethod
    def has_listeners(self, channel: str) -> bool:
        """Return False only if it is certain that another node does not hear what is published now. Any thread."""

    @abc.abstractmethod
    def subscribe(self, channel: str) -> None:
        """Hear a channel as soon as the engine knows; does not wait. In the hub."""

    @abc.abstractmethod
    def unsubscribe(self, channel: str) -> None:
        """Hear it no more; one that was not subscribed to is no error. In the hub."""

    @abc.abstractmethod
    def wait_subscribed(self, channel: str, seconds: float) -> bool:
        """Wait in a greenlet until what is published to the channel from now on is heard; False if not in time."""

    @abc.abstractmethod
    def abandon(self) -> None:
        """End in a forked process, whose parent goes on with the same connections; does not wait."""

    @abc.abstractmethod
    def close(self, seconds: float) -> None:
        """Send what is queued, for so long at most, and end. Idempotent. In a greenlet of the hub."""
