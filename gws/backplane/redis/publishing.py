"""What a node sends by way of Redis: pipelined, by one greenlet, on one connection."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Final

import gevent

from ...metrics import counters
from ..buffer import Buffer
from ..channels import ALL
from .link import LinkState, RedisLink
from .server import RedisServer, ping

BATCH: Final = 500
"""Messages that are sent before their answers are read."""
BATCH_SIZE: Final = 512 * 1024
"""Bytes of them: what is under way when the server goes away is lost."""
RETURN_TIMEOUT: Final = 6.0
"""Seconds for the other nodes to be back too, after the server was away: an attempt of theirs may be under way, and be
given up after `CONNECT_TIMEOUT`; then follows the longest pause between two."""
_LOOK_INTERVAL: Final = 0.05
_READ: Final = 1
"""libev's event for a socket that can be read."""


class RedisPublishing(RedisLink):
    """The link that sends.

    Args:
        server: where to connect to.
        tell: as the base class has it.
    """

    def __init__(self, server: RedisServer, tell: Callable[[Exception | None], None]) -> None:
        super().__init__(server, tell)
        self.buffer = Buffer()
        self.under_way = 0
        """Messages whose answers have not come."""
        self.unconfirmed = 0
        """Messages whose answers never came, since the beginning."""
        self._audience = 0
        """Nodes that heard the last message to all."""

    @property
    def node_count(self) -> int | None:
        """How many they are; None while a later one may be under way."""
        return None if self.buffer or self.under_way else self._audience

    def start(self) -> None:
        self.buffer.attach()
        super().start()

    def _ask(self) -> None:
        self.buffer.wake()

    def _use(self, connection: Any) -> None:
        self._wait_for_audience(connection)
        self._come_up()
        # While it has nothing to send, the greenlet reads nothing, and would not see the server hang up.
        watcher = gevent.get_hub().loop.io(connection._sock.fileno(), _READ)
        try:
            while True:
                self._wait(watcher)
                if self.state is LinkState.DOUBTED:
                    # Before anything is taken out of the buffer, which would be lost with the connection.
                    ping(connection)
                    self._come_up()
                self._publish(connection, self.buffer.take(BATCH, BATCH_SIZE))
        finally:
            watcher.stop()
            watcher.close()

    def _wait(self, watcher: Any) -> None:
        """Wait for a message to send, or for a doubt: what comes unasked is the end, or nothing but TLS's own."""
        if not self.buffer and self.state is not LinkState.DOUBTED:
            watcher.start(self.doubt)
            try:
                self.buffer.wait()
            finally:
                watcher.stop()

    def _publish(self, connection: Any, batch: list[tuple[str, bytes]]) -> None:
        everyone = f"{self._server.prefix}{ALL}"
        self.under_way = len(batch)
        try:
            commands = [("PUBLISH", f"{self._server.prefix}{channel}", data) for channel, data in batch]
            connection.send_packed_command(connection.pack_commands(commands), check_health=False)
            for _, channel, _ in commands:
                heard = connection.read_response()
                self.under_way -= 1
                counters["backplane_published"] += 1
                if channel == everyone:
                    self._audience = heard
        finally:
            if self.under_way:
                counters["backplane_unconfirmed"] += self.under_way
                self.unconfirmed += self.under_way
                self.under_way = 0

    def _wait_for_audience(self, connection: Any) -> None:
        """Keep what has waited until as many nodes listen as before the server went away."""
        deadline = time.monotonic() + RETURN_TIMEOUT
        listening = -1
        while listening < self._audience and time.monotonic() < deadline:
            if listening >= 0:
                gevent.sleep(_LOOK_INTERVAL)
            connection.send_command("PUBSUB", "NUMSUB", f"{self._server.prefix}{ALL}", check_health=False)
            _, listening = connection.read_response()
