"""What comes before a connection is open: refusals as plain HTTP, the connect handler, and what it may say."""

from __future__ import annotations

import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from ..conftest import StartServer
from ..support.client_frames import CLOSE, PING, PONG, frame, text
from ..support.harness import WAYS, Server, unharmed
from ..support.program import wait_for
from ..support.raw_client import FIN, RawClient, closed, said


@pytest.fixture(scope="module", params=WAYS)
def server(start_module_server: StartServer, request: pytest.FixtureRequest) -> Server:
    return start_module_server("connect", request.param)


def assert_refused(server: Server, way: str, path: str, status: int, said: str = "") -> None:
    """Refused in plain HTTP; or, where gevent-websocket has sent the 101 before anybody was asked, with a Close."""
    with unharmed(server), RawClient(server, path) as client:
        if way != "geventwebsocket":
            assert client.status == status
            assert said in client.body
        else:
            assert client.status == 101
            name, payload = client.read_frame()
            assert name == CLOSE
            assert isinstance(payload, tuple)
            assert payload[0] == (1008 if status < 500 else 1011)
            assert client.read_to_end() == [FIN]


@pytest.fixture
def way(request: pytest.FixtureRequest) -> str:
    """Return the way that the module's server runs."""
    return str(request.node.callspec.params["server"])


# Refusals


def test_abort_in_the_connect_handler_refuses(server: Server, way: str, key: str) -> None:
    assert_refused(server, way, f"/room?how=abort&notes={key}", 401, "Unauthorized")
    assert server.notes(key) == []


def test_before_request_refuses(server: Server, way: str) -> None:
    assert_refused(server, way, "/private", 401, "Unauthorized")


def test_before_request_redirects(server: Server, way: str) -> None:
    assert_refused(server, way, "/login", 302, "/elsewhere")


def test_an_unknown_path_is_not_found(server: Server, way: str) -> None:
    assert_refused(server, way, "/nowhere", 404, "Not Found")


def test_a_refusal_says_why_in_the_close_that_gevent_websocket_makes_of_it(server: Server, way: str) -> None:
    with RawClient(server, "/private") as client:
        if way == "geventwebsocket":
            assert client.read_to_end() == [closed(1008, "401 UNAUTHORIZED"), FIN]
        else:
            assert (client.status, "upgrade" in client.headers) == (401, False)


@pytest.mark.parametrize("path", ["/slow", "/slow_async"])
def test_a_connect_handler_that_takes_too_long_is_broken_off(server: Server, way: str, path: str) -> None:
    began = time.monotonic()
    assert_refused(server, way, path, 503, "the connect handler took too long")
    assert time.monotonic() - began < 10


def test_an_async_connect_handler_that_takes_too_long_is_cancelled(server: Server, key: str) -> None:
    with RawClient(server, f"/slow_async?notes={key}"):
        assert server.notes(key, 1) == [("cancelled",)]


# Opening


def test_what_connect_sends_and_returns_comes_in_order_behind_the_101(server: Server) -> None:
    with RawClient(server, "/room?how=say") as client:
        client.say("hello")
        assert client.read_frames(4) == [said("one"), said("two"), said("three"), said("hello")]


def test_messages_sent_with_the_handshake_wait_for_connect(server: Server) -> None:
    with RawClient(server, "/room?how=say", behind=text("early")) as client:
        assert client.read_frames(4) == [said("one"), said("two"), said("three"), said("early")]


def test_nobody_reaches_a_connection_while_its_connect_handler_runs(
    server: Server, way: str, key: str
) -> None:
    with unharmed(server), RawClient(server, "/room") as other:
        assert other.read_frame() == said("welcome")
        with RawClient(server, f"/room?how=hide&notes={key}", wait=False) as hidden:
            ((hidden_id,),) = server.notes(key, 1)
            other.say(f"reach {hidden_id}")
            assert other.read_frames(2) == [said("to everybody"), said("reached: False")]
            hidden.read_head()
            assert hidden.read_frame() == said("open")
            other.say(f"reach {hidden_id}")
            assert hidden.read_frames(2) == [said("reached"), said("to everybody")]
            assert other.read_frames(2) == [said("to everybody"), said("reached: True")]


