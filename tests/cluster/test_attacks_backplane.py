"""Whoever can publish on the backplane says what no node says: it is counted, and nothing of it reaches a client."""

from __future__ import annotations

import struct
import uuid
from collections.abc import Iterator
from typing import Final

import gevent
import pytest
import redis

from gws.backplane import channels, urls
from gws.backplane.engines import make_backplane
from gws.cluster.census import MAX_CONNECTIONS, Census, Question
from gws.cluster.envelope import MAX_IDS, Envelope, Kind, decode, encode
from gws.cluster.ids import new_id, node_of
from gws.cluster.membership import Membership
from gws.cluster.node import Node
from gws.metrics import CounterName, counters
from gws.protocol.frames import Close, encode_close_payload

from ..conftest import StartServer
from ..support.cluster_client import Client
from ..support.harness import Server, unharmed
from ..support.program import wait_for
from ..support.raw_client import closed
from ..support.valkey import Valkey

FORGER: Final = 77
"""The number of a node that there is not."""
CHANNEL: Final = channels.of_endpoint("/chat")
ROOM: Final = channels.of_endpoint("/chat", "ops")


@pytest.fixture(scope="module")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Valkey]:
    with Valkey(tmp_path_factory.mktemp("valkey")) as valkey:
        yield valkey


@pytest.fixture(scope="module")
def server(valkey: Valkey, start_module_server: StartServer) -> Server:
    return start_module_server("chat", config={"GWS_BACKPLANE_URL": valkey.url})


def close_payload(code: int, reason: bytes) -> bytes:
    return code.to_bytes(2, "big") + reason


BAD_CLOSES: Final = {
    "a reason of 3 000 bytes": close_payload(1000, b"x" * 3000),
    "a reason of 124 bytes": close_payload(1000, b"x" * 124),
    "a reason of 62 letters of two bytes": close_payload(1000, "é".encode() * 62),
    "a reason that is not UTF-8": close_payload(1000, b"\xff"),
    "a reason with a surrogate": close_payload(1000, b"\xed\xa0\x80"),
    "no code": b"",
    "half a code": b"\x03",
    **{
        f"code {code}": close_payload(code, b"")
        for code in (0, 999, 1004, 1005, 1006, 1015, 2999, 5000, 65535)
    },
}


def made_up(member: str) -> Iterator[tuple[str, str, Envelope]]:
    """Return what no node can have sent to the one with this connection: what is wrong, the channel, the envelope."""
    own = node_of(member)
    assert own is not None
    node = channels.of_node(own)
    send = Envelope(Kind.SEND, FORGER, 0, b"forged", True, [member], "/chat")
    close = Envelope(Kind.CLOSE, FORGER, 0, close_payload(1000, b""), False, [member], "/chat")
    broadcast = Envelope(Kind.BROADCAST, FORGER, 0, b"forged", True)
    heartbeat = Envelope(Kind.HEARTBEAT, FORGER, 0)
    question = Envelope(Kind.QUESTION, FORGER, 0, bytes(9), endpoint="/chat")
    answer = Envelope(Kind.ANSWER, FORGER, 0, bytes(16))
    for wrong, payload in BAD_CLOSES.items():
        yield f"a CLOSE with {wrong}", node, close._replace(payload=payload)
    yield "a CLOSE that is text", node, close._replace(is_text=True)
    for envelope in (send, close):
        for wrong, ids in (
            ("no id", []),
            ("two ids", [member, member]),
            ("the id of another node", [f"{member[:4]}ffff{member[8:]}"]),
            ("an id of another version", [str(uuid.uuid4())]),
        ):
            yield f"a {envelope.kind.name} with {wrong}", node, envelope._replace(ids=ids)
        yield f"a {envelope.kind.name} to no endpoint", node, envelope._replace(endpoint="")
        for channel in (channels.ALL, CHANNEL, ROOM):
            yield f"a {envelope.kind.name} to all", channel, envelope
    yield "text that is not UTF-8, for one", node, send._replace(payload=b"\xff")
    yield "text that is not UTF-8, for all", CHANNEL, broadcast._replace(payload=b"\xed\xa0\x80")
    yield "a broadcast that names an endpoint", CHANNEL, broadcast._replace(endpoint="/chat")
    yield "a broadcast without an id of no connection", ROOM, broadcast._replace(ids=[str(uuid.UUID(int=5))])
    for channel in (channels.ALL, node):
        yield "a broadcast to a node", channel, broadcast
    for channel in (CHANNEL, ROOM):
        yield "a heartbeat to clients", channel, heartbeat
        yield "a farewell to clients", channel, heartbeat._replace(kind=Kind.FAREWELL)
    yield "a heartbeat that says something", channels.ALL, heartbeat._replace(payload=b"hello")
    yield "a heartbeat that asks one node", node, heartbeat._replace(payload=b"?")
    yield "a heartbeat with an id", channels.ALL, heartbeat._replace(ids=[member])
    yield "a farewell that says something", channels.ALL, heartbeat._replace(kind=Kind.FAREWELL, payload=b"?")
    yield "a farewell to one node", node, heartbeat._replace(kind=Kind.FAREWELL)
    yield "a question about no endpoint", channels.ALL, question._replace(endpoint="")
    yield "a question to one node", node, question
    yield "a question that is too short", channels.ALL, question._replace(payload=bytes(8))
    yield "a question for half of the ids", channels.ALL, question._replace(payload=bytes(8) + b"\2")
    yield "a question with an odd room", channels.ALL, question._replace(payload=bytes(9) + b"\1ops")
    yield "a room that is not UTF-8", channels.ALL, question._replace(payload=bytes(9) + b"\0\xff")
    yield "a room of 2 KiB", channels.ALL, question._replace(payload=bytes(9) + b"\0" + b"x" * 2048)
    yield "an answer to all", channels.ALL, answer
    yield "an answer that is too short", node, answer._replace(payload=bytes(15))
    for count in (MAX_CONNECTIONS + 1, 2**64 - 1):
        payload = struct.pack("!QQ", 1, count)
        yield f"an answer of {count} connections", node, answer._replace(payload=payload)
    for wrong, count, listed in (
        ("too few ids", 2, uuid.UUID(new_id_of(FORGER)).bytes),
        ("half an id", 1, bytes(8)),
        ("ids of another node", 1, uuid.UUID(member).bytes),
        ("ids of no connection", 1, FORGER.to_bytes(6, "big") + bytes(10)),
    ):
        payload = struct.pack("!QQ", 1, count) + listed
        yield f"an answer with {wrong}", node, answer._replace(payload=payload)
    for envelope in (heartbeat, heartbeat._replace(kind=Kind.FAREWELL), question):
        yield f"a {envelope.kind.name} of a publisher", channels.ALL, envelope._replace(origin=0)
    yield "an answer of a publisher", node, answer._replace(origin=0)
    for origin in (1 << 48, 2**64 - 1):
        yield "a node with a number that is too large", channels.ALL, heartbeat._replace(origin=origin)
        yield "a broadcast of such a node", CHANNEL, broadcast._replace(origin=origin)
    yield "a node that has said too much", CHANNEL, broadcast._replace(sequence=2**64 - 1)


