"""The connections of this process and those of all others as one: send_to, broadcast and rooms, from anywhere."""

from __future__ import annotations

import logging
import struct
import time
import weakref
from collections.abc import Collection
from typing import Any, Final, Protocol

import gevent

from ..backplane import channels
from ..backplane.contract import Backplane
from ..connection.connection import Connection
from ..errors import BadEnvelopeError, ProtocolError, WouldBlockError
from ..hub.io import HubIO, get_hub_io
from ..hub.threads import in_coroutine, in_hub, make_lock
from ..metrics import counters
from ..protocol.encoding import encode_message
from ..protocol.frames import Close, Opcode, check_close, encode_close_payload, encode_frame, parse_close
from ..protocol.messages import Message
from .census import Census, Question, parse_question
from .envelope import Envelope, Kind, check_excluded, decode, encode
from .ids import node_of, own_node
from .membership import HEARTBEAT_INTERVAL, Peers
from .plausible import check as check_plausible
from .registry import registry
from .sequences import Gaps, Numbering

logger = logging.getLogger("gws.cluster")

JOIN_TIMEOUT: Final = 1.0
"""Seconds for the backplane to confirm that a room is heard; it will be, if it takes longer."""

GREETING_TIMEOUT: Final = 1.0
"""Seconds for the others to know a new node; to those that are later, its connections do not exist yet."""


class Endpoint(Protocol):
    """A WebSocket endpoint, as far as other nodes are concerned."""

    @property
    def name(self) -> str:
        """What it is called on all nodes."""

    def __hash__(self) -> int:
        """As every object."""


