"""What the HTTP server knows of a connection whose greenlet begins with the first message: its count, and its log."""

from __future__ import annotations

import re
import time

import pytest

from ..conftest import StartServer
from ..support.client_frames import close, request
from ..support.harness import Server
from ..support.program import wait_for
from ..support.raw_client import FIN, RawClient, closed, said

OPEN_FOR = 0.3
"""Seconds."""

LOGGED = re.compile(r'"GET /web_socket HTTP/1.1" (\d+) \S+ (\d+\.\d+)')


@pytest.mark.parametrize("speaks", [False, True], ids=["silent", "having spoken"])
def test_a_connection_counts_against_gunicorns_worker_connections(
    start_server: StartServer, speaks: bool
) -> None:
    server = start_server("server_counts", "worker", arguments=["--worker-connections", "2"])
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
def test_the_access_log_has_a_line_when_a_connection_opens_and_one_when_it_ends(
    start_server: StartServer, speaks: bool
) -> None:
    server = start_server("server_counts")
    with RawClient(server) as client:
        assert [status for status, _ in logged(server, 1)] == ["101"]
        if speaks:
            client.say("x")
            assert client.read_text() == "x"
        time.sleep(OPEN_FOR)
        client.close(4000)
        assert client.read_frames(2) == [said("bye"), closed(4000)]
    (_, opening), (code, open_for) = logged(server, 2)
    assert code == "4000"
    assert float(opening) < OPEN_FOR <= float(open_for) < 5


def logged(server: Server, count: int) -> list[tuple[str, str]]:
    """Return the status and the seconds of each line of a WebSocket; waits until there are so many."""
    wait_for(lambda: len(LOGGED.findall(server.log())) >= count, "the line in the log")
    return LOGGED.findall(server.log())


GUNICORN_LOGGED = re.compile(r"logged (\S+) took (\S+) sent (\S+) of (.*) by (.*)")
GUNICORN_FORMAT = "logged %(s)s took %(L)s sent %(B)s of %(r)s by %(a)s"
BY_ME = {"User-Agent": "me"}


@pytest.mark.parametrize("way", ["worker", "geventwebsocket"])
def test_gunicorns_access_log_has_a_line_when_a_connection_opens_and_one_when_it_ends(
    start_server: StartServer, way: str
) -> None:
    server = start_server(
        "server_counts", way, ["--access-logfile", "-", "--access-logformat", GUNICORN_FORMAT]
    )
    with RawClient(server, headers=BY_ME) as client:
        opened = gunicorn_logged(server, 1)
        time.sleep(OPEN_FOR)
        client.close(4000)
        assert client.read_frames(2) == [said("bye"), closed(4000)]
    lines = gunicorn_logged(server, 2)
    assert lines[:1] == opened
    for (status, seconds, sent, asked, agent), expected in zip(lines, ("101", "4000"), strict=True):
        assert (status, sent, asked, agent) == (expected, "0", "GET /web_socket HTTP/1.1", "me")
        assert (float(seconds) >= OPEN_FOR) is (status == "4000")
        assert float(seconds) < 5


def gunicorn_logged(server: Server, count: int) -> list[tuple[str, ...]]:
    wait_for(lambda: len(GUNICORN_LOGGED.findall(server.log())) >= count, "the line in the log")
    return [line for line in GUNICORN_LOGGED.findall(server.log()) if "/web_socket" in line[3]]


def test_the_line_when_a_connection_opens_comes_with_the_101_and_not_when_connect_has_ended(
    start_server: StartServer, way: str
) -> None:
    server = start_server(
        "accepting", way, ["--access-logfile", "-", "--access-logformat", '"%(r)s" %(s)s - %(L)s']
    )
    with RawClient(server) as client:
        assert [status for status, _ in logged(server, 1)] == ["101"]
        server.get("/go_on")
        assert client.read_close() == (1011, "internal error")
    assert [status for status, _ in logged(server, 2)] == ["101", "1011"]


def test_a_refused_handshake_has_one_line_with_its_status(start_server: StartServer, way: str) -> None:
    server = start_server(
        "server_counts", way, ["--access-logfile", "-", "--access-logformat", '"%(r)s" %(s)s - %(L)s']
    )
    with RawClient(server, None) as client:
        client.send(request("/web_socket", Origin="https://other.example"))
        assert client.read_head() in (101, 403)
        client.wait_for_end()
    assert [status for status, _ in logged(server, 1)] == ["403"]


def test_nobody_writes_lines_of_his_own_into_the_access_log_of_gevent_websockets_worker(
    start_server: StartServer,
) -> None:
    server = start_server(
        "server_counts",
        "geventwebsocket",
        ["--access-logfile", "-", "--access-logformat", "%(r)s %({x-a}i)s"],
    )
    with RawClient(server, None) as client:
        client.send(request("/web_socket?\x1b[2J", X_A="\x9b2J"))
        assert client.read_head() == 101
        wait_for(lambda: "GET /web_socket?" in server.log(), "the line in the log")
    assert not {"\x1b", "\x9b"} & set(server.log())


def test_a_connection_whose_greenlet_is_killed_before_it_begins_is_closed_in_order(
    start_server: StartServer,
) -> None:
    server = start_server("server_counts", spawn=10)
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