def new_id_of(node: int) -> str:
    """Return an id of a connection that another node might have."""
    return str(uuid.UUID(bytes=node.to_bytes(6, "big") + uuid.UUID(new_id()).bytes[6:]))


class Forger:
    """Publishes what it likes.

    Args:
        valkey: where.
    """

    def __init__(self, valkey: Valkey) -> None:
        self._client = redis.Redis.from_url(valkey.url)

    def __enter__(self) -> Forger:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def publish(self, channel: str, data: bytes) -> None:
        """Send to the one node that there is."""
        assert self._client.publish(f"gws:{channel}", data) == 1, channel


def test_what_no_node_can_have_sent_is_counted_and_does_nothing(valkey: Valkey, server: Server) -> None:
    with unharmed(server), Forger(valkey) as forger:
        client = Client(server, "ops")
        before = client.state()
        stranger = new_id_of(FORGER)
        for number, (wrong, channel, envelope) in enumerate(made_up(client.id), 1):
            forger.publish(channel, encode(envelope))
            grown = before.get("malformed", 0) + number
            wait_for(lambda: client.counter("malformed") == grown, f"{wrong} to be counted")  # noqa: B023
            # Nobody has become known by it.
            assert client.ask("send_to", stranger, "are you there?") is False, wrong
        after = client.state()
        for counter in ("lost", "unreachable", "received"):
            assert after.get(counter, 0) == before.get(counter, 0), counter
        assert client.ask("connections") == [client.id]
        # Nothing was heard in between, and what a node may send still is.
        member = channels.of_node(node_of(client.id) or 0)
        good = Envelope(Kind.SEND, 0, 0, b"for you", True, [client.id], "/chat")
        forger.publish(member, encode(good))
        assert client.hear("for you") == []
        close = good._replace(kind=Kind.CLOSE, payload=close_payload(4000, b"x" * 123), is_text=False)
        forger.publish(member, encode(close))
        assert client.read_frame() == closed(4000, "x" * 123)
        client.close(4000)
        assert client.has_ended()
        client.drop()
    assert "Traceback" not in server.log()


def test_bytes_that_say_neither_text_nor_binary_are_no_envelope(valkey: Valkey, server: Server) -> None:
    with unharmed(server), Forger(valkey) as forger:
        client = Client(server)
        before = client.counter("malformed")
        good = encode(Envelope(Kind.BROADCAST, 0, 0, b"hello", is_text=True))
        forger.publish(CHANNEL, good[:2] + b"\2" + good[3:])
        wait_for(lambda: client.counter("malformed") == before + 1, "it to be counted")
        forger.publish(CHANNEL, good)
        assert client.hear("hello") == []
        client.drop()


