"""What every engine does for the nodes that use it, as tests that an engine's author runs with its URL.

They run in a patched process, which `test_backplanes.EngineProcess` starts; a new engine is one more of its `ENGINES`.
"""

from __future__ import annotations

import contextlib
import json
import random
import socket
import time
import uuid
from collections.abc import Callable, Iterator
from functools import partial
from typing import Final

import gevent
import redis
from gevent import monkey

from gws.backplane import channels, urls
from gws.backplane.buffer import MAX_MESSAGES, MAX_SIZE
from gws.backplane.contract import Backplane
from gws.backplane.embedded.private_server import find_owner, socket_path
from gws.backplane.engines import make_backplane
from gws.cluster.cluster import Cluster
from gws.cluster.endpoint import Endpoint
from gws.cluster.envelope import Envelope, Kind, encode
from gws.cluster.membership import GREETING_TIMEOUT
from gws.cluster.registry import registry
from gws.connection.connection import Connection
from gws.metrics import CounterName, counters
from gws.protocol import encoding
from gws.protocol.frames import Close
from gws.protocol.messages import Message
from gws.settings import Settings

from ..support.client_frames import MIB
from ..support.program import DEADLINE, wait_for

END: Final = "the end"
"""The channel, and the message, behind which nothing comes."""


class Node:
    """One backplane, and what it has heard."""

    def __init__(self, url: str) -> None:
        self.backplane: Backplane = make_backplane(urls.check(url))
        self.heard: list[tuple[str, bytes]] = []
        self.ends = 0
        """How often it has heard `END`."""
        self.backplane.start(self._receive)
        self.backplane.wait_for_answer()
        self.subscribe(END)

    def _receive(self, channel: str, data: bytes) -> None:
        if channel == END:
            self.ends += 1
        else:
            self.heard.append((channel, data))

    def subscribe(self, *names: str) -> None:
        """Hear these channels from now on."""
        for name in names:
            self.backplane.subscribe(name)
        for name in names:
            assert self.backplane.wait_subscribed(name, DEADLINE)

    def publish(self, channel: str, data: bytes) -> None:
        """Send."""
        self.backplane.publish(channel, data)

    def wait_for(self, count: int) -> list[tuple[str, bytes]]:
        """Wait until it has heard so many messages."""
        wait_for(lambda: len(self.heard) >= count, f"{count} messages; there are {len(self.heard)}")
        return self.heard


def frame(message: Message) -> bytes:
    """Return a message as one frame."""
    return encoding.encode(message, json.dumps)


class Member:
    """A connection to a place, and its client's end."""

    def __init__(self, place: Endpoint, node: int) -> None:
        number = f"{node:012x}"
        self.id = f"{number[:8]}-{number[8:]}-8{uuid.uuid4().hex[:3]}-8{uuid.uuid4().hex[:3]}-{uuid.uuid4().hex[:12]}"
        self.place = place
        near, self._far = socket.socketpair()
        near.setblocking(False)
        self.connection = Connection(Settings(ping_interval=None), self._leave)
        self.connection.admit()
        self.connection.open(near, b"", b"")
        self._received = self._far.makefile("rb")
        registry.add(place, self.id, self.connection)

    def _leave(self) -> None:
        registry.remove(self.place, self.id)

    def hear(self) -> Message:
        """Return the next message."""
        first, length = self._received.read(2)
        if length == 126:
            length = int.from_bytes(self._received.read(2), "big")
        elif length == 127:
            length = int.from_bytes(self._received.read(8), "big")
        payload = self._received.read(length)
        return payload.decode() if first == 0x81 else payload

    def hear_all(self) -> list[Message]:
        """Return what comes before `END`."""
        return list(iter(self.hear, END))

    def close(self) -> None:
        """Be gone."""
        self.connection.abort()
        self._received.close()
        self._far.close()


