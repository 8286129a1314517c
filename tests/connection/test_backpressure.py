"""Clients that read slowly, or not at all, or send faster than they are handled: who waits, and who does not."""

from __future__ import annotations

import socket
import time
from pathlib import Path

import pytest

from ..conftest import StartServer
from ..support.client_frames import PING, PONG, frame, text
from ..support.harness import Server, unharmed
from ..support.program import wait_for
from ..support.raw_client import FIN, RESET, RawClient, closed, said


@pytest.fixture(scope="module")
def server(start_module_server: StartServer) -> Server:
    return start_module_server("backpressure")


def slow_client(server: Server, path: str) -> RawClient:
    """Return a client that is soon full."""
    return RawClient(server, path, receive_buffer=4096)


def test_a_client_that_does_not_read_is_dropped_as_a_slow_consumer_and_the_others_get_everything(
    server: Server, key: str
) -> None:
    before = server.vitals()["counters"].get("slow_consumers", 0)
    with unharmed(server), RawClient(server, "/feed") as sender, RawClient(server, "/feed") as other:
        expected = [said(f"{number} " + "x" * 10_000) for number in range(10)]
        with slow_client(server, f"/feed?notes={key}"):
            for _ in range(200):
                sender.say("10")
                assert sender.read_frames(11) == [*expected, said("longest True")]
                assert other.read_frames(10) == expected
            assert server.notes(key, 1) == [(1008, "slow consumer")]
    assert server.notes(key) == [(1008, "slow consumer")]
    assert server.vitals()["counters"]["slow_consumers"] == before + 1


def test_a_slow_client_that_reads_again_in_time_finds_the_close_behind_whole_frames(
    start_server: StartServer,
) -> None:
    server = start_server("backpressure", values={"close_timeout": 10.0})
    with unharmed(server), slow_client(server, "/pusher?notes=slow") as client:
        server.get("/push/2000")
        assert server.notes("slow", 1) == [(1008, "slow consumer")]
        frames = client.read_to_end()
        assert frames[-2:] == [closed(1008, "slow consumer"), FIN]
        assert set(frames[:-2]) == {said("x" * 10_000)}


def test_a_view_that_broadcasts_never_waits_for_a_client_that_does_not_read(server: Server, key: str) -> None:
    with unharmed(server), slow_client(server, f"/pusher?notes={key}"):
        server.get("/push/2000")
        assert server.notes(key, 1) == [(1008, "slow consumer")]


@pytest.mark.parametrize("path", ["/patient", "/patient_async"])
def test_who_sends_to_itself_waits_for_its_client_and_for_nobody_else(
    server: Server, key: str, path: str
) -> None:
    with unharmed(server), slow_client(server, f"{path}?notes={key}") as client:
        client.say("2000")
        server.notes(key, 1)
        # It is stuck long before the end, while `unharmed` and these requests are answered.
        assert len(server.notes(key)) < 20
        frames = client.read_frames(2000)
        assert [str(frame[1]).split()[0] for frame in frames] == [str(number) for number in range(2000)]
        assert client.read_frame() == said("done")
        client.close()
        assert client.read_to_end() == [closed(1000), FIN]
    assert len(server.notes(key)) == 20


@pytest.mark.parametrize("path", ["/impatient", "/impatient_async"])
def test_who_sends_to_itself_and_is_never_read_gives_up_after_ping_timeout(
    server: Server, key: str, path: str
) -> None:
    with unharmed(server), slow_client(server, f"{path}?notes={key}") as client:
        client.say("5000")
        wait_for(lambda: (1008, "slow consumer") in server.notes(key), "the end of the slow client")
        assert client.read_to_end()[-1] in (FIN, RESET)
    assert server.notes(key).count((1008, "slow consumer")) == 1


def test_two_that_wait_for_the_same_client_give_it_up_once_and_it_is_told_why(
    server: Server, key: str
) -> None:
    with unharmed(server), slow_client(server, f"/contended?notes={key}") as client:
        client.say("12000000")
        server.notes(key, 1)
        assert closed(1008, "slow consumer") in client.read_to_end()


