"""Pings by the server: how often, who is lost for answering none, and who lives on."""

from __future__ import annotations

import time

import pytest

from ..conftest import StartServer
from ..support.client_frames import PING, PONG, TEXT, frame
from ..support.harness import Server, unharmed
from ..support.raw_client import FIN, RESET, RawClient, said


@pytest.fixture(scope="module")
def server(start_module_server: StartServer) -> Server:
    return start_module_server("keepalive")


def test_a_ping_goes_out_every_ping_interval_also_when_ping_timeout_is_longer(server: Server) -> None:
    for path in "/lively", "/tolerant":
        with RawClient(server, path) as client:
            began = time.monotonic()
            for _ in range(5):
                assert client.read_frame() == (PING, b"")
                client.send(frame(PONG))
            assert 0.8 < time.monotonic() - began < 4


def test_a_client_that_answers_pings_lives_on(server: Server, key: str) -> None:
    with RawClient(server, f"/lively?notes={key}") as client:
        for _ in range(6):
            assert client.read_frame() == (PING, b"")
            client.send(frame(PONG))
        assert server.notes(key) == []
        client.say("still here")
        assert (TEXT, "still here") in (client.read_frame(), client.read_frame())


def test_a_client_that_answers_no_ping_is_lost_as_1006(server: Server, key: str) -> None:
    before = server.vitals()["counters"].get("keepalive_timeouts", 0)
    with unharmed(server), RawClient(server, f"/lively?notes={key}") as client:
        assert server.notes(key, 1) == [(1006, "keepalive ping timeout")]
        assert client.read_to_end() in ([(PING, b""), FIN], [(PING, b""), RESET])
    assert server.notes(key) == [(1006, "keepalive ping timeout")]
    assert server.vitals()["counters"]["keepalive_timeouts"] == before + 1


def test_ping_timeout_may_be_shorter_than_ping_interval(server: Server, key: str) -> None:
    with unharmed(server), RawClient(server, f"/strict?notes={key}"):
        began = time.monotonic()
        assert server.notes(key, 1) == [(1006, "keepalive ping timeout")]
        assert time.monotonic() - began < 5


def test_without_a_ping_interval_nobody_is_pinged(server: Server, key: str) -> None:
    with RawClient(server, f"/silent?notes={key}") as client, RawClient(server, "/lively") as clock:
        for _ in range(5):
            assert clock.read_frame() == (PING, b"")
            clock.send(frame(PONG))
        client.say("first")
        assert client.read_frame() == said("first")


def test_a_dead_peer_is_lost_while_its_handler_blocks(start_server: StartServer) -> None:
    server = start_server("keepalive")
    with RawClient(server, "/blocking?notes=x") as client:
        client.say("hello")
        assert server.notes("x", 1) == [(1006, "keepalive ping timeout")]
