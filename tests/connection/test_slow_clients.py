"""Clients that do not read, do not answer, or do not stop."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from ..conftest import StartServer
from ..support.case import Case, new_tag
from ..support.client_frames import MIB, PING, PONG, TEXT, close, frame, text
from ..support.harness import unharmed
from ..support.program import DEADLINE
from ..support.raw_client import RawClient, closed


def expect_dropped_as_slow(case: Case, flood: Callable[[], object], tag: str, count: int) -> None:
    """Return a flood ends with the slow client dropped, counted and logged; the memory has stayed bounded."""
    before = case.server.reset_peak_memory()
    flood()
    case.expect_closed(tag, 1008)
    assert case.server.vitals()["counters"]["slow_consumers"] == count + 1
    assert case.server.peak_memory() - before < 16 * MIB
    assert len(case.lines_about("slow consumer")) == 1, case.log()


def slow_consumers(case: Case) -> int:
    """How many the server has counted."""
    return int(case.server.vitals()["counters"].get("slow_consumers", 0))


def test_a_client_that_never_reads_is_dropped_from_a_crowd_that_does(case: Case) -> None:
    tag = new_tag()
    count = slow_consumers(case)
    messages = [f"{number:06}" * 10_000 for number in range(200)]

    def flood() -> None:
        for message in messages:
            reader.send(text(message))
            assert reader.read_text() == message

    with (
        RawClient(case.server, "/crowd") as reader,
        RawClient(case.server, f"/crowd?tag={tag}", receive_buffer=4096) as client,
    ):
        expect_dropped_as_slow(case, flood, tag, count)
        # It finds out when it reads at last.
        assert client.read_close() == (1008, "slow consumer")


def test_a_client_that_reads_no_pongs_is_dropped_in_the_flood_of_its_own_pings(
    start_server: StartServer,
) -> None:
    server = start_server("surviving", config={"GWS_PING_INTERVAL": 0.5, "GWS_PING_TIMEOUT": 1.0})
    with unharmed(server), RawClient(server, "/web_socket?tag=deaf", receive_buffer=4096) as client:
        before = server.reset_peak_memory()
        client.send_until_cut_off(frame(PING, b"x" * 125) * 500)
        server.wait_for_log("closed deaf 1008")
        assert server.peak_memory() - before < 16 * MIB
    assert server.vitals()["counters"]["slow_consumers"] == 1


def test_a_client_that_reads_no_echoes_is_held_back_and_then_dropped(start_server: StartServer) -> None:
    server = start_server("surviving", config={"GWS_PING_TIMEOUT": 1.0})
    with unharmed(server), RawClient(server, "/web_socket?tag=deaf", receive_buffer=4096) as client:
        before = server.reset_peak_memory()
        client.send_until_cut_off(text("x" * 1000) * 100)
        server.wait_for_log("closed deaf 1008")
        assert server.peak_memory() - before < 16 * MIB
    assert server.vitals()["counters"]["slow_consumers"] == 1


# After the Close


def test_a_client_that_sends_on_after_its_close_is_not_listened_to(case: Case) -> None:
    tag = new_tag()
    with RawClient(case.server, f"/web_socket?tag={tag}") as client:
        client.send(close(4001, b"bye") + text("late") * 3 + close(4002))
        assert client.read_frame() == closed(4001, "bye")
        assert client.has_ended()
    case.expect_closed(tag, 4001)


def test_a_client_that_floods_after_its_close_is_cut_off(case: Case) -> None:
    tag = new_tag()
    with RawClient(case.server, f"/web_socket?tag={tag}") as client:
        client.send(close(1000))
        client.send_until_cut_off(text("x" * 100) * 100)
    case.expect_closed(tag, 1000)


def test_a_client_that_never_answers_the_close_is_cut_off_at_the_deadline(case: Case) -> None:
    tag = new_tag()
    with RawClient(case.server, f"/closing?tag={tag}") as client:
        began = time.monotonic()
        client.send(text("close me"))
        assert client.read_text() == "last words"
        assert client.read_close() == (4000, "enough")
        client.send(text("not an answer"))
        assert client.has_ended()
        # GWS_CLOSE_TIMEOUT is 1 second.
        assert 0.5 < time.monotonic() - began < DEADLINE / 2
    case.expect_closed(tag, 4000)


def test_a_client_that_answers_the_close_is_not_kept_waiting(case: Case) -> None:
    with RawClient(case.server, "/closing") as client:
        client.send(text("close me"))
        assert client.read_close() == (4000, "enough")
        client.send(close(4000))
        assert client.has_ended()


# Floods


def test_every_ping_of_a_flood_is_answered_in_order(case: Case) -> None:
    count = 20_000
    with RawClient(case.server) as client:
        pings = b"".join(frame(PING, str(number).encode()) for number in range(count))
        thread = threading.Thread(target=client.send, args=[pings])
        thread.start()
        assert [client.read_frame() for _ in range(count)] == [(PONG, str(n).encode()) for n in range(count)]
        thread.join(DEADLINE)


def test_a_client_that_sends_byte_by_byte_is_heard_and_the_others_too(case: Case) -> None:
    with RawClient(case.server) as slow, RawClient(case.server) as other:
        for number, byte in enumerate(text("x" * 1000)):
            slow.send(bytes((byte,)))
            if number % 100 == 0:
                other.say("still there?")
                assert other.read_text() == "still there?"
        assert slow.read_text() == "x" * 1000
        # A ping that comes in one read with the message before it is answered before that message is handled.
        for byte in frame(PING, b"?") + text("end"):
            slow.send(bytes((byte,)))
        assert [slow.read_frame(), slow.read_text()] == [(PONG, b"?"), "end"]


def test_a_million_empty_messages_are_handled_one_by_one(case: Case) -> None:
    before = case.server.reset_peak_memory()
    with RawClient(case.server, "/counting") as client:
        block = frame(TEXT) * 10_000
        for _ in range(100):
            client.send(block)
        client.send(text("how many?"))
        assert client.read_text() == "1000000"
    assert case.server.peak_memory() - before < 8 * MIB