def test_a_coroutine_that_sends_to_itself_without_awaiting_is_told_to_await(server: Server, key: str) -> None:
    with unharmed(server), slow_client(server, f"/rash?notes={key}") as client:
        client.say("5000")
        assert server.notes(key, 1) == [(1011, "internal error")]
    server.wait_for_log(
        "write `await ws.async_send(...)` or `await ws.async_send_to(...)`, which wait for it"
    )


def test_a_timeout_of_the_handlers_own_ends_its_wait_for_a_slow_client(server: Server, key: str) -> None:
    with unharmed(server), slow_client(server, f"/limited?notes={key}") as client:
        client.say("5000")
        assert server.notes(key, 1) == [("timed out",)]
        client.close()
        assert client.read_to_end()[-3:] == [said("done"), closed(1000), FIN]


def resident_memory(server: Server) -> int:
    """Bytes that the server has in memory."""
    fields = Path(f"/proc/{server.pid()}/statm").read_text().split()
    return int(fields[1]) * 4096


def send_until_held_back(client: RawClient, message: bytes, limit: int) -> int:
    """Send this message until TCP takes no more for half a second; how many bytes went out."""
    client.socket.settimeout(0.5)
    sent = 0
    frames = memoryview(message * 64)
    offset = 0
    try:
        while sent < limit:
            count = client.socket.send(frames[offset:])
            sent += count
            offset = (offset + count) % len(frames)
    except TimeoutError:
        return sent
    return sent


def test_a_client_that_floods_a_busy_handler_is_held_back_by_tcp_and_loses_nothing(server: Server) -> None:
    limit = 100_000_000
    before = resident_memory(server)
    message = text("x" * 10_000)
    with unharmed(server), RawClient(server, "/busy") as client:
        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)
        sent = send_until_held_back(client, message, limit)
        assert sent < limit, "nobody held the client back"
        assert resident_memory(server) - before < 10_000_000
        server.get("/open")
        rest = len(message) - sent % len(message)
        client.send(message[-rest:])
        count = (sent + rest) // len(message)
        assert client.read_frames(count) == [said("10000")] * count
        client.close()
        assert client.read_to_end() == [closed(1000), FIN]


@pytest.mark.parametrize("size", [5_500_000, 6_000_000, 6_500_000, 7_000_000])
def test_a_client_that_reads_while_the_hub_is_busy_is_not_given_up(
    start_server: StartServer, size: int
) -> None:
    server = start_server("backpressure")
    with RawClient(server, "/hasty", receive_buffer=262144) as client:
        client.say(str(size))
        assert client.read_frames(2) == [said("x" * size), said("done")]
    assert server.vitals()["counters"] == {}


# Handlers that block


def test_a_handler_that_blocks_holds_up_only_its_own_connection(server: Server) -> None:
    with RawClient(server, "/sleepy") as blocked, RawClient(server, "/echo") as other:
        blocked.say("1")
        began = time.monotonic()
        for number in range(50):
            other.say(str(number))
            assert other.read_frame() == said(str(number))
        assert server.get("/notes/none") == "[]"
        assert time.monotonic() - began < 0.9, "the others waited for the handler"
        assert blocked.read_frame() == said("slept")


def test_pings_are_answered_while_a_handler_blocks(server: Server) -> None:
    with RawClient(server, "/sleepy") as client:
        client.say("0.5")
        client.send(frame(PING, b"one"), frame(PING, b"two"))
        assert client.read_frames(3) == [(PONG, b"one"), (PONG, b"two"), said("slept")]


@pytest.mark.parametrize("kind", ["def", "async"], ids=["def", "async def"])
def test_two_quick_messages_never_overlap_and_keep_their_order(start_server: StartServer, kind: str) -> None:
    server = start_server("backpressure")
    messages = ["slow", "quick", "slow", *map(str, range(600)), "slow", "last"]
    with RawClient(server, f"/ordered/{kind}") as client:
        client.say(*messages)
        assert client.read_frames(len(messages)) == [said(message) for message in messages]


def test_two_connections_do_overlap(server: Server) -> None:
    with RawClient(server, "/sleepy") as one, RawClient(server, "/sleepy") as two:
        began = time.monotonic()
        one.say("0.5")
        two.say("0.5")
        assert (one.read_frame(), two.read_frame()) == (said("slept"), said("slept"))
        assert time.monotonic() - began < 0.95
