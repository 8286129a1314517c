"""Messages that take far more room or time than it took to send them."""

from __future__ import annotations

import contextlib
import functools
import selectors
import threading
import time
import zlib
from collections.abc import Callable, Iterator

import pytest
from websockets.sync.client import ClientConnection, connect

from ..conftest import StartServer
from ..support.client_frames import BINARY, MIB, PING, PONG, TEXT, close, frame, text
from ..support.harness import WAYS, Server, unharmed
from ..support.program import DEADLINE, wait_for
from ..support.raw_client import FIN, RawClient, closed, said
from ..support.witness import Witness

OFFER = {"Sec-WebSocket-Extensions": "permessage-deflate"}
EMOJI = "\N{PILE OF POO}"


@pytest.fixture(scope="module", params=WAYS)
def server(request: pytest.FixtureRequest, start_module_server: StartServer) -> Server:
    return start_module_server("heavy_messages", request.param)


@pytest.fixture
def fresh_server(start_server: StartServer, way: str) -> Server:
    """One that has no memory left over of what an earlier test has had it hold."""
    return start_server("heavy_messages", way)


def compressed(message: str) -> bytes:
    """Return a text message in one frame, compressed without what came before it."""
    deflate = zlib.compressobj(9, wbits=-15)
    data = deflate.compress(message.encode()) + deflate.flush(zlib.Z_FULL_FLUSH)
    return frame(TEXT, data[:-4], rsv=4)


def has_compression(server: Server) -> bool:
    """gevent-websocket's worker agrees to none."""
    return server.way != "geventwebsocket"


@contextlib.contextmanager
def serving_others(server: Server) -> Iterator[Witness]:
    """Whatever is done to the server meanwhile: others are served, and the hub is held up for 100 ms at the most.

    That is CPU time; on a machine with other work the witness waits longer.
    """
    server.get("/longest")
    with Witness(server) as witness:
        yield witness
    assert float(server.get("/longest")) < 0.1
    witness.assert_is_served(2)


# What messages become

BIG = EMOJI + "x" * (MIB - 4)
"""A MiB of UTF-8 that takes four of memory."""


def compressed_messages() -> bytes:
    """750 KB, of which a read takes up to 256: a large frame has the server read as much as that."""
    return frame(BINARY, bytes(260_000)) + compressed(BIG) * 250


def test_messages_that_grow_as_they_are_decompressed_wait_as_they_came(
    fresh_server: Server, key: str
) -> None:
    server = fresh_server
    if not has_compression(server):
        return
    with (
        unharmed(server),
        RawClient(server, f"/held?notes={key}", headers=OFFER) as client,
        serving_others(server),
    ):
        before = server.reset_peak_memory()
        client.send(compressed_messages(), text("and no more"))
        # A second before the gate opens, in which a server without a bound reads all of it.
        end = time.monotonic() + 1
        while time.monotonic() < end:
            assert server.vitals()["registered"] >= 1
        assert server.notes(key) == []
        assert server.peak_memory() - before < 24 * MIB
        server.get(f"/open/{key}")
        notes = server.notes(key, 252)
        assert server.peak_memory() - before < 32 * MIB
        client.close(1000)
        assert client.read_to_end() == [closed(1000), FIN]
    assert notes == [(260_000,), *[(len(BIG),)] * 250, (len("and no more"),)]


@pytest.mark.parametrize(
    ("message", "count"),
    [
        # An emoji has the whole text take four bytes a character.
        (EMOJI + "x" * 120, 20_000),
        (EMOJI + "x" * 10_000, 600),
        (EMOJI, 100_000),
    ],
)
def test_what_waits_is_counted_as_the_memory_that_it_takes(
    fresh_server: Server, key: str, message: str, count: int
) -> None:
    server, clients = fresh_server, 4
    with contextlib.ExitStack() as stack:
        stack.enter_context(unharmed(server))
        before = server.reset_peak_memory()
        connections = [stack.enter_context(RawClient(server, f"/held?notes={key}")) for _ in range(clients)]
        for client in connections:
            client.socket.setblocking(False)
            flood = memoryview(text(message) * count)
            end = time.monotonic() + 0.5
            while flood and time.monotonic() < end:
                with contextlib.suppress(BlockingIOError):
                    flood = flood[client.socket.send(flood) :]
        # Everything that it is going to read for now, it has read by the time that it answers these.
        for _ in range(20):
            server.vitals()
        assert server.peak_memory() - before < clients * 1.5 * MIB
        server.get(f"/open/{key}")
        for client in connections:
            client.reset()


