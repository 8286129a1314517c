"""What a node sends by way of Redis: pipelined, by one greenlet, on one connection."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from ..hub_io import counters
from .buffer import Buffer
from .redis_link import RedisLink
from .redis_server import RedisServer

BATCH: Final = 500
"""Messages that are sent before their answers are read."""
BATCH_SIZE: Final = 512 * 1024
"""Bytes of them: what is under way when the server goes away is lost."""


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

    def start(self) -> None:
        self.buffer.attach()
        super().start()

    def _use(self, connection: Any) -> None:
        self._come_up()
        while True:
            batch = self.buffer.take(BATCH, BATCH_SIZE)
            self.under_way = len(batch)
            try:
                commands = [
                    ("PUBLISH", f"{self._server.namespace}:{channel}", data) for channel, data in batch
                ]
                connection.send_packed_command(connection.pack_commands(commands), check_health=False)
                while self.under_way:
                    connection.read_response()
                    self.under_way -= 1
                    counters["backplane_published"] += 1
            finally:
                if self.under_way:
                    counters["backplane_unconfirmed"] += self.under_way
                    self.under_way = 0