class Cluster:
    """This process as one of the nodes of a backplane.

    Args:
        backplane: not started.
        node: the number of this node.
    """

    def __init__(self, backplane: Backplane, node: int | None = None) -> None:
        self.node = own_node() if node is None else node
        self._backplane = backplane
        self._io: HubIO | None = None
        """Of the hub that it runs in, once it does."""
        self._endpoints: dict[str, weakref.WeakSet[Endpoint]] = {}
        self._heard: dict[str, tuple[str, str | None]] = {}
        """The endpoint and the room of each channel that is subscribed to."""
        self._peers = Peers()
        self._greeted: set[int] = set()
        """Nodes that have answered this one, so that they know it."""
        self._numbering = Numbering()
        self._gaps = Gaps()
        self._census = Census(self._publish)
        self._lock = make_lock()
        """Of the native thread, around the number of a message and its place in the queue."""
        self._timer: Any = None

    @property
    def is_ready(self) -> bool:
        """Whether the other nodes hear this one, and it hears them. Any thread."""
        return self._io is not None and self._backplane.is_ready

    @property
    def listening(self) -> int | None:
        """Nodes that hear each other, with this one; None as long as that is not known. In the hub."""
        return self._backplane.listening

    # Beginning and end

    def start(self) -> None:
        """Begin, in the caller's hub; does not wait. Idempotent.

        Raises:
            BackplaneError: it cannot in this process.
        """
        if self._io is not None:
            return
        self._backplane.start(self._receive)
        self._io = get_hub_io()
        self._backplane.subscribe(channels.ALL)
        self._backplane.subscribe(channels.of_node(self.node))
        for name in self._endpoints:
            self._listen(name)
        self._publish(channels.ALL, Kind.HEARTBEAT, payload=b"?")
        # Nothing waits for it: a program that has nothing else to do may end.
        self._timer = self._io.loop.timer(HEARTBEAT_INTERVAL, HEARTBEAT_INTERVAL, ref=False)
        self._timer.start(self._beat)

    def check(self) -> None:
        """Wait for a first answer of the backplane, some seconds at most, and for those of the other nodes.

        Raises:
            BackplaneError: there will never be one.
        """
        self._backplane.check()
        if self.is_ready:
            # Answers to what `start` asked may have come before they could be heard.
            self._publish(channels.ALL, Kind.HEARTBEAT, payload=b"?")
            deadline = time.monotonic() + GREETING_TIMEOUT
            while not self._is_known() and time.monotonic() < deadline:
                gevent.sleep(0.01)

    def _is_known(self) -> bool:
        listening = self._backplane.listening
        return listening is not None and len(self._greeted) >= listening - 1

    def close(self, seconds: float) -> None:
        """Say farewell to the others and end, in so many seconds at most. In a greenlet of the hub."""
        if self._timer is not None:
            self._stop_timer()
            self._publish(channels.ALL, Kind.FAREWELL)
            self._backplane.close(seconds)
            self._io = None

    def abandon(self) -> None:
        """Leave the backplane to the process that this one was forked from."""
        if self._timer is not None:
            self._stop_timer()
            self._backplane.abandon()
            self._io = None

    def _stop_timer(self) -> None:
        self._timer.stop()
        self._timer.close()
        self._timer = None

    def add(self, endpoint: Endpoint) -> None:
        """Have an endpoint hear what other nodes send to it."""
        name = endpoint.name
        if name not in self._endpoints:
            self._endpoints[name] = weakref.WeakSet()
            if self._io is not None:
                self._io.call(self._listen, name)
        self._endpoints[name].add(endpoint)

    def _listen(self, name: str, room: str | None = None) -> None:
        channel = channels.of_endpoint(name, room)
        self._heard[channel] = (name, room)
        self._backplane.subscribe(channel)

    # Sending

    def broadcast(
        self, endpoint: Endpoint, message: Message, room: str | None = None, exclude: Collection[str] = ()
    ) -> None:
        """Send to every connection of an endpoint, or of a room of it, but some. Any thread; never waits for a client.

        Args:
            endpoint: whose connections.
            message: text or binary.
            room: its name.
            exclude: ids of those that do not get it; at most 255. An unknown one is no error.

        Raises:
            TypeError: the room is no `str`, or `exclude` one id.
            ValueError: the room's name is too long, or too many are to be left out.
        """
        frame = encode_message(message)
        if room is not None:
            channels.check_room(room)
        check_excluded(exclude)
        # First: those who are near get it whatever becomes of the backplane.
        registry.broadcast(endpoint, frame, room, exclude)
        channel = channels.of_endpoint(endpoint.name, room)
        if self._backplane.has_listeners(channel):
            elsewhere = [one for one in exclude if node_of(one) not in (self.node, None)]
            self._publish_message(channel, Kind.BROADCAST, message, ids=elsewhere)

    def send_to(self, endpoint: Endpoint, connection_id: object, message: Message) -> bool:
        """Send to one connection of an endpoint. Any thread; never waits.

        Returns:
            Whether it was queued, or handed on to the node that has the connection.
        """
        if registry.send_to(endpoint, connection_id, encode_message(message)):
            return True
        node = self._other_node(connection_id)
        if node is None:
            return False
        self._publish_message(
            channels.of_node(node), Kind.SEND, message, ids=[str(connection_id)], endpoint=endpoint.name
        )
        return True

    def close_connection(self, endpoint: Endpoint, connection_id: object, close: Close) -> bool:
        """Close a connection of an endpoint, in order. Any thread; does not wait.

        Returns:
            Whether there was one, or the node that has it was told.
        """
        if _close(registry.get(endpoint, connection_id), close):
            return True
        node = self._other_node(connection_id)
        if node is None:
            return False
        self._publish(
            channels.of_node(node),
            Kind.CLOSE,
            payload=encode_close_payload(close),
            ids=[str(connection_id)],
            endpoint=endpoint.name,
        )
        return True

    def _other_node(self, connection_id: object) -> int | None:
        """Return the node of an id, if it is another one, and lives."""
        node = node_of(connection_id)
        return node if node in self._peers else None

    def _publish_message(
        self, channel: str, kind: Kind, message: Message, ids: Collection[str], endpoint: str = ""
    ) -> None:
        is_text = isinstance(message, str)
        payload = message.encode() if isinstance(message, str) else message
        self._publish(channel, kind, payload=payload, is_text=is_text, ids=ids, endpoint=endpoint)

    def _publish(self, channel: str, kind: Kind, **fields: Any) -> None:
        with self._lock:
            number = self._numbering.number(channel)
            data = encode(Envelope(kind, self.node, number, **fields))
            self._backplane.publish(channel, data)

    # Rooms

    def join(self, endpoint: Endpoint, room: str, connection_id: str, connection: Connection) -> None:
        """Put a connection of this process into a room. In the hub; does not wait."""
        is_new = not registry.has_room(endpoint, room)
        registry.join(endpoint, room, connection_id, connection)
        if is_new:
            self._listen(endpoint.name, room)

    def leave(self, endpoint: Endpoint, room: str, connection_id: str) -> None:
        """Take it out again. In the hub."""
        registry.leave(endpoint, room, connection_id)
        name = endpoint.name
        if not any(registry.has_room(one, room) for one in self._endpoints.get(name, ())):
            channel = channels.of_endpoint(name, room)
            self._heard.pop(channel, None)
            self._backplane.unsubscribe(channel)
            self._gaps.forget_channel(channel)

    def wait_joined(self, endpoint: Endpoint, room: str) -> None:
        """Wait until what other nodes send to a room from now on is heard, `JOIN_TIMEOUT` at most. In a greenlet."""
        if self.is_ready:
            self._backplane.wait_subscribed(channels.of_endpoint(endpoint.name, room), JOIN_TIMEOUT)

    # Who is there

    def connections(self, endpoint: Endpoint, room: str | None = None) -> list[str]:
        """Return the ids of an endpoint's connections, or of a room's, on all nodes.

        Waits for the other nodes, `census.ANSWER_TIMEOUT` at most. Any greenlet, any thread.

        Raises:
            TypeError, ValueError: the room's name is none.
            WouldBlockError: the caller is a coroutine or a callback of the hub, also if nobody need be waited for.
        """
        _check_may_wait("connections")
        ids = self._ask(endpoint, room, with_ids=True).ids
        return [*registry.members(endpoint, room), *ids]

    def count(self, endpoint: Endpoint, room: str | None = None) -> int:
        """How many they are; as `connections`, and what goes from node to node is only the number."""
        _check_may_wait("count")
        count = self._ask(endpoint, room, with_ids=False).count
        return len(registry.members(endpoint, room)) + count

    def _ask(self, endpoint: Endpoint, room: str | None, with_ids: bool) -> Question:
        if room is not None:
            channels.check_room(room)
        io = self._io
        if io is not None and io.is_current():
            self._forget_the_dead()
        nodes = self._peers.alive() if self.is_ready else set()
        if io is None or not nodes:
            return Question(set(), with_ids)
        return self._census.ask(io, nodes, endpoint.name, room, with_ids)

    # Receiving

    def _receive(self, channel: str, data: bytes) -> None:
        """Do what another node asks for. Called by the backplane."""
        try:
            envelope = decode(data)
            if envelope.origin == self.node:
                return
            check_plausible(envelope, channel, self.node)
            _RECEIVERS[envelope.kind](self, channel, envelope)
            # Behind it: what turns out to be made up says nothing of a node.
            if envelope.origin and envelope.kind is not Kind.FAREWELL:
                self._peers.hear(envelope.origin, time.monotonic())
                self._count_lost(channel, envelope)
            counters["backplane_received"] += 1
        except (BadEnvelopeError, ProtocolError, ValueError, LookupError, struct.error) as error:
            counters["backplane_malformed"] += 1
            logger.debug("what came from the backplane is no message: %s", error)
        except Exception:
            counters["callback_errors"] += 1
            logger.exception("a fault in gws lost one message of another node")

    def _count_lost(self, channel: str, envelope: Envelope) -> None:
        # What comes late for a room that has been left says nothing, and would be remembered for ever.
        if envelope.kind is Kind.BROADCAST and channel not in self._heard:
            return
        lost = self._gaps.count(channel, envelope.origin, envelope.sequence)
        if lost:
            counters["backplane_lost"] += lost

    def _receive_broadcast(self, channel: str, envelope: Envelope) -> None:
        frame = _frame_of(envelope)
        # A channel that is not subscribed to any more may still have something to say.
        name, room = self._heard.get(channel, ("", None))
        for endpoint in tuple(self._endpoints.get(name, ())):
            registry.broadcast(endpoint, frame, room, envelope.ids)

    def _receive_send(self, channel: str, envelope: Envelope) -> None:
        frame = _frame_of(envelope)
        if not any(registry.send_to(one, envelope.ids[0], frame) for one in self._named(envelope)):
            counters["backplane_unreachable"] += 1

    def _receive_close(self, channel: str, envelope: Envelope) -> None:
        # A peer's Close may have no code; what is sent on has one, and fits a control frame (RFC 6455 §5.5).
        close = check_close(*parse_close(envelope.payload))
        if not any(_close(registry.get(one, envelope.ids[0]), close) for one in self._named(envelope)):
            counters["backplane_unreachable"] += 1

    def _receive_heartbeat(self, channel: str, envelope: Envelope) -> None:
        if envelope.payload:
            self._publish(channels.of_node(envelope.origin), Kind.HEARTBEAT)
        elif channel != channels.ALL:
            self._greeted.add(envelope.origin)

    def _receive_farewell(self, channel: str, envelope: Envelope) -> None:
        self._forget(envelope.origin)

    def _receive_question(self, channel: str, envelope: Envelope) -> None:
        asked = parse_question(envelope.payload)
        members = [member for one in self._named(envelope) for member in registry.members(one, asked.room)]
        self._census.answer(envelope.origin, asked, members)

    def _receive_answer(self, channel: str, envelope: Envelope) -> None:
        self._census.receive_answer(envelope)

    def _named(self, envelope: Envelope) -> tuple[Endpoint, ...]:
        """Return the endpoints that an envelope is for."""
        return tuple(self._endpoints.get(envelope.endpoint, ()))

    # Heartbeats

    def _beat(self) -> None:
        """Say that this node lives, and see which others do not. A callback of the hub."""
        self._forget_the_dead()
        self._publish(channels.ALL, Kind.HEARTBEAT)

    def _forget_the_dead(self) -> None:
        now = time.monotonic()
        if not self._backplane.is_ready:
            self._peers.excuse(now)
        for node in self._peers.dead(now):
            self._forget(node)

    def _forget(self, node: int) -> None:
        self._peers.forget(node)
        self._greeted.discard(node)
        self._gaps.forget_origin(node)
        self._census.forget(node)