class Engine:
    """Makes what a test needs, all of which ends with it.

    Args:
        url: of the engine.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self._nodes: list[Node] = []
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Engine:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def node(self) -> Node:
        """Return a node that is ready."""
        node = Node(self.url)
        self._stack.callback(node.backplane.close, 0)
        self._nodes.append(node)
        return node

    def nodes(self, count: int) -> list[Node]:
        """Return some of them."""
        return [self.node() for _ in range(count)]

    def end(self, sender: Node) -> None:
        """Wait until every node has heard all that the sender has sent."""
        heard = [node.ends for node in self._nodes]
        sender.publish(END, b"")
        wait_for(lambda: all(n.ends > e for n, e in zip(self._nodes, heard, strict=True)), "the end")

    def cluster(self, number: int, *places: Endpoint) -> Cluster:
        """Return a cluster that hears all that others send to the places."""
        cluster = Cluster(make_backplane(urls.check(self.url)), number)
        for place in places:
            cluster.add(place)
        cluster.start()
        self._stack.callback(cluster.close, 0)
        cluster.wait_for_answer()
        wait_for(lambda: cluster.is_ready, "the cluster to be ready")
        return cluster

    def member(self, place: Endpoint, cluster: Cluster, room: str | None = None) -> Member:
        """Somebody who is connected to one node, and in a room."""
        member = Member(place, cluster.node.number)
        self._stack.callback(member.close)
        if room is not None:
            cluster.join(place, room, member.id, member.connection)
            self._stack.callback(cluster.leave, place, room, member.id)
            cluster.wait_joined(place, room)
        return member

    def publish_plainly(self, channel: str, *messages: bytes) -> None:
        """Send as a program does that knows nothing of gws."""
        if self.url == urls.MEMORY:
            node = Node(self.url)
            self._stack.callback(node.backplane.close, 0)
            for data in messages:
                node.publish(channel, data)
            return
        if self.url == urls.EMBEDDED:
            client = redis.Redis(unix_socket_path=socket_path(find_owner()))
            namespace = "gws"
        else:
            plain, namespace = urls.split_namespace(self.url)
            client = redis.Redis.from_url(plain)
        with contextlib.closing(client):
            for data in messages:
                assert client.publish(f"{namespace}:{channel}", data) == 1, "nobody hears it"


class Lost:
    """What a counter has gone up by."""

    def __init__(self, name: CounterName) -> None:
        self._name = name
        self._before = counters[name]

    def __call__(self) -> int:
        """By how much, so far."""
        return counters[self._name] - self._before


Promise = Callable[[Engine], None]

FOR_ANY: Final[dict[str, Promise]] = {}
"""By name, what every engine keeps."""
FOR_A_SERVER: Final[dict[str, Promise]] = {}
"""What an engine keeps besides that is a server which somebody else runs, and others use too."""


def for_any(promise: Promise) -> Promise:
    """Have this tried on every engine."""
    FOR_ANY[promise.__name__] = promise
    return promise


def for_a_server(promise: Promise) -> Promise:
    """Have this tried on engines that are a server which others may use, too."""
    FOR_A_SERVER[promise.__name__] = promise
    return promise


# A backplane


@for_any
def a_message_reaches_each_that_has_subscribed_once_and_nobody_else(engine: Engine) -> None:
    sender, one, two, stranger = engine.nodes(4)
    one.subscribe("news", "weather")
    two.subscribe("news")
    stranger.subscribe("newspapers")
    sender.publish("news", b"hello")
    sender.publish("weather", b"rain")
    engine.end(sender)
    assert one.heard == [("news", b"hello"), ("weather", b"rain")]
    assert two.heard == [("news", b"hello")]
    assert sender.heard == stranger.heard == []


@for_any
def a_node_hears_what_it_publishes_itself(engine: Engine) -> None:
    node = engine.node()
    node.subscribe("news")
    node.publish("news", b"to myself")
    assert node.wait_for(1) == [("news", b"to myself")]


@for_any
def subscribing_twice_is_once(engine: Engine) -> None:
    sender, receiver = engine.nodes(2)
    receiver.subscribe("news", "news")
    receiver.subscribe("news")
    sender.publish("news", b"once")
    engine.end(sender)
    assert receiver.heard == [("news", b"once")]


@for_any
def messages_of_one_sender_on_one_channel_keep_their_order(engine: Engine) -> None:
    *senders, receiver = engine.nodes(3)
    receiver.subscribe("news")
    for number in range(3000):
        for name, sender in enumerate(senders):
            sender.publish("news", f"{name} {number}".encode())
        if number % 100 == 0:
            gevent.sleep(0)
    heard = [data.split() for _, data in receiver.wait_for(6000)]
    for who in (b"0", b"1"):
        assert [int(number) for sender_, number in heard if sender_ == who] == list(range(3000))


@for_any
def what_is_unsubscribed_from_is_heard_no_more(engine: Engine) -> None:
    sender, receiver, other = engine.nodes(3)
    receiver.subscribe("news", "weather")
    other.subscribe("news")
    receiver.backplane.unsubscribe("news")
    receiver.backplane.unsubscribe("what it has never heard")

    def is_deaf() -> bool:
        receiver.heard.clear()
        sender.publish("news", b"hello")
        sender.publish("weather", b"rain")
        engine.end(sender)
        return receiver.heard == [("weather", b"rain")]

    wait_for(is_deaf, "the subscription to end")
    assert ("news", b"hello") in other.heard
    assert not receiver.backplane.wait_subscribed("news", 0.1)
    receiver.subscribe("news")
    assert not is_deaf()


@for_any
def what_was_said_last_of_a_subscription_holds(engine: Engine) -> None:
    sender, receiver = engine.nodes(2)
    randomness = random.Random(5)
    for _ in range(300):
        change = receiver.backplane.subscribe if randomness.random() < 0.5 else receiver.backplane.unsubscribe
        change(randomness.choice("abcdefgh"))
        if randomness.random() < 0.3:
            gevent.sleep(randomness.choice([0, 1e-4, 1e-3]))
    for name in "abcd":
        receiver.backplane.unsubscribe(name)
    receiver.subscribe(*"efgh")

    def has_settled() -> bool:
        receiver.heard.clear()
        for name in "abcdefgh":
            sender.publish(name, name.encode())
        engine.end(sender)
        return receiver.heard == [(name, name.encode()) for name in "efgh"]

    wait_for(has_settled, "the last word to hold")


@for_any
def nothing_is_missed_once_a_subscription_has_been_waited_for(engine: Engine) -> None:
    sender, receiver = engine.nodes(2)
    for number in range(300):
        receiver.backplane.subscribe(f"room {number}")
        assert receiver.backplane.wait_subscribed(f"room {number}", DEADLINE)
        sender.publish(f"room {number}", b"hello")
        gevent.sleep(0)
    engine.end(sender)
    assert receiver.heard == [(f"room {number}", b"hello") for number in range(300)]


@for_any
def nothing_is_missed_by_who_leaves_and_comes_back(engine: Engine) -> None:
    sender, receiver = engine.nodes(2)
    for number in range(100):
        name = f"room {number % 3}"
        receiver.backplane.subscribe(name)
        # So that the server is told each of the three.
        gevent.sleep(1e-6)
        receiver.backplane.unsubscribe(name)
        gevent.sleep(1e-6)
        receiver.backplane.subscribe(name)
        assert receiver.backplane.wait_subscribed(name, DEADLINE)
        sender.publish(name, str(number).encode())
        engine.end(sender)
        assert receiver.heard.pop() == (name, str(number).encode())
        receiver.backplane.unsubscribe(name)


@for_any
def waiting_for_what_is_not_subscribed_to_is_false_at_once(engine: Engine) -> None:
    node = engine.node()
    with gevent.Timeout(1):
        assert not node.backplane.wait_subscribed("news", DEADLINE)


@for_any
def a_message_of_any_size_and_any_bytes_arrives_as_it_is(engine: Engine) -> None:
    sender, receiver = engine.nodes(2)
    receiver.subscribe("news")
    randomness = random.Random(1)
    messages = [randomness.randbytes(size) for size in (0, 1, 125, 126, 4096, 65535, 65536, MIB - 1, MIB)]
    messages += [b"\r\n", b"\0", b"$-1\r\n", b"*3\r\n$7\r\nmessage\r\n", bytes(range(256)), b"\xff" * 1000]
    for message in messages:
        sender.publish("news", message)
    assert [data for _, data in receiver.wait_for(len(messages))] == messages


@for_any
def channels_of_any_name_are_told_apart(engine: Engine) -> None:
    sender, receiver = engine.nodes(2)
    names = ["", " ", "news", "NEWS", "news ", "n*", "*", "[a-z]ews", "a\0b", "a\r\nb", "ä", "🚪", "gws:news"]
    names.append("x" * 2000)
    receiver.subscribe(*names)
    sender.publish("not one of them", b"")
    for name in names:
        sender.publish(name, name.encode())
    engine.end(sender)
    assert receiver.heard == [(name, name.encode()) for name in names]


@for_any
def thousands_of_channels_at_once(engine: Engine) -> None:
    sender, one, two = engine.nodes(3)
    # With names so long that the kernel does not take the request in one piece.
    names = [f"room {number} {'x' * 1000}" for number in range(2500)]
    one.subscribe(*names)
    two.subscribe(*names)
    for name in names:
        sender.publish(name, name.encode())
    engine.end(sender)
    assert one.heard == two.heard == [(name, name.encode()) for name in names]
    for name in names[1:]:
        one.backplane.unsubscribe(name)

    def have_gone() -> bool:
        one.heard.clear()
        sender.publish(names[0], b"")
        for name in names[-10:]:
            sender.publish(name, b"")
        engine.end(sender)
        return one.heard == [(names[0], b"")]

    wait_for(have_gone, "the subscriptions to end")


@for_any
def publishing_never_waits_and_gives_up_the_oldest_of_too_many_messages(engine: Engine) -> None:
    sender, receiver = engine.nodes(2)
    receiver.subscribe("news")
    dropped = Lost("backplane_dropped")
    others: list[bool] = []
    gevent.spawn(others.append, True)
    for number in range(MAX_MESSAGES + 1234):
        sender.publish("news", str(number).encode())
    assert not others, "another greenlet has run"
    assert dropped() == 1234
    receiver.wait_for(MAX_MESSAGES)
    engine.end(sender)
    assert [int(data) for _, data in receiver.heard] == list(range(1234, MAX_MESSAGES + 1234))
    assert dropped() == 1234


@for_any
def publishing_gives_up_the_oldest_of_too_many_bytes(engine: Engine) -> None:
    sender, receiver = engine.nodes(2)
    receiver.subscribe("news")
    dropped = Lost("backplane_dropped")
    fit = MAX_SIZE // MIB
    for number in range(fit + 3):
        sender.publish("news", bytes([number]) * MIB)
    assert dropped() == 3
    assert [data[0] for _, data in receiver.wait_for(fit)] == list(range(3, fit + 3))
    # One that is larger than all that fits is no reason to send nothing.
    sender.publish("news", b"x" * (MAX_SIZE + 1))
    receiver.wait_for(fit + 1)
    assert dropped() == 3


@for_any
def a_closing_node_sends_what_is_queued(engine: Engine) -> None:
    sender, receiver = engine.nodes(2)
    receiver.subscribe("news")
    for number in range(5000):
        sender.publish("news", str(number).encode())
    sender.backplane.close(DEADLINE)
    assert [int(data) for _, data in receiver.wait_for(5000)] == list(range(5000))


@for_any
def a_closed_node_hears_nothing_and_may_be_closed_again(engine: Engine) -> None:
    sender, gone, receiver = engine.nodes(3)
    for node in (gone, receiver):
        node.subscribe("news")
    assert gone.backplane.is_ready
    gone.backplane.close(0)
    assert not gone.backplane.is_ready
    gone.backplane.close(0)
    gone.publish("news", b"from beyond")
    sender.publish("news", b"hello")
    assert ("news", b"hello") in receiver.wait_for(1)
    wait_for(lambda: not gone.heard, "nothing")
    assert gone.heard == []


@for_any
def whoever_listens_is_known_to_listen(engine: Engine) -> None:
    sender, receiver = engine.nodes(2)
    receiver.subscribe("news")
    assert sender.backplane.has_listeners("news")


@for_any
def only_the_memory_of_one_process_knows_that_nobody_listens(engine: Engine) -> None:
    node, other = engine.nodes(2)
    node.subscribe("news")
    other.subscribe("news")
    other.backplane.unsubscribe("news")
    is_memory = engine.url == urls.MEMORY
    assert node.backplane.has_listeners("news") is not is_memory
    assert node.backplane.has_listeners("weather") is not is_memory


@for_any
def native_threads_publish(engine: Engine) -> None:
    sender, receiver = engine.nodes(2)
    receiver.subscribe("news")
    native_thread = monkey.get_original("_thread", "start_new_thread")

    def send(name: int) -> None:
        for number in range(1000):
            sender.publish("news", f"{name} {number}".encode())

    for name in range(4):
        native_thread(send, (name,))
    heard = [[int(word) for word in data.split()] for _, data in receiver.wait_for(4000)]
    for name in range(4):
        assert [number for who, number in heard if who == name] == list(range(1000))


@for_a_server
def namespaces_are_apart(engine: Engine) -> None:
    plain, namespace = urls.split_namespace(engine.url)
    mark = "&" if "?" in plain else "?"
    other, again = (Engine(f"{plain}{mark}namespace={name}") for name in ("another", namespace))
    with other, again:
        sender, receiver = engine.nodes(2)
        stranger, friend = other.node(), again.node()
        for node in (receiver, stranger, friend):
            node.subscribe("news")
        sender.publish("news", b"ours")
        stranger.publish("news", b"theirs")
        other.end(stranger)
        engine.end(sender)
        assert stranger.heard == [("news", b"theirs")]
        assert receiver.heard == friend.wait_for(1) == [("news", b"ours")]


# Clusters


@for_any
def a_broadcast_reaches_the_connections_of_all_nodes_once(engine: Engine) -> None:
    here, there, beyond = [Endpoint("/chat") for _ in range(3)]
    lobby = Endpoint("/lobby")
    clusters = [
        engine.cluster(11, here),
        engine.cluster(12, there, lobby),
        engine.cluster(13, beyond),
    ]
    one, two = engine.member(here, clusters[0]), engine.member(here, clusters[0])
    three, four = engine.member(there, clusters[1]), engine.member(beyond, clusters[2])
    outsider = engine.member(lobby, clusters[1])
    clusters[0].broadcast(here, frame("hello"))
    clusters[0].broadcast(here, frame(b"\x00\xff"))
    clusters[0].broadcast(here, frame(""))
    clusters[0].broadcast(here, frame("you and I"), exclude=[one.id, three.id])
    clusters[0].broadcast(here, frame(END))
    everybody: list[Message] = ["hello", b"\x00\xff", ""]
    assert one.hear_all() == three.hear_all() == everybody
    assert two.hear_all() == four.hear_all() == [*everybody, "you and I"]
    clusters[1].broadcast(lobby, frame(END))
    assert outsider.hear_all() == []


@for_any
def a_node_ignores_its_own_echo(engine: Engine) -> None:
    here, there = Endpoint("/chat"), Endpoint("/chat")
    one, two = engine.cluster(11, here), engine.cluster(12, there)
    mine, theirs = engine.member(here, one), engine.member(there, two)
    received = Lost("backplane_received")
    for number in range(100):
        one.broadcast(here, frame(str(number)))
    two.broadcast(there, frame(END))
    numbers = [str(number) for number in range(100)]
    # What it hears of the other comes behind its own echo.
    one.broadcast(here, frame(END))
    assert theirs.hear_all() in ([], numbers)
    wait_for(lambda: received() >= 102, "all of it")
    assert mine.hear_all() in (numbers, [])
    two.broadcast(there, frame("behind it"))
    while (said := mine.hear()) != "behind it":
        assert said == END


@for_any
def a_room_is_one_room_on_all_nodes(engine: Engine) -> None:
    here, there = Endpoint("/chat"), Endpoint("/chat")
    elsewhere = Endpoint("/lobby")
    one, two = engine.cluster(11, here), engine.cluster(12, there, elsewhere)
    near, far = engine.member(here, one, "ops"), engine.member(there, two, "ops")
    other = engine.member(there, two, "sales")
    outsider = engine.member(elsewhere, two, "ops")
    one.broadcast(here, frame("to ops"), "ops")
    two.broadcast(there, frame("back to ops"), "ops")
    one.broadcast(here, frame("not to her"), "ops", [far.id])
    wait_for(lambda: two.count(there) == 3, "the nodes to know each other")
    assert (one.count(here, "ops"), two.count(there, "ops"), one.count(here, "sales")) == (2, 2, 1)
    one.broadcast(here, frame(END))
    two.broadcast(elsewhere, frame(END))
    assert sorted(map(str, near.hear_all())) == ["back to ops", "not to her", "to ops"]
    assert sorted(map(str, far.hear_all())) == ["back to ops", "to ops"]
    assert other.hear_all() == outsider.hear_all() == []


@for_any
def a_node_that_has_nobody_left_in_a_room_is_told_nothing_of_it(engine: Engine) -> None:
    here, there = Endpoint("/chat"), Endpoint("/chat")
    one, two = engine.cluster(11, here), engine.cluster(12, there)
    far = engine.member(there, two, "ops")
    received = Lost("backplane_received")
    one.broadcast(here, frame("hello"), "ops")
    assert far.hear() == "hello"
    assert received() >= 1
    two.leave(there, "ops", far.id)

    def is_told_nothing() -> bool:
        before = Lost("backplane_received")
        for _ in range(50):
            one.broadcast(here, frame("hello?"), "ops")
        one.broadcast(here, frame(END))
        assert far.hear() == END
        return before() < 50

    wait_for(is_told_nothing, "the subscription to end")


@for_any
def send_to_and_close_reach_a_connection_of_another_node(engine: Engine) -> None:
    here, there = Endpoint("/chat"), Endpoint("/chat")
    one, two = engine.cluster(11, here), engine.cluster(12, there)
    far, bystander = engine.member(there, two), engine.member(there, two)
    wait_for(lambda: one.send_to(here, far.id, frame("for you")), "the nodes to know each other")
    assert one.send_to(here, far.id, frame(b"\xff\x00"))
    assert [far.hear(), far.hear()] == ["for you", b"\xff\x00"]
    unreachable = Lost("backplane_unreachable")
    stranger = Member(there, 12)
    stranger.close()
    assert one.send_to(here, stranger.id, frame("to nobody"))
    wait_for(lambda: unreachable() == 1, "it to be found that there is nobody")
    assert not one.send_to(here, f"{stranger.id[:4]}ffff{stranger.id[8:]}", frame("to no node"))
    assert one.close_connection(here, far.id, Close(4321, "enough"))
    wait_for(lambda: far.connection.close_code, "the end")
    assert (far.connection.close_code, far.connection.close_reason) == (4321, "enough")
    one.broadcast(here, frame(END))
    assert bystander.hear_all() == []


@for_any
def a_node_that_says_farewell_is_known_to_be_gone(engine: Engine) -> None:
    here, there = Endpoint("/chat"), Endpoint("/chat")
    one, two = engine.cluster(11, here), engine.cluster(12, there)
    far = engine.member(there, two)
    wait_for(lambda: one.count(here) == 1, "the nodes to know each other")
    assert one.connections(here) == [far.id]
    two.close(DEADLINE)
    wait_for(lambda: not one.send_to(here, far.id, frame("are you there?")), "the farewell")
    assert one.count(here) == 0


@for_any
def a_node_is_known_to_all_and_knows_all_as_soon_as_it_has_been_checked(engine: Engine) -> None:
    members: list[tuple[Endpoint, Cluster, Member]] = []
    for number in range(11, 19):
        place = Endpoint("/chat")
        cluster = engine.cluster(number, place)
        new = engine.member(place, cluster)
        for here, other, member in members:
            assert cluster.send_to(place, member.id, frame(f"from {number}"))
            assert other.send_to(here, new.id, frame(f"to {number}"))
            assert member.hear() == f"from {number}"
        assert [new.hear() for _ in members] == [f"to {number}"] * len(members)
        members.append((place, cluster, new))


@for_any
def a_node_that_answers_nobody_keeps_no_other_from_starting(engine: Engine) -> None:
    engine.node().subscribe(channels.ALL)
    began = time.monotonic()
    engine.cluster(11)
    assert GREETING_TIMEOUT <= time.monotonic() - began < GREETING_TIMEOUT + 1


@for_any
def a_native_thread_broadcasts_to_all_nodes(engine: Engine) -> None:
    here, there = Endpoint("/chat"), Endpoint("/chat")
    one, two = engine.cluster(11, here), engine.cluster(12, there)
    near, far = engine.member(here, one), engine.member(there, two)

    def send() -> None:
        for number in range(500):
            one.broadcast(here, frame(str(number)))
        one.broadcast(here, frame(END))

    gevent.get_hub().threadpool.apply(send)
    numbers = [str(number) for number in range(500)]
    assert near.hear_all() == far.hear_all() == numbers


@for_any
def gaps_in_what_a_node_has_sent_are_counted(engine: Engine) -> None:
    place = Endpoint("/chat")
    cluster, sender = engine.cluster(11, place), engine.node()
    member = engine.member(place, cluster)
    lost = Lost("backplane_lost")

    def send(origin: int, *numbers: int) -> None:
        for number in numbers:
            envelope = Envelope(Kind.BROADCAST, origin, number, str(number).encode(), is_text=True)
            sender.publish(channels.of_endpoint("/chat"), encode(envelope))
            assert member.hear() == str(number)

    # It was not there for what came before.
    send(21, 7, 8)
    assert lost() == 0
    send(21, 10)
    assert lost() == 1
    send(22, 0, 1, 2)
    send(21, 15, 16)
    assert lost() == 5
    # It begins anew.
    send(21, 0, 1)
    # A publisher is no node, and has no numbers.
    send(0, 0, 0, 5, 0)
    assert lost() == 5


def malformed() -> Iterator[bytes]:
    """Return what is no envelope, or asks for what cannot be."""
    an_id = str(uuid.uuid4())
    good = encode(Envelope(Kind.SEND, 99, 0, b"hello", True, [an_id, an_id], "/chat"))
    yield from (good[:size] for size in range(len(good) - len(b"hello")))
    for version in (0, 2, 255):
        yield bytes([version]) + good[1:]
    for kind in (0, 8, 255):
        yield good[:1] + bytes([kind]) + good[2:]
    for kind in Kind:
        yield encode(Envelope(kind, 99, 0, b"hello", True, [an_id], "/chat")).replace(b"/chat", b"/ch\xfft")
    yield encode(Envelope(Kind.BROADCAST, 99, 0, b"\xff", is_text=True))
    yield encode(Envelope(Kind.BROADCAST, 99, 0, b"\xed\xa0\x80", is_text=True))
    yield encode(Envelope(Kind.SEND, 99, 0, b"hello", True, [], "/chat"))
    for payload in (b"\x03", (1005).to_bytes(2, "big"), b"\x03\xe8\xff", bytes(2)):
        yield encode(Envelope(Kind.CLOSE, 99, 0, payload, ids=[an_id], endpoint="/chat"))
    yield encode(Envelope(Kind.CLOSE, 99, 0, b"\x03\xe8", endpoint="/chat"))
    yield encode(Envelope(Kind.QUESTION, 99, 0, bytes(8), endpoint="/chat"))
    yield encode(Envelope(Kind.QUESTION, 99, 0, bytes(9) + b"\0\xff", endpoint="/chat"))
    yield encode(Envelope(Kind.ANSWER, 99, 0, bytes(15)))
    randomness = random.Random(3)
    for size in range(300):
        yield b"\xd7" + randomness.randbytes(size)
    yield b"\xd7" * MIB


@for_any
def what_is_no_envelope_is_counted_and_dropped_and_nothing_else_happens(engine: Engine) -> None:
    place = Endpoint("/chat")
    cluster = engine.cluster(11, place)
    member = engine.member(place, cluster, "ops")
    bad = list(malformed())
    names = [channels.ALL, channels.of_node(11), channels.of_endpoint("/chat")]
    names.append(channels.of_endpoint("/chat", "ops"))
    counted, faults = Lost("backplane_malformed"), Lost("callback_errors")

    def has_counted(count: int) -> bool:
        return counted() >= count

    for round_, name in enumerate(names):
        engine.publish_plainly(name, *bad)
        wait_for(partial(has_counted, (round_ + 1) * len(bad)), "all of it")
    assert counted() == len(names) * len(bad)
    good = encode(Envelope(Kind.BROADCAST, 0, 0, b"hello", is_text=True))
    for name in names[2:]:
        engine.publish_plainly(name, good)
        assert member.hear() == "hello"
    assert cluster.is_ready
    assert (faults(), counted()) == (0, len(names) * len(bad))
