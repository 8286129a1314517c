"""The ways to run an application: a whole conversation in each, middleware, several workers; and the ways that fail."""

from __future__ import annotations

import contextlib
import http.client
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect, unix_connect

from ..conftest import StartServer
from ..support.client_frames import request as upgrade_request
from ..support.client_frames import text
from ..support.conversation import have_conversations
from ..support.harness import WAYS, Server, unharmed
from ..support.program import DEADLINE, python, wait_for
from ..support.raw_client import RawClient


@pytest.fixture(scope="module", params=WAYS)
def plain_server(start_module_server: StartServer, request: pytest.FixtureRequest) -> Server:
    return start_module_server("conversation", request.param)


@pytest.fixture(scope="module", params=WAYS)
def wrapped_server(start_module_server: StartServer, request: pytest.FixtureRequest) -> Server:
    return start_module_server("wrapped", request.param)


def test_both_client_libraries_have_a_whole_conversation(plain_server: Server) -> None:
    have_conversations(plain_server)


def test_plain_http_is_served_beside_it_on_connections_that_are_kept_alive(plain_server: Server) -> None:
    http_client = http.client.HTTPConnection("127.0.0.1", plain_server.port, timeout=DEADLINE)
    with contextlib.closing(http_client), connect(plain_server.url()) as client:
        http_client.connect()
        kept = http_client.sock
        for _ in range(3):
            http_client.request("GET", "/hello")
            assert http_client.getresponse().read() == b"hello"
            client.send("x")
            assert client.recv(timeout=DEADLINE) == "x"
        http_client.request("GET", "/nowhere")
        with http_client.getresponse() as response:
            assert response.status == 404
            response.read()
        assert http_client.sock is kept


