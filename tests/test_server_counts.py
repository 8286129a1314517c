"""What the HTTP server knows of a connection whose greenlet begins with the first message: its count, and its log."""

from __future__ import annotations

import re
import time

import pytest

from .client_frames import close, request
from .conftest import StartServer
from .program import wait_for
from .raw_client import FIN, RawClient, closed, said

SOURCE = """
websocket = WebSocket(app, "/web_socket")

@websocket.on("message")
def message(ws, msg):
    return msg

@websocket.on("close")
def end(ws):
    print("closed", ws.close_code, flush=True)
    return "bye"

@app.get("/kill")
def kill():
    from gws import going_away
    pools = [server.pool for server in going_away._servers]
    greenlets = [greenlet for pool in pools for greenlet in pool if greenlet is not gevent.getcurrent()]
    for greenlet in greenlets:
        greenlet.kill()
    return str(len(greenlets))
"""

OPEN_FOR = 0.3
"""Seconds."""

LOGGED = re.compile(r'"GET /web_socket HTTP/1.1" 101 \S+ (\d+\.\d+)')


@pytest.mark.parametrize("speaks", [False, True], ids=["silent", "having spoken"])
def test_a_connection_counts_against_gunicorns_worker_connections(
    start_server: StartServer, speaks: bool
) -> None:
    server = start_server(SOURCE, "worker", arguments=["--worker-connections", "2"])
    with RawClient(server) as first, RawClient(server) as second:
        for client in (first, second):
            if speaks:
                client.say("x")
                assert client.read_text() == "x"
        with RawClient(server, None) as third:
            third.send(request("/web_socket"))
            third.socket.settimeout(OPEN_FOR)
            with pytest.raises(TimeoutError):
                third.socket.recv(1)
            third.socket.settimeout(10)
            first.close()
            assert first.read_frames(2) == [said("bye"), closed(1000)]
            assert third.read_head() == 101
            third.say("y")
            assert third.read_text() == "y"


@pytest.mark.parametrize("speaks", [False, True], ids=["silent", "having spoken"])
def test_the_access_log_has_one_line_for_a_connection_and_how_long_it_was_open(
    start_server: StartServer, speaks: bool
) -> None:
    server = start_server(SOURCE)
    with RawClient(server) as client:
        if speaks:
            client.say("x")
            assert client.read_text() == "x"
        time.sleep(OPEN_FOR)
        assert not LOGGED.search(server.log())
        client.close()
        assert client.read_frames(2) == [said("bye"), closed(1000)]
        wait_for(lambda: LOGGED.search(server.log()), "the line in the log")
    (seconds,) = LOGGED.findall(server.log())
    assert OPEN_FOR <= float(seconds) < 5


def test_gunicorns_access_log_has_one_line_for_a_connection_and_how_long_it_was_open(
    start_server: StartServer,
) -> None:
    options = ["--access-logfile", "-", "--access-logformat", "took %(L)s %(s)s"]
    server = start_server(SOURCE, "worker", arguments=options)
    with RawClient(server) as client:
        time.sleep(OPEN_FOR)
        client.close()
        assert client.read_frames(2) == [said("bye"), closed(1000)]
        wait_for(lambda: re.search(r"took \S+ 101", server.log()), "the line in the log")
    (seconds,) = re.findall(r"took (\S+) 101", server.log())
    assert OPEN_FOR <= float(seconds) < 5


def test_a_connection_whose_greenlet_is_killed_before_it_begins_is_closed_in_order(
    start_server: StartServer,
) -> None:
    server = start_server(SOURCE, spawn=10)
    with RawClient(server) as client:
        killing = RawClient(server, None)
        with killing:
            killing.send(b"GET /kill HTTP/1.1\r\nHost: x\r\n\r\n")
            assert client.read_frames(2) == [said("bye"), closed(1001, "going away")]
            client.send(close(1001))
            assert client.read_to_end() == [FIN]
            assert killing.read_head() == 200
            assert killing.body == "1"
    assert server.log().count("closed 1001") == 1
