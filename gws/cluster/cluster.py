"""The connections of this process and those of all others as one: first who is here, then who is elsewhere."""

from __future__ import annotations

import weakref
from collections.abc import Collection, Sequence
from typing import Final

from ..backplane import channels
from ..backplane.contract import Backplane
from ..connection.connection import Connection
from ..errors import WouldBlockError
from ..hub.threads import in_coroutine, in_hub
from ..metrics import counters
from ..protocol.encoding import is_text, payload_of
from ..protocol.frames import Close, Opcode, check_close, encode_close_payload, encode_frame, parse_close
from .census import Census, Question
from .endpoint import Endpoint
from .envelope import MAX_IDS, Envelope, Kind, check_excluded
from .ids import node_of
from .membership import Membership
from .node import Node
from .plausible import Rule
from .registry import registry

JOIN_TIMEOUT: Final = 1.0
"""Seconds for the backplane to confirm that a room is heard; it will be, if it takes longer."""

_TO_MANY: Final = Rule(ids=(0, MAX_IDS), has_message=True, from_publisher=True)


class Cluster:
    """What carries the messages of the endpoints that have one backplane.

    Args:
        backplane: not started.
        number: of this node.
    """

    def __init__(self, backplane: Backplane, number: int | None = None) -> None:
        self.node = Node(backplane, number)
        self.membership = Membership(self.node)
        self._census = Census(self.node, self.membership, self._members_of)
        self._endpoints: dict[str, weakref.WeakSet[Endpoint]] = {}
        self.node.on(Kind.BROADCAST, self._receive_broadcast, endpoint=_TO_MANY, room=_TO_MANY)
        self.node.on(Kind.SEND, self._receive_send, node=Rule((1, 1), True, True, True))
        self.node.on(Kind.CLOSE, self._receive_close, node=Rule((1, 1), True, False, True))

    @property
    def is_ready(self) -> bool:
        """Whether the other nodes hear this one, and it hears them. Any thread."""
        return self.node.is_ready

    @property
    def node_count(self) -> int | None:
        """Nodes that hear each other, with this one; None as long as that is not known. In the hub."""
        return self.node.backplane.node_count

    # Beginning and end

    def start(self) -> None:
        """Begin, in the caller's hub; does not wait. Idempotent.

        Raises:
            BackplaneError: it cannot in this process.
        """
        if self.node.io is None:
            self.node.start()
            for name in self._endpoints:
                self._listen(name)
            self.membership.start()

    def wait_for_answer(self) -> None:
        """Wait for a first answer of the backplane, some seconds at most, and for those of the other nodes.

        Raises:
            BackplaneError: there will never be one.
        """
        self.node.backplane.wait_for_answer()
        if self.is_ready:
            self.membership.wait_until_known()

    def close(self, seconds: float) -> None:
        """Say farewell to the others and end, in so many seconds at most. In a greenlet of the hub. Idempotent."""
        if self.node.io is not None:
            self.membership.say_farewell()
            self.node.close(seconds)

    def forget_after_fork(self) -> None:
        """Leave the backplane to the process that this one was forked from."""
        if self.node.io is not None:
            self.membership.stop()
            self.node.forget_after_fork()

    def add(self, endpoint: Endpoint) -> None:
        """Have an endpoint hear what other nodes send to it."""
        name = endpoint.name
        if name not in self._endpoints:
            self._endpoints[name] = weakref.WeakSet()
            if self.node.io is not None:
                self.node.io.call(self._listen, name)
        self._endpoints[name].add(endpoint)

    def _listen(self, name: str, room: str | None = None) -> None:
        self.node.subscribe(channels.of_endpoint(name, room))

    # Sending

    def broadcast(
        self, endpoint: Endpoint, frame: bytes, room: str | None = None, exclude: Collection[str] = ()
    ) -> None:
        """Send to every connection of an endpoint, or of a room of it, but some. Any thread; never waits for a client.

        Args:
            endpoint: whose connections.
            frame: of `Endpoint.encode`.
            room: its name.
            exclude: ids of those that do not get it; at most 255. An unknown one is no error.

        Raises:
            TypeError: the room is no `str`, or `exclude` one id.
            ValueError: the room's name is too long, or too many are to be left out.
        """
        if room is not None:
            channels.check_room(room)
        check_excluded(exclude)
        # First: those who are near get it whatever becomes of the backplane.
        registry.deliver_local(endpoint, frame, room, exclude)
        channel = channels.of_endpoint(endpoint.name, room)
        if self.node.backplane.has_listeners(channel):
            elsewhere = [one for one in exclude if node_of(one) not in (self.node.number, None)]
            self._publish_frame(channel, Kind.BROADCAST, frame, elsewhere)

    def send_to(self, endpoint: Endpoint, connection_id: object, frame: bytes) -> bool:
        """Send to one connection of an endpoint. Any thread; never waits.

        Returns:
            Whether it was queued, or handed on to the node that has the connection.
        """
        if registry.deliver_local_to(endpoint, connection_id, frame):
            return True
        node = self._other_node(connection_id)
        if node is None:
            return False
        self._publish_frame(channels.of_node(node), Kind.SEND, frame, [str(connection_id)], endpoint.name)
        return True

    def close_connection(self, endpoint: Endpoint, connection_id: object, close: Close) -> bool:
        """Close a connection of an endpoint cleanly. Any thread; does not wait.

        Returns:
            Whether there was one, or the node that has it was told.
        """
        if _close(registry.get(endpoint, connection_id), close):
            return True
        node = self._other_node(connection_id)
        if node is None:
            return False
        self.node.publish(
            channels.of_node(node),
            Kind.CLOSE,
            encode_close_payload(close),
            ids=[str(connection_id)],
            endpoint=endpoint.name,
        )
        return True

    def _other_node(self, connection_id: object) -> int | None:
        """Return the node of an id, if it is another one, and lives."""
        node = node_of(connection_id)
        return node if node in self.membership else None

    def _publish_frame(
        self, channel: str, kind: Kind, frame: bytes, ids: Sequence[str], endpoint: str = ""
    ) -> None:
        payload = payload_of(frame)
        self.node.publish(channel, kind, payload, is_text=is_text(frame), ids=ids, endpoint=endpoint)

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
            self.node.unsubscribe(channels.of_endpoint(name, room))

    def wait_joined(self, endpoint: Endpoint, room: str) -> None:
        """Wait until what other nodes send to a room from now on is heard, `JOIN_TIMEOUT` at most. In a greenlet."""
        if self.is_ready:
            self.node.backplane.wait_subscribed(channels.of_endpoint(endpoint.name, room), JOIN_TIMEOUT)

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
        return self._census.ask(endpoint.name, room, with_ids)

    def _members_of(self, name: str, room: str | None) -> list[str]:
        """Return the ids of the connections here, for other nodes."""
        return [member for one in self._named(name) for member in registry.members(one, room)]

    # Receiving

    def _receive_broadcast(self, channel: str, envelope: Envelope) -> None:
        frame = _frame_of(envelope)
        name, room = channels.audience_of(channel)
        for endpoint in self._named(name):
            registry.deliver_local(endpoint, frame, room, envelope.ids)

    def _receive_send(self, channel: str, envelope: Envelope) -> None:
        frame = _frame_of(envelope)
        if not any(
            registry.deliver_local_to(one, envelope.ids[0], frame) for one in self._named(envelope.endpoint)
        ):
            counters["backplane_unreachable"] += 1

    def _receive_close(self, channel: str, envelope: Envelope) -> None:
        # A peer's Close may have no code; what is sent on has one, and fits a control frame (RFC 6455 §5.5).
        close = check_close(*parse_close(envelope.payload))
        if not any(
            _close(registry.get(one, envelope.ids[0]), close) for one in self._named(envelope.endpoint)
        ):
            counters["backplane_unreachable"] += 1

    def _named(self, name: str) -> tuple[Endpoint, ...]:
        """Return the endpoints of a name."""
        return tuple(self._endpoints.get(name, ()))


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