def test_behind_the_bound_nothing_is_lost_or_out_of_order(server: Server, key: str) -> None:
    if not has_compression(server):
        return
    sizes = [260_000, *(MIB + number for number in range(40)), 5, 126, 0, 70_000]
    with unharmed(server), RawClient(server, f"/held?notes={key}", headers=OFFER) as client:
        frames = [compressed(EMOJI + "x" * (size - 1)) if size else text("") for size in sizes[1:]]
        client.send(frame(BINARY, bytes(sizes[0])), *frames, close(1000))
        client.half_close()
        server.get(f"/open/{key}")
        assert client.read_to_end() == [closed(1000), FIN]
        assert server.notes(key, len(sizes) + 1) == [*((size,) for size in sizes), (1000,)]


def test_a_ping_before_the_bound_is_answered_and_one_behind_it_when_the_handler_has_caught_up(
    server: Server, key: str
) -> None:
    if not has_compression(server):
        return
    with unharmed(server), RawClient(server, f"/held?notes={key}", headers=OFFER) as client:
        client.send(frame(BINARY, bytes(260_000)), text("waits"))
        client.send(frame(PING, b"before"), compressed(BIG), frame(PING, b"behind"), text("last"))
        assert client.read_frame() == (PONG, b"before")
        server.get(f"/open/{key}")
        assert client.read_frame() == (PONG, b"behind")
        assert server.notes(key, 4) == [(260_000,), (5,), (len(BIG),), (4,)]


def test_bad_input_behind_the_bound_is_what_ends_the_connection(server: Server, key: str) -> None:
    if not has_compression(server):
        return
    with unharmed(server), RawClient(server, f"/held?notes={key}", headers=OFFER) as client:
        client.send(frame(BINARY, bytes(260_000)), compressed(BIG) * 3, frame(3), text("never read"))
        server.get(f"/open/{key}")
        assert client.read_to_end() == [closed(1002, "reserved opcode"), FIN]
        assert server.notes(key, 5) == [(260_000,), *[(len(BIG),)] * 3, (1002,)]


@pytest.mark.parametrize("answers", [True, False])
def test_closing_finds_the_clients_close_behind_the_bound_and_makes_nothing_of_the_rest(
    server: Server, key: str, answers: bool
) -> None:
    if not has_compression(server):
        return
    with unharmed(server), RawClient(server, f"/held?notes={key}", headers=OFFER) as client:
        before = server.reset_peak_memory()
        behind = [close(4000)] if answers else []
        client.send(frame(BINARY, bytes(260_000)), compressed(BIG) * 200, *behind)
        for _ in range(20):
            server.vitals()
        server.get(f"/end/{key}")
        server.get(f"/open/{key}")
        assert client.read_frame() == closed(4000, "asked to")
        if not answers:
            client.close(4000)
        assert client.read_frame() == FIN
        assert server.notes(key, 2) == [(260_000,), (4000,)]
        assert server.peak_memory() - before < 24 * MIB


def test_a_client_that_is_gone_behind_the_bound_is_let_go(server: Server, key: str) -> None:
    if not has_compression(server):
        return
    with unharmed(server):
        client = RawClient(server, f"/held?notes={key}", headers=OFFER)
        client.send(frame(BINARY, bytes(260_000)), compressed(BIG) * 200)
        client.reset()
        server.get(f"/open/{key}")
        wait_for(lambda: (1006,) in server.notes(key), "the close handler")


# How messages are handled


@contextlib.contextmanager
def attackers(server: Server, path: str, count: int, attack: Callable[[RawClient], None]) -> Iterator[None]:
    """So many clients that do the same, again and again, each on a thread of its own."""
    is_over = threading.Event()

    def run(client: RawClient) -> None:
        with contextlib.suppress(OSError):
            while not is_over.is_set():
                attack(client)

    clients = [RawClient(server, path) for _ in range(count)]
    threads = [threading.Thread(target=run, args=[client], daemon=True) for client in clients]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        is_over.set()
        for client in clients:
            client.reset()
        for thread in threads:
            thread.join(DEADLINE)