_RECEIVERS: Final = {
    Kind.BROADCAST: Cluster._receive_broadcast,
    Kind.SEND: Cluster._receive_send,
    Kind.CLOSE: Cluster._receive_close,
    Kind.HEARTBEAT: Cluster._receive_heartbeat,
    Kind.FAREWELL: Cluster._receive_farewell,
    Kind.QUESTION: Cluster._receive_question,
    Kind.ANSWER: Cluster._receive_answer,
}


def _check_may_wait(what: str) -> None:
    if in_coroutine():
        raise WouldBlockError(
            f"the other processes are asked, which takes a moment: in a coroutine write "
            f"`await websocket.async_{what}(...)`"
        )
    if in_hub():
        raise WouldBlockError(
            "the other processes are asked, which takes a moment: a callback of gevent's hub may not wait, so have a "
            "greenlet call it, `gevent.spawn(...)`"
        )


def _frame_of(envelope: Envelope) -> bytes:
    """Return the payload as one frame.

    Raises:
        ValueError: it is said to be text, and is not.
    """
    if not envelope.is_text:
        return encode_frame(Opcode.BINARY, envelope.payload)
    envelope.payload.decode()
    return encode_frame(Opcode.TEXT, envelope.payload)


def _close(connection: Connection | None, close: Close) -> bool:
    if connection is None:
        return False
    connection.io.call(connection.close, close.code, close.reason)
    return True
