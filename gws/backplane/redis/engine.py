"""`redis://` and its like: nodes on any number of machines, by way of a Redis or Valkey server."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Final

import gevent
from gevent import monkey

from ...errors import BackplaneError
from ...metrics import counters
from ..contract import Backplane
from .link import LinkState
from .listening import RedisListening
from .publishing import RedisPublishing
from .server import RedisServer

logger = logging.getLogger("gws.backplane")

CHECK_TIMEOUT: Final = 10.0
"""Seconds for a first answer: for a connection and for what is said on it."""


class RedisBackplane(Backplane):
    """Two connections: one publishes, one subscribes.

    Args:
        url: the server's.

    Raises:
        BackplaneError: the URL has a part that cannot be.
    """

    def __init__(self, url: str) -> None:
        self._server = RedisServer(url, self._prepare)
        self._publishing = RedisPublishing(self._server, self._tell)
        self._listening = RedisListening(self._server, self._tell, self._pass_on)
        self._receive: Callable[[str, bytes], None] | None = None
        self._is_checking = False
        """Whether somebody waits to be told why it can never work."""
        self._is_away = False
        """Whether the log says so."""

    @property
    def is_ready(self) -> bool:
        return self._publishing.state is self._listening.state is LinkState.UP

    @property
    def node_count(self) -> int | None:
        return self._publishing.node_count

    def start(self, receive: Callable[[str, bytes], None]) -> None:
        """Begin.

        Raises:
            BackplaneError: the standard library is not patched for gevent, so that waiting would stop the hub.
        """
        if not monkey.is_module_patched("socket"):
            raise BackplaneError(
                f"{self._server.url} takes a program that begins with "
                "`from gevent import monkey; monkey.patch_all()`"
            )
        self._receive = receive
        self._publishing.start()
        self._listening.start()

    def wait_for_answer(self) -> None:
        deadline = time.monotonic() + CHECK_TIMEOUT
        self._is_checking = True
        try:
            for link in (self._publishing, self._listening):
                link.first_attempt.wait(max(deadline - time.monotonic(), 0))
                if isinstance(link.first_attempt.value, BackplaneError):
                    raise link.first_attempt.value
        finally:
            self._is_checking = False

    def publish(self, channel: str, data: bytes) -> None:
        self._publishing.buffer.append(channel, data)

    def has_listeners(self, channel: str) -> bool:
        return True

    def subscribe(self, channel: str) -> None:
        self._listening.subscribe(channel)

    def unsubscribe(self, channel: str) -> None:
        self._listening.unsubscribe(channel)

    def wait_subscribed(self, channel: str, seconds: float) -> bool:
        return self._listening.wait_subscribed(channel, seconds)

    def abandon(self) -> None:
        # redis-py does not shut down what another process has connected.
        self._publishing.abandon()
        self._listening.abandon()

    def close(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while self._publishing.state is not LinkState.DOWN and (
            self._publishing.buffer or self._publishing.under_way
        ):
            if time.monotonic() > deadline:
                break
            gevent.sleep(0.01)
        self._publishing.stop()
        self._listening.stop()

    def _prepare(self) -> None:
        """Prepare for a connection; called before each one, and may wait.

        Raises:
            BackplaneError: there can be none.
        """

    def _pass_on(self, channel: str, data: bytes) -> None:
        if self._receive is not None:
            self._receive(channel, data)

    def _tell(self, error: Exception | None) -> None:
        """Log once that the server is unreachable, and once that it is back."""
        if error is not None:
            # What has cut off one link may have cut off the other, which would only see it when it next writes.
            self._publishing.doubt()
            self._listening.doubt()
            if not self._is_away and not (self._is_checking and isinstance(error, BackplaneError)):
                self._is_away = True
                logger.error(
                    "backplane %s unreachable (%s); broadcasts stay in this process until it is back",
                    self._server.url,
                    self._server.reason(error),
                )
        elif self.is_ready and self._is_away:
            self._is_away = False
            counters["backplane_reconnects"] += 1
            logger.warning(
                "backplane %s reconnected; %d messages dropped, %d unconfirmed since start",
                self._server.url,
                self._publishing.buffer.dropped,
                self._publishing.unconfirmed,
            )
