"""`async def` handlers and messages that come many at a time: one task handles them, as one greenlet does for `def`."""

from __future__ import annotations

import pytest

from ..conftest import StartServer
from ..support.harness import Server, unharmed
from ..support.raw_client import FIN, RawClient, closed, said


@pytest.fixture(scope="module")
def server(start_module_server: StartServer) -> Server:
    return start_module_server("async_batches")


def test_answers_come_in_the_order_of_the_messages(server: Server) -> None:
    messages = ["sleep" if number % 100 == 0 else str(number) for number in range(1000)]
    with unharmed(server), RawClient(server) as client:
        client.say(*messages)
        assert client.read_frames(1000) == [said(message) for message in messages]


@pytest.mark.parametrize("fault", ["raise", "cancel"])
def test_an_error_ends_the_batch_behind_what_was_answered(server: Server, key: str, fault: str) -> None:
    with unharmed(server), RawClient(server, f"/web_socket?notes={key}") as client:
        client.say("a", "b", fault, "never")
        assert client.read_to_end() == [said("a"), said("b"), closed(1011, "internal error"), FIN]
        expected = [("a", False), ("b", False), (fault, False), ("closed", 1011)]
        assert server.notes(key, 4) == expected


def test_closing_ends_the_batch(server: Server, key: str) -> None:
    with unharmed(server), RawClient(server, f"/web_socket?notes={key}") as client:
        client.say("a", "close", "never")
        assert client.read_frames(3) == [said("a"), said("last words"), closed(4000, "enough")]
        client.close(4000)
        assert client.read_to_end() == [FIN]
        assert server.notes(key, 3) == [("a", False), ("close", False), ("closed", 4000)]


def test_a_batch_waits_for_a_client_that_reads_slowly(server: Server) -> None:
    messages = [f"large{number:03}" for number in range(200)]
    with unharmed(server), RawClient(server, receive_buffer=65536) as client:
        client.say(*messages)
        with RawClient(server) as other:
            other.say("meanwhile")
            assert other.read_frame() == said("meanwhile")
        assert client.read_frames(200) == [said(message * 20_000) for message in messages]
    assert server.vitals()["counters"] == {}


def test_context_variables_are_the_connections(server: Server) -> None:
    with RawClient(server) as one, RawClient(server) as other:
        one.say("count", "count", "count")
        assert one.read_frames(3) == [said("1"), said("2"), said("3")]
        one.say("count")
        other.say("count")
        assert (one.read_frame(), other.read_frame()) == (said("4"), said("1"))
