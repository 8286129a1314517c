"""What a node hears by way of Redis: its subscriptions, on one connection, and a probe that this is not deaf."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable
from typing import Any, Final

import gevent
from gevent.event import Event
from redis.exceptions import RedisError

from ...hub.threads import poll_once
from .link import LinkState, RedisLink
from .server import RedisServer

logger = logging.getLogger("gws.backplane")

PROBE_INTERVAL: Final = 2.0
"""Seconds between pings; a connection on which nothing comes for `ANSWER_TIMEOUT` is deaf, and made anew."""
TURN: Final = 0.005
"""Seconds for which a flood may keep the hub before the connections have their turn."""
LATE: Final = 1.0
"""Seconds of delay that are worth a line in the log."""
_BATCH: Final = 1000


class RedisListening(RedisLink):
    """The link that receives.

    Args:
        server: where to connect to.
        tell: as the base class has it.
        receive: called in the link's greenlet with each message and its channel.
    """

    def __init__(
        self,
        server: RedisServer,
        tell: Callable[[Exception | None], None],
        receive: Callable[[str, bytes], None],
    ) -> None:
        super().__init__(server, tell)
        self._receive = receive
        self._prefix = server.prefix
        self._wanted: dict[str, None] = {}
        self._changed: dict[str, None] = {}
        """Channels that the server may have to be told about."""
        self._known: set[str] = set()
        """Those that this connection has asked for."""
        self._unconfirmed: Counter[str] = Counter()
        """How often it has asked without an answer: the first answer says nothing of a channel that was left since, and
        asked for again."""
        self._awaited: dict[str, Event] = {}
        self._wake = Event()
        self._next_probe = 0.0
        self._doubted_at = 0.0
        """What the server answers to a ping of before says nothing."""
        self._is_late = False

    def subscribe(self, channel: str) -> None:
        """Hear a channel; does not wait."""
        self._wanted[channel] = None
        self._change(channel)

    def unsubscribe(self, channel: str) -> None:
        """Hear it no more."""
        self._wanted.pop(channel, None)
        self._change(channel)
        self._let_go(channel)

    def wait_subscribed(self, channel: str, seconds: float) -> bool:
        """Wait until the server has confirmed a channel; at once False while it is unreachable."""
        if self.state is not LinkState.DOWN and channel in self._wanted and not self._is_heard(channel):
            self._awaited.setdefault(channel, Event()).wait(seconds)
        return self._is_heard(channel)

    def _is_heard(self, channel: str) -> bool:
        return channel in self._wanted and channel in self._known and channel not in self._unconfirmed

    def _change(self, channel: str) -> None:
        self._changed[channel] = None
        self._wake.set()

    def _ask(self) -> None:
        self._doubted_at = time.monotonic()
        self._next_probe = 0.0
        self._wake.set()

    def _use(self, connection: Any) -> None:
        self._known.clear()
        self._unconfirmed.clear()
        # The first one last: who hears what is for all hears the rest.
        self._changed = dict.fromkeys(reversed(self._wanted))
        writer = gevent.spawn(self._write, connection, gevent.getcurrent())
        try:
            self._read(connection)
        finally:
            writer.kill()
            for event in self._awaited.values():
                event.set()
            self._awaited.clear()

    def _write(self, connection: Any, reader: Any) -> None:
        self._next_probe = 0.0
        try:
            while True:
                while self._changed:
                    changed, self._changed = list(self._changed), {}
                    for at in range(0, len(changed), _BATCH):
                        self._write_changes(connection, changed[at : at + _BATCH])
                now = time.monotonic()
                if now >= self._next_probe:
                    self._next_probe = now + PROBE_INTERVAL
                    connection.send_command("PING", repr(now), check_health=False)
                self._wake.clear()
                if not self._changed:
                    self._wake.wait(max(self._next_probe - now, 0))
        except (RedisError, OSError) as error:
            gevent.kill(reader, error)

    def _write_changes(self, connection: Any, changed: list[str]) -> None:
        new = [channel for channel in changed if channel in self._wanted and channel not in self._known]
        old = [channel for channel in changed if channel not in self._wanted and channel in self._known]
        # Before it is sent, which may wait: the answer may be there first.
        self._known.update(new)
        self._known.difference_update(old)
        self._unconfirmed.update(new)
        for command, channels in (("SUBSCRIBE", new), ("UNSUBSCRIBE", old)):
            if channels:
                names = [f"{self._prefix}{channel}" for channel in channels]
                connection.send_command(command, *names, check_health=False)

    def _read(self, connection: Any) -> None:
        turn = time.monotonic()
        while True:
            answer: Any = connection.read_response(disable_decoding=True)
            # Without subscriptions a ping is answered with what it said, and nothing around it.
            kind, *rest = answer if isinstance(answer, list) else (b"pong", answer)
            if kind == b"message":
                self._receive(rest[0].decode().removeprefix(self._prefix), rest[1])
            elif kind == b"subscribe":
                self._confirm(rest[0].decode().removeprefix(self._prefix))
            elif kind == b"pong":
                self._measure(float(rest[0]))
            now = time.monotonic()
            if now - turn > TURN:
                poll_once()
                turn = time.monotonic()

    def _confirm(self, channel: str) -> None:
        self._unconfirmed[channel] -= 1
        if self._unconfirmed[channel] <= 0:
            del self._unconfirmed[channel]
        if self._is_heard(channel):
            self._let_go(channel)

    def _let_go(self, channel: str) -> None:
        """Have those go on who wait for a channel."""
        event = self._awaited.pop(channel, None)
        if event is not None:
            event.set()

    def _measure(self, asked: float) -> None:
        """Say so when this process falls behind what the others send, and when it has caught up.

        Args:
            asked: when the ping was sent that has been answered.
        """
        delay = time.monotonic() - asked
        if self.state is not LinkState.UP and asked >= self._doubted_at:
            # The server answers in order: it has confirmed everything that was asked for before.
            self._come_up()
        if delay > LATE and not self._is_late:
            logger.warning(
                "this process hears the others %.1f s late: they send more than it can take", delay
            )
        elif self._is_late and delay <= LATE:
            logger.warning("this process hears the others in time again")
        self._is_late = delay > LATE