def test_a_connection_that_has_served_http_may_be_upgraded(plain_server: Server) -> None:
    with unharmed(plain_server), RawClient(plain_server, None) as client:
        client.send(b"GET /hello HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (client.read_head(), client.body) == (200, "hello")
        client.send(upgrade_request() + text("x"))
        assert client.read_head() == 101
        assert client.read_text() == "x"


@pytest.mark.parametrize("way", WAYS)
def test_who_reads_the_body_of_every_request_reads_no_frames(start_server: StartServer, way: str) -> None:
    server = start_server("body_reader", way)
    with unharmed(server), RawClient(server, behind=text("x")) as client:
        assert client.status == 101
        assert client.read_text() == "read b''"
        assert client.read_text() == "x"


# Middleware


def test_a_websocket_behind_a_proxy_sees_the_clients_address_and_the_proxys_name(
    wrapped_server: Server,
) -> None:
    headers = {
        "X-Forwarded-For": "192.0.2.7",
        "X-Forwarded-Proto": "https",
        "X-Forwarded-Host": "chat.example",
        "Origin": "https://chat.example",
    }
    with connect(wrapped_server.url(), additional_headers=headers) as client:
        client.send("who am I?")
        assert str(client.recv(timeout=DEADLINE)).startswith('["192.0.2.7"')


def test_a_websocket_goes_through_middleware_that_wraps_start_response(wrapped_server: Server) -> None:
    page = f"http://127.0.0.1:{wrapped_server.port}/hello"
    with unharmed(wrapped_server), connect(wrapped_server.url()) as client:
        client.send("x")
        assert client.recv(timeout=DEADLINE) == "x"
        with urllib.request.urlopen(page, timeout=DEADLINE) as response:
            assert response.headers["X-Middleware"] == "yes"
        client.close(4010)
        wrapped_server.wait_for_log("closed 4010")
    assert "Traceback" not in wrapped_server.log()


# Unix sockets


@pytest.mark.parametrize("way", ["worker", "geventwebsocket"])
def test_websockets_on_a_unix_socket_end_without_a_traceback(
    start_server: StartServer, tmp_path: Path, way: str
) -> None:
    path = str(tmp_path / "socket")
    server = start_server("conversation", way, ["-b", f"unix:{path}"])
    with unharmed(server), contextlib.ExitStack() as stack:
        clients = [stack.enter_context(unix_connect(path, "ws://localhost/web_socket")) for _ in range(3)]
        with contextlib.suppress(InvalidStatus, ConnectionClosed):
            page = {"Origin": "https://other.example"}
            with unix_connect(path, "ws://localhost/web_socket", additional_headers=page) as refused:
                refused.recv(timeout=DEADLINE)
        for client in clients:
            client.send("x")
            assert client.recv(timeout=DEADLINE) == "x"
    wait_for(lambda: server.log().count("closed 1000") == 3, "three close handlers")
    with server.stopping():
        pass


# Several workers


@pytest.mark.parametrize(("way", "preload"), [("worker", False), ("worker", True), ("geventwebsocket", True)])
def test_two_gunicorn_workers_both_serve(
    start_server: StartServer, tmp_path: Path, way: str, preload: bool
) -> None:
    server = start_server("conversation", way, ["-w", "2", *(["--preload"] if preload else [])])
    with connect(server.url("/web_socket?pid")) as first:
        welcome = first.recv(timeout=DEADLINE)
        first.send("who am I?")
        first_node = str(first.recv(timeout=DEADLINE)).split('"')[5][:13]
        enough = tmp_path / "enough"
        first.send(f"be busy until {enough}")
        server.wait_for_log("busy")
        # While one is busy only the other accepts, which may not have started before.
        with connect(server.url("/web_socket?pid")) as second:
            assert second.recv(timeout=DEADLINE) != welcome
            second.send("who am I?")
            assert str(second.recv(timeout=DEADLINE)).split('"')[5][:13] != first_node
            enough.touch()
            assert first.recv(timeout=DEADLINE) == "no longer busy"
            server.tell()
            for client in (first, second):
                assert list(client) == []
                assert client.close_code == 1001
    assert server.wait() == 0
    assert server.log().count("closed 1001") == 2
    assert "Traceback" not in server.log()


# Ways that do not work


def failure_of(start: Callable[[], Server]) -> str:
    """Return what a program says that ends instead of listening, its exit code first."""
    with pytest.raises(AssertionError) as caught:
        start()
    return str(caught.value).removeprefix("the program ended with ")


def test_an_unpatched_program_is_warned_once_and_serves(start_server: StartServer) -> None:
    server = start_server(
        text="""
        from gws import App, WebSocket
        app = App(__file__)
        websocket = WebSocket(app, "/web_socket")
        websocket.on("message")(lambda msg: msg)
        app.start(port=0)
        """
    )
    for _ in range(2):
        with connect(server.url()) as client:
            client.send("x")
            assert client.recv(timeout=DEADLINE) == "x"
    assert server.log().count("monkey.patch_all()") == 1
    with server.stopping():
        pass


def test_a_patched_program_is_not_warned(start_server: StartServer) -> None:
    assert "patch" not in start_server("conversation").log()


def test_flasks_development_server_answers_501_and_says_what_to_use(start_server: StartServer) -> None:
    server = start_server(
        text="""
        from flask import Flask
        from gws import WebSocket
        from werkzeug.serving import make_server
        app = Flask(__name__)
        websocket = WebSocket(app, "/web_socket")
        websocket.on("message")(lambda msg: msg)
        server = make_server("127.0.0.1", 0, app)
        print(f"listens on http://127.0.0.1:{server.port}", flush=True)
        server.serve_forever()
        """
    )
    with RawClient(server, None) as client:
        client.send(upgrade_request())
        assert client.read_head() == 501
        client.wait_for_end()
    assert "gws.serve(app)" in server.log()


@pytest.mark.parametrize("worker", ["gevent", "sync"])
def test_gunicorns_own_workers_answer_501(start_server: StartServer, worker: str) -> None:
    server = start_server("conversation", "worker", ["-k", worker])
    with RawClient(server, None) as client:
        client.send(upgrade_request())
        assert client.read_head() == 501
    assert "gws.worker.Worker" in server.log()


@pytest.mark.parametrize(
    ("definition", "meant"),
    [
        ("def message(ws, mesage)", " (did you mean 'msg'?)"),
        ("async def message(websocket)", " (did you mean 'ws'?)"),
        ("def message(*, to)", ""),
    ],
)
def test_a_handler_with_a_wrong_signature_stops_the_program_at_its_decoration(
    start_server: StartServer, definition: str, meant: str
) -> None:
    name = definition.rstrip(")").split()[-1].split("(")[-1]
    text = f"""
    from gws import WebSocket
    from tests.apps.base import app, start
    websocket = WebSocket(app, "/web_socket")
    @websocket.on("message")
    {definition}: pass
    start(app)
    """
    said = failure_of(lambda: start_server(text=text))
    assert f"TypeError: handler 'message' asks for '{name}'{meant}; known parameters are ws, msg" in said


def test_gunicorn_without_what_its_gevent_worker_imports_says_what_to_install(tmp_path: Path) -> None:
    # Plain `gunicorn` is installed without the package packaging, which the extra gunicorn[gevent] brings.
    program = """
import sys
sys.modules["packaging"] = None
sys.argv = ["gunicorn", "-k", "gws.worker.Worker", "-b", "127.0.0.1:0", "app:app"]
from gunicorn.app.wsgiapp import run
run()
"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        check=False,
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        cwd=tmp_path,
    )
    assert done.returncode == 1
    assert "class uri 'gws.worker.Worker' invalid or not found" in done.stderr
    assert "pip install 'gevent-gws[gunicorn]'" in done.stderr
    assert done.stderr.count("Error: gws.worker needs gunicorn") == 1


@pytest.mark.parametrize(
    "imports",
    ["import gws.servers.serve; from gws import serve", "from gws import serve; import gws.servers.serve"],
)
def test_serve_is_the_function_whatever_is_imported_first(imports: str) -> None:
    assert python(f"{imports}\nimport gws\nprint(serve is gws.serve is gws.servers.serve.serve)") == "True\n"
