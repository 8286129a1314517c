"""One of the nodes of a backplane: sends envelopes, and hands each that comes to whoever has registered for its kind.

What nodes say to each other is one module a subject, which registers its kinds with `Node.on` and sends with
`Node.publish`: `membership`, `census`, and `cluster` for the messages themselves.
"""

from __future__ import annotations

import logging
import struct
from collections.abc import Callable, Sequence
from typing import TypeAlias

from ..backplane import channels
from ..backplane.contract import Backplane
from ..errors import BadEnvelopeError, ProtocolError
from ..hub.io import HubIO, get_hub_io
from ..hub.threads import make_lock
from ..metrics import counters
from .envelope import Envelope, Kind, decode, encode
from .ids import own_node
from .plausible import Rule, check
from .sequences import Gaps, Numbering

logger = logging.getLogger("gws.cluster")

Receive: TypeAlias = Callable[[str, Envelope], None]
"""Called with the channel and what came on it, in a greenlet of the hub. For what is made up, which is counted and
dropped, it may raise a `BadEnvelopeError`, `ProtocolError`, `ValueError`, `LookupError` or `struct.error`."""


class Node:
    """This process, as one of the nodes of a backplane.

    Args:
        backplane: not started.
        number: of this node.

    Attributes:
        heard: called with the number of a node from which something has come.
        io: of the hub in which it runs; None while it does not.
    """

    def __init__(self, backplane: Backplane, number: int | None = None) -> None:
        self.number = own_node() if number is None else number
        self.backplane = backplane
        self.io: HubIO | None = None
        self.heard: Callable[[int], None] = lambda node: None
        self._receivers: dict[tuple[Kind, str], tuple[Receive, Rule]] = {}
        self._numbering = Numbering()
        self._gaps = Gaps()
        self._subscribed: set[str] = set()
        self._lock = make_lock()
        """Of the native thread, around the number of a message and its place in the queue."""

    @property
    def is_ready(self) -> bool:
        """Whether the other nodes hear this one, and it hears them. Any thread."""
        return self.io is not None and self.backplane.is_ready

    def on(self, kind: Kind, receive: Receive, **rules: Rule) -> None:
        """Have what comes of a kind handed to a function.

        Args:
            kind: of the envelopes.
            receive: takes them.
            rules: what all of them have in common, by the place that they may come by: `all`, `node`, `endpoint` or
                `room`, as `channels.place_of` calls them.
        """
        for place, rule in rules.items():
            self._receivers[kind, place] = (receive, rule)

    def start(self) -> None:
        """Begin, in the caller's hub; does not wait.

        Raises:
            BackplaneError: it cannot in this process.
        """
        self.backplane.start(self._receive)
        self.io = get_hub_io()
        self.subscribe(channels.ALL)
        self.subscribe(channels.of_node(self.number))

    def close(self, seconds: float) -> None:
        """Send what is queued, in so many seconds at most, and end. In a greenlet of the hub."""
        self.backplane.close(seconds)
        self.io = None

    def forget_after_fork(self) -> None:
        """Leave the backplane to the process that this one was forked from."""
        self.backplane.abandon()
        self.io = None

    def publish(
        self,
        channel: str,
        kind: Kind,
        payload: bytes = b"",
        *,
        is_text: bool = False,
        ids: Sequence[str] = (),
        endpoint: str = "",
    ) -> None:
        """Send an envelope to all who hear a channel. Any thread; does not wait.

        Args:
            channel: of `backplane.channels`.
            kind: what is asked of them.
            payload: bytes of the message.
            is_text: whether the payload is text, in UTF-8.
            ids: of connections.
            endpoint: the name of the endpoint, where the channel does not name it.
        """
        with self._lock:
            number = self._numbering.number(channel)
            self.backplane.publish(
                channel, encode(Envelope(kind, self.number, number, payload, is_text, ids, endpoint))
            )

    def subscribe(self, channel: str) -> None:
        """Hear a channel as soon as the engine knows; does not wait. In the hub."""
        self._subscribed.add(channel)
        self.backplane.subscribe(channel)

    def unsubscribe(self, channel: str) -> None:
        """Hear it no more; one that was not subscribed to is no error. In the hub."""
        self._subscribed.discard(channel)
        self.backplane.unsubscribe(channel)
        self._gaps.forget_channel(channel)

    def forget(self, node: int) -> None:
        """Forget what a node has sent, which is gone."""
        self._gaps.forget_origin(node)

    def _receive(self, channel: str, data: bytes) -> None:
        """Do what another node asks for. Called by the backplane."""
        try:
            envelope = decode(data)
            if envelope.origin == self.number:
                return
            receiver = self._receivers.get((envelope.kind, channels.place_of(channel)))
            if receiver is None:
                raise BadEnvelopeError(f"a {envelope.kind.name} does not come by way of {channel!r}")
            receive, rule = receiver
            check(envelope, rule, self.number)
            receive(channel, envelope)
            # Behind it: what turns out to be made up says nothing of a node. A farewell is the last of one.
            if envelope.origin and envelope.kind is not Kind.FAREWELL:
                self.heard(envelope.origin)
                self._count_lost(channel, envelope)
            counters["backplane_received"] += 1
        except (BadEnvelopeError, ProtocolError, ValueError, LookupError, struct.error) as error:
            counters["backplane_malformed"] += 1
            logger.debug("what came from the backplane is no message: %s", error)
        except Exception:
            counters["callback_errors"] += 1
            logger.exception("a fault in gws lost one message of another node")

    def _count_lost(self, channel: str, envelope: Envelope) -> None:
        # What comes late on a channel that is heard no more says nothing, and would be remembered for ever.
        if channel not in self._subscribed:
            return
        lost = self._gaps.count(channel, envelope.origin, envelope.sequence)
        if lost:
            counters["backplane_lost"] += lost