def test_accept_opens_before_the_connect_handler_ends_and_lifts_its_deadline(
    server: Server, key: str
) -> None:
    began = time.monotonic()
    with (
        unharmed(server),
        RawClient(server, f"/accepting?notes={key}", behind=text("hi")) as client,
    ):
        assert client.status == 101
        assert client.read_frame() == said("before")
        assert time.monotonic() - began < 0.5
        assert client.read_frames(3) == [said("after"), said("connected"), said("hi")]
        client.close()
        assert client.read_to_end() == [closed(1000), FIN]
    assert server.notes(key) == [("closed", 1000)]


@pytest.mark.parametrize(
    ("how", "end"), [("raise", (1011, "internal error")), ("abort", (1008, "403 FORBIDDEN"))]
)
def test_a_connect_handler_that_raises_after_accepting_closes(
    server: Server, key: str, how: str, end: tuple[int, str]
) -> None:
    with unharmed(server), RawClient(server, f"/accepting?how={how}&notes={key}") as client:
        assert client.read_frames(2) == [said("before"), closed(*end)]
        client.close(end[0])
        assert client.has_ended()
    assert server.notes(key) == []


def test_the_same_path_serves_a_page_and_a_websocket(server: Server) -> None:
    assert server.get("/room") == "the page of the room"
    with RawClient(server, "/room") as client:
        assert client.read_frame() == said("welcome")


def test_an_endpoint_without_handlers_listens_and_closes(server: Server) -> None:
    with unharmed(server), RawClient(server, "/bare") as client:
        client.say("hello")
        client.send(frame(PING, b"there?"))
        client.close()
        assert client.read_to_end() == [(PONG, b"there?"), closed(1000), FIN]


def test_an_endpoint_may_have_a_message_handler_alone(server: Server, key: str) -> None:
    with unharmed(server), RawClient(server, f"/listening?notes={key}") as client:
        client.say("hello")
        client.close()
        assert client.read_to_end() == [closed(1000), FIN]
    assert server.notes(key) == [("hello",)]


def test_an_endpoint_may_have_a_close_handler_alone(server: Server, key: str) -> None:
    with unharmed(server), RawClient(server, f"/only_close?notes={key}") as client:
        client.say("hello")
        client.close()
        assert client.read_to_end() == [said("bye"), closed(1000), FIN]
    assert server.notes(key) == [("closed", 1000)]


def test_flasks_development_server_answers_501_and_names_the_command_to_use(tmp_path: Path) -> None:
    program = tmp_path / "app.py"
    program.write_text(
        textwrap.dedent(
            """
            from flask import Flask
            from gws import WebSocket
            app = Flask(__name__)
            WebSocket(app, "/web_socket")
            app.run(port=0)
            """
        )
    )
    log = tmp_path / "log"
    with log.open("w") as out:
        process = subprocess.Popen([sys.executable, str(program)], stdout=out, stderr=out)
    try:
        url = wait_for(lambda: log.read_text().partition("http://127.0.0.1:")[2], "the server to listen")
        with RawClient(int(url.split()[0])) as client:
            assert client.status == 501
            assert "gunicorn -k gws.worker.Worker" in client.body
            assert "app.start()" in client.body
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize("how", ["value%20error", "wrong%20type", "timeout", "system%20exit", "cancelled"])
def test_a_connect_handler_that_raises_is_logged_and_harms_nobody_else(
    server: Server, way: str, key: str, how: str
) -> None:
    pid = server.pid()
    assert_refused(server, way, f"/room?how={how}&notes={key}", 500)
    assert server.notes(key) == []
    assert server.pid() == pid
    server.wait_for_log("Traceback")