def test_what_nodes_do_send_is_taken(valkey: Valkey, server: Server) -> None:
    """Each kind in its odd forms: nothing legal is refused."""
    with unharmed(server), Forger(valkey) as forger:
        client = Client(server, "ops")
        node = channels.of_node(node_of(client.id) or 0)
        before = client.state()
        excluded = [new_id_of(FORGER) for _ in range(MAX_IDS)]
        no_room = bytes(9) + b"\0"
        sent = [
            (channels.ALL, Envelope(Kind.HEARTBEAT, FORGER, 0, b"?")),
            (channels.ALL, Envelope(Kind.HEARTBEAT, FORGER, 1)),
            (node, Envelope(Kind.HEARTBEAT, FORGER, 0)),
            (CHANNEL, Envelope(Kind.BROADCAST, FORGER, 0, b"", True, excluded)),
            (ROOM, Envelope(Kind.BROADCAST, FORGER, 0, "é".encode(), True)),
            (channels.ALL, Envelope(Kind.QUESTION, FORGER, 2, bytes(9), endpoint="/nowhere")),
            (channels.ALL, Envelope(Kind.QUESTION, FORGER, 3, no_room, endpoint="/chat")),
            (channels.ALL, Envelope(Kind.QUESTION, FORGER, 4, no_room + b"x" * 1024, endpoint="/chat")),
            # Too late for its question.
            (node, Envelope(Kind.ANSWER, FORGER, 1, struct.pack("!QQ", 1, 0))),
            (
                node,
                Envelope(
                    Kind.CLOSE,
                    FORGER,
                    2,
                    encode_close_payload(Close(1000, "é" * 61)),
                    ids=[f"{client.id[:24]}{'0' * 12}"],
                    endpoint="/chat",
                ),
            ),
            (channels.ALL, Envelope(Kind.FAREWELL, FORGER, 5)),
        ]
        for channel, envelope in sent:
            forger.publish(channel, encode(envelope))
        wait_for(lambda: client.counter("received") == before.get("received", 0) + len(sent), "all of it")
        assert client.counter("malformed") == before.get("malformed", 0)
        client.drop()


# Answers to a question that has been asked


ASKED: Final = struct.Struct("!QB")


class Asking:
    """A census that waits for the answer of node `FORGER`, by way of `memory://`.

    Args:
        with_ids: whether it asks for the ids.
    """

    def __init__(self, with_ids: bool) -> None:
        self._questions: list[Envelope] = []
        self._forger = make_backplane(urls.MEMORY)
        self._forger.start(self._hear)
        self._forger.subscribe(channels.ALL)
        self._node = Node(make_backplane(urls.MEMORY))
        membership = Membership(self._node)
        census = Census(self._node, membership, lambda endpoint, room: [])
        self._node.start()
        self._publish(channels.ALL, Envelope(Kind.HEARTBEAT, FORGER, 0))
        assert membership.alive() == {FORGER}
        self._asks = gevent.spawn(census.ask, "/chat", None, with_ids)
        while not self._questions:
            gevent.sleep(0)
        self.number = ASKED.unpack_from(self._questions[0].payload)[0]

    def _hear(self, channel: str, data: bytes) -> None:
        envelope = decode(data)
        if envelope.kind is Kind.QUESTION:
            self._questions.append(envelope)

    def _publish(self, channel: str, envelope: Envelope) -> bool:
        """Return whether the node has taken it, once it has looked at it."""
        names: tuple[CounterName, ...] = ("backplane_received", "backplane_malformed")
        before = [counters[name] for name in names]
        self._forger.publish(channel, encode(envelope))
        while [counters[name] for name in names] == before:
            gevent.sleep(0)
        return counters["backplane_malformed"] == before[1]

    def answer(self, count: int, *ids: str) -> bool:
        """Answer as that node; whether the answer was plausible."""
        payload = struct.pack("!QQ", self.number, count) + b"".join(uuid.UUID(one).bytes for one in ids)
        return self._publish(channels.of_node(self._node.number), Envelope(Kind.ANSWER, FORGER, 0, payload))

    def result(self) -> Question:
        """Return what it has been told."""
        question: Question = self._asks.get(timeout=5)
        self._node.close(0)
        self._forger.close(0)
        return question


def test_an_answer_with_the_ids_that_were_asked_for_is_taken() -> None:
    asking, ids = Asking(True), [new_id_of(FORGER) for _ in range(3)]
    for count, listed in ((3, []), (3, ids[:2]), (2, ids), (1, [new_id()]), (MAX_CONNECTIONS + 1, [])):
        assert not asking.answer(count, *listed)
    assert asking.answer(3, *ids)
    question = asking.result()
    assert (question.count, question.ids) == (3, ids)


def test_an_answer_with_the_number_that_was_asked_for_is_taken() -> None:
    asking = Asking(False)
    for count, listed in ((1, [new_id_of(FORGER)]), (2**64 - 1, [])):
        assert not asking.answer(count, *listed)
    assert asking.answer(25_000)
    question = asking.result()
    assert (question.count, question.ids) == (25_000, [])
