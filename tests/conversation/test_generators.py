"""Handlers that yield: what is sent, what a slow client does to them, and what the client's end does."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

import pytest

from ..conftest import StartServer
from ..support.client_frames import BINARY, MIB, TEXT
from ..support.harness import WAYS, Server, unharmed
from ..support.raw_client import FIN, RawClient, closed

KINDS = ("def", "async")


@pytest.fixture(scope="module", params=WAYS)
def server(request: pytest.FixtureRequest, start_module_server: StartServer) -> Server:
    return start_module_server("generators", request.param)


@pytest.fixture(autouse=True)
def _unharmed(server: Server) -> Iterator[None]:
    with unharmed(server):
        yield


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def connect(server: Server, kind: str, key: str = "") -> RawClient:
    client = RawClient(server, f"/{kind}?notes={key}")
    assert [client.read_text(), client.read_text()] == ["welcome", "to gws"]
    return client


def test_each_value_is_a_message_in_every_event(server: Server, kind: str) -> None:
    with connect(server, kind) as client:
        client.say("all", "next")
        assert client.read_frames(5) == [
            (TEXT, "text"),
            (BINARY, b"\x00"),
            (TEXT, json.dumps({"a": [1]})),
            (TEXT, ""),
            (TEXT, "next"),
        ]
        client.close()
        assert client.read_to_end() == [(TEXT, "good"), (TEXT, "bye"), closed(1000), FIN]


@pytest.mark.parametrize("lost", [False, True])
def test_the_clients_end_ends_what_waits_for_something_else(
    server: Server, kind: str, key: str, lost: bool
) -> None:
    with connect(server, kind, key) as client:
        client.say("wait", "never handled")
        assert client.read_text() == "waiting"
        if lost:
            client.reset()
        else:
            client.close()
            assert client.read_to_end()[-2:] == [closed(1000), FIN]
    # All of it long before the deadline of a close.
    assert server.notes(key, 3) == [
        ("upstream closed",),
        ("and waited for",),
        ("closed", 1006 if lost else 1000),
    ]


@pytest.mark.parametrize("lost", [False, True])
def test_one_that_begins_behind_the_clients_end_waits_for_nothing(
    server: Server, kind: str, key: str, lost: bool
) -> None:
    with connect(server, kind, key) as client:
        client.say("wait first", "wait first", "wait first", "an answer")
        server.notes(key, 1)
        if lost:
            client.reset()
        else:
            client.close()
            assert client.read_to_end() == [
                (TEXT, "an answer"),
                (TEXT, "good"),
                (TEXT, "bye"),
                closed(1000),
                FIN,
            ]
    assert server.notes(key, 4) == [("began",)] * 3 + [("closed", 1006 if lost else 1000)]


def test_one_that_does_not_end_is_asked_for_nothing_more(server: Server, kind: str, key: str) -> None:
    with connect(server, kind, key) as client:
        client.say("stubborn")
        assert client.read_text() == "waiting"
        client.reset()
    assert server.notes(key, 2) == [("goes on",), ("closed", 1006)]


def test_one_that_closes_its_connection_is_ended(server: Server, kind: str) -> None:
    with connect(server, kind) as client:
        client.say("close")
        frames = client.read_to_end()
        assert frames[0] == (TEXT, "still said")
        assert frames[-2:] == [closed(4000, "done"), FIN]


@pytest.mark.parametrize("message", ["raise", "object"])
def test_what_it_raises_and_what_cannot_be_sent_closes_with_1011(
    server: Server, kind: str, message: str
) -> None:
    begin = len(server.log())
    with connect(server, kind) as client:
        client.say(message)
        if message == "raise":
            assert client.read_text() == "before"
        frames = client.read_to_end()
        assert frames[-2:] == [closed(1011, "internal error"), FIN]
    assert ("LookupError: on purpose" if message == "raise" else "UnsendableError") in server.log()[begin:]


def test_a_slow_client_holds_it_back_and_a_fast_one_keeps_nobody_out(
    server: Server, kind: str, key: str
) -> None:
    with connect(server, kind, key) as client, RawClient(server, "/echo") as other:
        before = server.reset_peak_memory()
        client.say("for ever")
        slowest = 0.0
        for _ in range(50):
            began = time.monotonic()
            other.say("x")
            for _ in range(20):
                assert client.read_text() == "x" * 1000
            assert other.read_text() == "x"
            slowest = max(slowest, time.monotonic() - began)
        assert slowest < 0.5
        assert server.peak_memory() - before < 6 * MIB
        client.reset()
    ((number,), end) = server.notes(key, 2)
    # What has been read, and what the kernel and the outbox hold.
    assert 1000 <= number < 20_000
    assert end == ("closed", 1006)


def test_in_a_receive_loop(server: Server, kind: str, key: str) -> None:
    with RawClient(server, f"/loop/{kind}?notes={key}") as client:
        client.say("a", "b")
        assert [client.read_text() for _ in range(2)] == ["a!", "b!"]
        client.say("wait")
        assert [client.read_text() for _ in range(2)] == ["wait!", "waiting"]
        client.reset()
    assert server.notes(key, 2) == [("upstream closed",), ("and waited for",)]