def ask(client: RawClient, count: int) -> None:
    """Send messages, and wait for the answer to the last of them."""
    client.send(text("") * (count - 1), text("done"))
    assert client.read_frame() == said("done")


# Far more than a turn has time for, and so little that each time they begin anew.
@pytest.mark.parametrize("count", [200, 8])
@pytest.mark.parametrize("path", ["/slow", "/slow_async"])
def test_handlers_that_compute_leave_the_others_their_turn(server: Server, path: str, count: int) -> None:
    attack = functools.partial(ask, count=count)
    with unharmed(server), serving_others(server) as witness, attackers(server, path, 20, attack):
        before = len(witness.waits)
        wait_for(lambda: len(witness.waits) > before + 20, "the witness to be heard")


@pytest.mark.parametrize("path", ["/slow", "/slow_async"])
def test_a_turn_that_ends_amid_what_has_come_loses_nothing_and_keeps_the_order(
    server: Server, path: str
) -> None:
    expected = [str(number) for number in range(1, 700)]
    with unharmed(server), RawClient(server, path) as client, RawClient(server, path) as other:
        client.say(*expected)
        other.say(*expected)
        for one in (client, other):
            assert [one.read_text() for _ in expected] == expected


# Whom messages go to


def dial(server: Server, path: str) -> ClientConnection:
    """Connect with a client that offers permessage-deflate, and reads it."""
    return connect(server.url(path), open_timeout=DEADLINE, ping_interval=None, max_size=None)


def read_everything(clients: list[RawClient], is_over: threading.Event) -> None:
    """Read what comes, whatever it is, so that nobody is behind."""
    buffer = bytearray(MIB)
    with selectors.DefaultSelector() as selector:
        for client in clients:
            client.socket.setblocking(False)
            selector.register(client.socket, selectors.EVENT_READ)
        while not is_over.is_set():
            for key, _ in selector.select(0.05):
                with contextlib.suppress(BlockingIOError):
                    key.fileobj.recv_into(buffer)  # type: ignore[union-attr]


def sizes_of(judge: ClientConnection) -> list[int]:
    """How long the messages are that all have been told."""
    return [len(judge.recv(timeout=DEADLINE)) for _ in range(5)]


@pytest.mark.parametrize(
    ("path", "where"),
    [
        ("/feed", "greenlet"),
        ("/feed", "callback"),
        ("/feed", "thread"),
        ("/feed_shared", "greenlet"),
        ("/feed_plain", "greenlet"),
    ],
)
def test_a_large_message_to_many_keeps_nobody_out(server: Server, path: str, where: str) -> None:
    is_over = threading.Event()
    with contextlib.ExitStack() as stack:
        stack.enter_context(unharmed(server))
        # Two that look at what they get, the first one and the last one.
        judges = [stack.enter_context(dial(server, path))]
        clients = [stack.enter_context(RawClient(server, path, headers=OFFER)) for _ in range(98)]
        judges.append(stack.enter_context(dial(server, path)))
        reader = threading.Thread(target=read_everything, args=[clients, is_over], daemon=True)
        reader.start()
        before = server.reset_peak_memory()
        with serving_others(server) as witness:
            wait_for(lambda: len(witness.waits) > 10, "the witness to be heard")
            server.get(f"/tell_all{path}/{where}")
            for judge in judges:
                assert sizes_of(judge) == [200, 1_000_000, 500_000, 200, 7]
        is_over.set()
        reader.join(DEADLINE)
        # What the slowest of them have not read yet is in the kernel, or one copy here.
        assert server.peak_memory() - before < 24 * MIB


def test_messages_in_one_go_to_many_are_compressed_for_as_many_as_there_is_time(server: Server) -> None:
    if not has_compression(server):
        return
    with contextlib.ExitStack() as stack:
        stack.enter_context(unharmed(server))
        judges = [stack.enter_context(dial(server, "/feed")) for _ in range(20)]
        for _ in range(3):
            # What has been compressed before is what the next one refers to, whatever came in between.
            server.get("/tell_all/feed/greenlet")
            for judge in judges:
                assert sizes_of(judge) == [200, 1_000_000, 500_000, 200, 7]
