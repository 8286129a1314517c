"""A connection to a Redis server that is made anew whenever it is lost."""

from __future__ import annotations

import abc
import enum
import logging
import traceback
from collections.abc import Callable
from typing import Any, Final

import gevent
from gevent.event import AsyncResult
from redis.backoff import EqualJitterBackoff
from redis.exceptions import RedisError, ResponseError

from ...errors import BackplaneError
from .server import RedisServer

logger = logging.getLogger("gws.backplane")

_BACKOFF: Final = EqualJitterBackoff(cap=2.0, base=0.1)
"""Seconds between attempts: a server that is back is found within two, and a thousand nodes do not come at once."""


class LinkState(enum.Enum):
    """How much is known of a link."""

    DOWN = enum.auto()
    """It has no connection, or one on which the server has not answered yet."""
    DOUBTED = enum.auto()
    """It has one, of which something suggests that it is lost: the server has been asked, and has not answered."""
    UP = enum.auto()


class RedisLink(abc.ABC):
    """One greenlet, and the connection that it uses.

    Args:
        server: where to connect to.
        tell: called whenever the link has been made or lost, with the reason of a loss.
    """

    def __init__(self, server: RedisServer, tell: Callable[[Exception | None], None]) -> None:
        self.state = LinkState.DOWN
        self.first_attempt: AsyncResult[Exception | None] = AsyncResult()
        """What became of it."""
        self._server = server
        self._tell = tell
        self._greenlet: gevent.Greenlet[..., None] | None = None

    def start(self) -> None:
        """Begin, in the calling greenlet's hub."""
        self._greenlet = gevent.spawn(self._run)

    def stop(self) -> None:
        """End; what is under way is broken off."""
        if self._greenlet is not None:
            self._greenlet.kill()
        if not self.first_attempt.ready():
            # Whoever waits for it need not any more: a worker that is told to stop while it starts.
            self.first_attempt.set(None)

    def abandon(self) -> None:
        """End as soon as the hub runs; does not wait."""
        if self._greenlet is not None:
            self._greenlet.kill(block=False)

    def doubt(self) -> None:
        """Have the server show that it is still there: the link counts as up again when it has. In the hub."""
        if self.state is not LinkState.DOWN:
            self.state = LinkState.DOUBTED
            self._ask()

    @abc.abstractmethod
    def _ask(self) -> None:
        """Have the link's greenlet send a ping soon, which ends in `_come_up` or in the loss of the connection."""

    @abc.abstractmethod
    def _use(self, connection: Any) -> None:
        """Use a new connection until it is lost.

        Raises:
            RedisError, OSError: it is.
        """

    def _come_up(self) -> None:
        self.state = LinkState.UP
        self._tell(None)
        self.first_attempt.set(None)

    def _fail(self, error: Exception) -> None:
        if isinstance(error, ResponseError):
            # Such as a user who may not publish.
            error = BackplaneError(f"{self._server.url} refuses: {self._server.reason(error)}")
        self._tell(error)
        self.first_attempt.set(error)

    def _run(self) -> None:
        failures = 0
        while True:
            try:
                connection = self._server.connect()
                try:
                    failures = 0
                    self._use(connection)
                finally:
                    self.state = LinkState.DOWN
                    connection.disconnect()
            except (RedisError, BackplaneError, OSError) as error:
                self._fail(error)
            except Exception as error:  # noqa: BLE001 - logged, without the password that it may hold
                logger.error(
                    "a fault in gws ended one connection to the backplane\n%s",
                    self._server.censor(traceback.format_exc()),
                )
                self._fail(error)
            failures += 1
            gevent.sleep(_BACKOFF.compute(failures))
