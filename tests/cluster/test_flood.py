"""More than a node can take: it neither grows nor falls behind in silence, and is well afterwards."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from gws.backplane import channels
from gws.cluster.envelope import Envelope, Kind, encode
from gws.protocol.frames import Opcode, encode_frame

from ..conftest import StartServer
from ..support.cluster_client import Client, memory, wait_until_acquainted
from ..support.harness import Server
from ..support.program import DEADLINE, wait_for
from ..support.raw_client import RawClient
from ..support.valkey import Valkey

RATE = 50_000
"""Messages a second."""
TEXT = "x" * 100
_BATCH = 500
MAX_GROWTH = 32 * 1024 * 1024
"""Bytes of memory: some of what waits to be sent, and of what clients are owed; 150 000 messages are far more."""


@pytest.fixture(scope="module")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Valkey]:
    """Return the engine."""
    with Valkey(tmp_path_factory.mktemp("valkey")) as valkey:
        yield valkey


@pytest.fixture(scope="module")
def nodes(valkey: Valkey, start_module_server: StartServer) -> tuple[Server, Server]:
    """Two nodes of one process each."""
    config = {"GWS_BACKPLANE_URL": valkey.url}
    return start_module_server("flooded_chat", config=config), start_module_server(
        "flooded_chat", config=config
    )


@pytest.fixture
def clients(nodes: tuple[Server, Server]) -> Iterator[tuple[Client, Client]]:
    """Return a client of each, that have heard of each other; afterwards they still do, and nothing has gone wrong."""
    logs = [len(node.log()) for node in nodes]
    clients = (Client(nodes[0]), Client(nodes[1]))
    wait_until_acquainted(clients)
    yield clients
    for one, other in (clients, clients[::-1]):
        assert one.ask("send_to", other.id, f"are you there, {other.id}?") is True
        other.hear(f"are you there, {other.id}?")
        one.ask("broadcast", f"all well, {one.id}?")
        other.hear(f"all well, {one.id}?")
        wait_for(lambda: one.ask("count")[0] == 2, "those who have left to be forgotten")  # noqa: B023
        assert one.ask("count")[1] < 0.9
    for node, log in zip(nodes, logs, strict=True):
        assert "Traceback" not in node.log()[log:]
    for client in clients:
        client.drop()


class Counting(threading.Thread):
    """Reads everything that comes for a member of the room, and counts the messages by their size.

    Args:
        client: who gets nothing else.
        text: what each says.
    """

    def __init__(self, client: Client, text: str = TEXT) -> None:
        super().__init__(daemon=True)
        self.count = 0
        self._client = client
        self._frame = len(encode_frame(Opcode.TEXT, text.encode()))
        client.socket.settimeout(None)
        self.start()

    def run(self) -> None:
        """Until the connection ends."""
        size = 0
        while data := self._client.socket.recv(1 << 20):
            size += len(data)
            self.count, rest = divmod(size, self._frame)
        assert not rest

    def end(self) -> None:
        """Leave."""
        self._client.socket.shutdown(socket.SHUT_RDWR)
        self.join(DEADLINE)
        self._client.drop()


@contextlib.contextmanager
def members(node: Server, count: int, text: str = TEXT) -> Iterator[list[Counting]]:
    """So many members of the room, who leave in the end."""
    counting = [Counting(Client(node, "flood"), text) for _ in range(count)]
    try:
        yield counting
    finally:
        for one in counting:
            one.end()


class Engine:
    """A connection to the engine itself, on which a node publishes that is none of gws's.

    Args:
        valkey: the engine.
    """

    NODE = 4711

    def __init__(self, valkey: Valkey) -> None:
        self._socket = socket.create_connection(("127.0.0.1", valkey.port), DEADLINE)
        self._file = self._socket.makefile("rb")

    def __enter__(self) -> Engine:
        return self

    def __exit__(self, *_: object) -> None:
        self._publish([_command(channels.ALL, Kind.FAREWELL, 0)])
        self._file.close()
        self._socket.close()

    def channels(self) -> set[bytes]:
        """Return the channels that somebody hears."""
        self._socket.sendall(b"PUBSUB CHANNELS\r\n")
        count = int(self._file.readline()[1:])
        found = set()
        for _ in range(count):
            self._file.readline()
            found.add(self._file.readline().strip())
        return found

    def flood(self, first: int, count: int, text: str = TEXT) -> None:
        """Publish so many messages at `RATE`, numbered from the first."""
        room = channels.of_endpoint("/chat", "flood")
        numbers = range(first, first + count)
        commands = [_command(room, Kind.BROADCAST, number, text) for number in numbers]
        began = time.monotonic()
        for at in range(0, count, _BATCH):
            ahead = at / RATE - (time.monotonic() - began)
            if ahead > 0:
                time.sleep(ahead)
            self._publish(commands[at : at + _BATCH])
        assert time.monotonic() - began < max(2 * count / RATE, 1), "it takes them at that rate"

    def say(self, number: int, text: str) -> None:
        """Publish one message, of that number."""
        self._publish([_command(channels.of_endpoint("/chat", "flood"), Kind.BROADCAST, number, text)])

    def _publish(self, commands: list[bytes]) -> None:
        self._socket.sendall(b"".join(commands))
        for _ in commands:
            self._file.readline()


def _command(channel: str, kind: Kind, number: int, text: str = "") -> bytes:
    data = encode(Envelope(kind, Engine.NODE, number, text.encode(), is_text=bool(text)))
    name = f"gws:{channel}".encode()
    return b"*3\r\n$7\r\nPUBLISH\r\n$%d\r\n%b\r\n$%d\r\n%b\r\n" % (len(name), name, len(data), data)


def grown(client: Client, before: dict[str, Any], *names: str) -> int:
    """By how much counters have grown."""
    now = client.state()
    return sum(now.get(name, 0) - before.get(name, 0) for name in names)


def test_what_a_node_cannot_send_is_counted_and_the_others_get_the_rest(
    nodes: tuple[Server, Server], clients: tuple[Client, Client]
) -> None:
    here, there = clients
    with members(nodes[1], 1) as (member,):
        # A node misses nothing before the first that it has had of another.
        here.ask("offer", TEXT, RATE, 1)
        wait_for(lambda: member.count == 1, "the first one")
        before, before_there = here.state(), there.state()
        sizes = [node.reset_peak_memory() for node in nodes]
        count = 3 * RATE
        here.ask("offer", TEXT, RATE, count)
        # And as many as do not fit into the buffer, all at once.
        here.ask("offer", TEXT, 1e9, RATE)
        count += RATE
        assert grown(here, before, "dropped") > 0

        def is_all() -> bool:
            # Heartbeats are counted too.
            return 0 <= member.count - 1 + grown(here, before, "dropped") - count <= 5

        wait_for(is_all, "what was sent to arrive")
        assert 0 <= member.count - 1 + grown(there, before_there, "lost") - count <= 5
    for node, size in zip(nodes, sizes, strict=True):
        assert node.peak_memory() - size < MAX_GROWTH


def test_what_comes_faster_than_a_node_can_deliver_is_late_and_it_says_so(
    valkey: Valkey, nodes: tuple[Server, Server], clients: tuple[Client, Client]
) -> None:
    log = len(nodes[1].log())
    size = nodes[1].reset_peak_memory()
    sent = 0
    # Each message is so many deliveries: more than a process can do.
    with Engine(valkey) as engine, members(nodes[1], 48) as counting:

        def flood_until_it_says_so() -> bool:
            nonlocal sent
            # What it is behind is worth a second, and no more than the engine keeps.
            while sent - counting[0].count < RATE and "late" not in nodes[1].log()[log:]:
                engine.flood(sent, 10 * _BATCH)
                sent += 10 * _BATCH
            return "late: they send more than it can take" in nodes[1].log()[log:]

        wait_for(flood_until_it_says_so, "the node to say that it is behind")
        wait_for(lambda: all(one.count == sent for one in counting), "what was sent to arrive")
        wait_for(lambda: "in time again" in nodes[1].log()[log:], "the node to say that it has caught up")
    assert "unreachable" not in nodes[1].log()[log:]
    assert nodes[1].peak_memory() - size < MAX_GROWTH


def test_a_node_that_hears_nothing_for_a_while_is_cut_off_and_counts_what_it_has_missed(
    valkey: Valkey, nodes: tuple[Server, Server], clients: tuple[Client, Client]
) -> None:
    text = "x" * 1000
    count = RATE
    there = clients[1]
    log = len(nodes[1].log())
    before = there.state()
    size = nodes[1].reset_peak_memory()
    with Engine(valkey) as engine, members(nodes[1], 1, text) as (member,):
        engine.say(0, text)
        os.kill(there.process, signal.SIGSTOP)
        try:
            engine.flood(1, count - 1, text)
        finally:
            os.kill(there.process, signal.SIGCONT)
        wait_for(lambda: "reconnected" in nodes[1].log()[log:], "the node to be back")
        engine.say(count, text)
        wait_for(lambda: grown(there, before, "received", "lost") > count, "the rest to be counted")
        lost = grown(there, before, "lost")
        assert lost > 0
        # A heartbeat or two may be among them.
        wait_for(
            lambda: 0 <= member.count + lost - (count + 1) <= 5, "what was sent to have arrived or be counted"
        )
    assert nodes[1].log()[log:].count("unreachable") == 1
    assert nodes[1].peak_memory() - size < MAX_GROWTH


def test_joins_and_leaves_leave_nothing_behind(
    valkey: Valkey, nodes: tuple[Server, Server], clients: tuple[Client, Client]
) -> None:
    here, there = clients
    with Engine(valkey) as engine, RawClient(nodes[0], "/churn") as client:
        before = engine.channels()
        sizes = []
        for first in range(0, 100_000, 25_000):
            client.say(json.dumps([first, 25_000]))
            # Some of it comes when the room has been left.
            there.ask("tell_rooms", first, 25_000)
            # It may also come while somebody is in the room.
            while (text := client.read_text()) == "anybody there?":
                pass
            assert text == "0 rooms"
            wait_for(lambda: engine.channels() == before, "the rooms to go")
            sizes.append(memory(here.process))
    # The first round has made room for the others.
    assert sizes[-1] - sizes[0] < 1024 * 1024
    assert here.ask("channels") <= 10
