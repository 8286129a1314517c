"""The ways to run an application: a whole conversation in each, TLS, middleware, several workers, and the end."""

from __future__ import annotations

import contextlib
import dataclasses
import http.client
import signal
import socket
import ssl
import time
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import trustme
import websocket as websocket_client
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from .conftest import StartServer
from .harness import DEADLINE, Server, wait_for
from .test_bad_input import CLOSE, MIB, PONG, RawClient, close_frame, request, text

WAYS_WITH_TLS = ("python", "worker")

SOURCE = """
websocket = WebSocket(app, "/web_socket")

@websocket.on("connect")
def connect(ws):
    return f"welcome to {os.getpid()}" if "pid" in ws.query_params else None

@websocket.on("message")
def message(ws, msg):
    if msg == "close me":
        ws.close(4001, "as you wish")
        return "closing"
    if msg == "who am I?":
        return [ws.remote_addr, ws.headers["Host"], ws.id]
    if msg == "be busy":
        print("busy", flush=True)
        gevent.monkey.get_original("time", "sleep")(0.5)
        return "no longer busy"
    return msg

@websocket.on("close")
def close(ws):
    print("closed", ws.close_code, ws.close_reason, flush=True)

stuck = WebSocket(app, "/stuck")

@stuck.on("message")
def sleep():
    print("stuck", flush=True)
    time.sleep(60)

@stuck.on("close")
def close_stuck(ws):
    print("closed", ws.close_code, ws.close_reason, flush=True)

@app.get("/hello")
def hello():
    return "hello"
"""


# A whole conversation


def talk_with_websockets(url: str, tls: ssl.SSLContext | None = None) -> None:
    """Everything that a client may say, and both ways to close, with `websockets`."""

    def dial() -> Any:
        return connect(url, ssl=tls, max_size=None, open_timeout=DEADLINE, close_timeout=DEADLINE)

    with dial() as client:
        for message in ("text: grüße ✓", "", b"\x00\xff", b"", "x" * 125, "x" * 126, "x" * 65536, b"x" * MIB):
            client.send(message)
            assert client.recv(timeout=DEADLINE) == message
        client.send(["in ", "several ", "pieces"])
        assert client.recv(timeout=DEADLINE) == "in several pieces"
        assert client.ping(b"hello").wait(DEADLINE)
        client.close(4000, "bye")
        assert (client.close_code, client.close_reason) == (4000, "bye")
    with dial() as client:
        client.send("close me")
        assert client.recv(timeout=DEADLINE) == "closing"
        with pytest.raises(ConnectionClosed):
            client.recv(timeout=DEADLINE)
        assert (client.close_code, client.close_reason) == (4001, "as you wish")
    with dial() as client:
        client.send(b"x" * (MIB + 1))
        with pytest.raises(ConnectionClosed):
            client.recv(timeout=DEADLINE)
        assert client.close_code == 1009


def talk_with_websocket_client(url: str, tls: ssl.SSLContext | None = None) -> None:
    """The same with `websocket-client`."""

    def dial() -> Any:
        options = {"context": tls} if tls else None
        return websocket_client.create_connection(url, timeout=DEADLINE, sslopt=options)

    client = dial()
    for message in ("text: grüße ✓", "", "x" * 125, "x" * 126, "x" * 65536, "x" * MIB):
        client.send(message)
        assert client.recv() == message
    for payload in (b"\x00\xff", b"", b"x" * MIB):
        client.send_binary(payload)
        assert client.recv() == payload
    client.ping("hello")
    assert client.recv_data(control_frame=True) == (PONG, b"hello")
    client.send_close(4000, b"bye")
    assert client.recv_data(control_frame=True) == (CLOSE, (4000).to_bytes(2, "big") + b"bye")
    client.shutdown()
    client = dial()
    client.send("close me")
    assert client.recv() == "closing"
    assert client.recv_data(control_frame=True) == (CLOSE, (4001).to_bytes(2, "big") + b"as you wish")
    client.shutdown()


LIBRARIES = {"websockets": talk_with_websockets, "websocket-client": talk_with_websocket_client}


def test_both_client_libraries_have_a_whole_conversation(start_server: StartServer, way: str) -> None:
    server = start_server(SOURCE, way)
    for talk in LIBRARIES.values():
        talk(server.url())
    wait_for(lambda: server.log().count("closed 4001 as you wish") == 2, "the close handlers")
    assert server.log().count("closed 4000 bye") == 2
    assert "Traceback" not in server.log()
    wait_for(lambda: server.vitals()["live"] == 0, "the connections to be gone")


def test_plain_http_is_served_beside_it_on_connections_that_are_kept_alive(
    start_server: StartServer, way: str
) -> None:
    server = start_server(SOURCE, way)
    http_client = http.client.HTTPConnection("127.0.0.1", server.port, timeout=DEADLINE)
    with contextlib.closing(http_client), connect(server.url()) as client:
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


def test_a_connection_that_has_served_http_may_be_upgraded(start_server: StartServer, way: str) -> None:
    server = start_server(SOURCE, way)
    with RawClient(server, None) as client:
        client.send(b"GET /hello HTTP/1.1\r\nHost: x\r\n\r\n")
        assert "Content-Length: 5" in client.read_head()
        assert client.read(5) == b"hello"
        client.send(request() + text("x"))
        assert client.read_status() == 101
        assert client.read_text() == "x"


# TLS


@dataclasses.dataclass
class Tls:
    """A certificate for 127.0.0.1, and a context that trusts it."""

    certificate: str
    key: str
    context: ssl.SSLContext

    def start(self, start_server: StartServer, source: str, way: str) -> Server:
        """Start a server that speaks TLS."""
        if way == "python":
            return start_server(source, way, certfile=self.certificate, keyfile=self.key)
        return start_server(source, way, ["--certfile", self.certificate, "--keyfile", self.key])


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Tls:
    """A certificate of the test's own."""
    folder = tmp_path_factory.mktemp("tls")
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1")
    issued.private_key_pem.write_to_path(str(folder / "key.pem"))
    for number, pem in enumerate(issued.cert_chain_pems):
        pem.write_to_path(str(folder / "certificate.pem"), append=number > 0)
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return Tls(str(folder / "certificate.pem"), str(folder / "key.pem"), context)


def secure(server: Server, path: str = "/web_socket") -> str:
    """The address of a WebSocket over TLS."""
    return server.url(path).replace("ws:", "wss:")


@pytest.mark.parametrize("way", WAYS_WITH_TLS)
def test_both_client_libraries_have_a_whole_conversation_over_tls(
    start_server: StartServer, way: str, tls: Tls
) -> None:
    server = tls.start(start_server, SOURCE, way)
    page = urllib.request.urlopen(
        f"https://127.0.0.1:{server.port}/hello", context=tls.context, timeout=DEADLINE
    )
    with page:
        assert page.read() == b"hello"
    before = server.descriptors()
    for talk in LIBRARIES.values():
        talk(secure(server), tls.context)
    wait_for(lambda: server.log().count("closed 4001 as you wish") == 2, "the close handlers")
    wait_for(lambda: server.descriptors() <= before, "the sockets to be closed")
    assert "Traceback" not in server.log()


@pytest.mark.parametrize("way", WAYS_WITH_TLS)
def test_what_tls_has_decrypted_already_is_not_left_lying(
    start_server: StartServer, way: str, tls: Tls
) -> None:
    server = tls.start(start_server, SOURCE, way)
    # A record holds 16 KiB: more than the HTTP parser reads at once.
    messages = [f"{number} " + "x" * 500 for number in range(28)]
    with RawClient(server, behind=b"".join(map(text, messages)), tls=tls.context) as client:
        assert [client.read_text() for _ in messages] == messages
    # More than the receive buffer holds, in one write.
    messages = [f"{number} " + "x" * 50_000 for number in range(20)]
    with RawClient(server, tls=tls.context) as client:
        client.send(b"".join(map(text, messages)))
        assert [client.read_text() for _ in messages] == messages
        client.send(text("x" * MIB) + text("the end"))
        assert [client.read_text(), client.read_text()] == ["x" * MIB, "the end"]


@pytest.mark.parametrize("way", WAYS_WITH_TLS)
def test_a_client_that_begins_no_tls_handshake_is_cut_off_at_the_deadline(
    start_server: StartServer, way: str, tls: Tls
) -> None:
    server = tls.start(start_server, "app.config['GWS_HANDSHAKE_TIMEOUT'] = 1.0\n" + SOURCE, way)
    with connect(secure(server), ssl=tls.context) as client:
        before = server.descriptors()
        with contextlib.ExitStack() as clients:
            silent = clients.enter_context(RawClient(server, None))
            hesitant = clients.enter_context(RawClient(server, None))
            hesitant.send(bytes.fromhex("16030100c801"))
            plain = clients.enter_context(RawClient(server, None))
            plain.send(request())
            mute = clients.enter_context(RawClient(server, None, tls=tls.context))
            for each in (silent, hesitant, plain, mute):
                each.wait_for_end()
        wait_for(lambda: server.descriptors() <= before, "the sockets to be closed")
        client.send("still here")
        assert client.recv(timeout=DEADLINE) == "still here"
    assert "Traceback" not in server.log()


@pytest.mark.parametrize("way", WAYS_WITH_TLS)
def test_clients_that_drop_their_tls_connections_leave_nothing(
    start_server: StartServer, way: str, tls: Tls
) -> None:
    server = tls.start(start_server, SOURCE, way)
    with connect(secure(server), ssl=tls.context) as client:
        before = server.descriptors()
        for number in range(30):
            with RawClient(server, tls=tls.context) as dropping:
                dropping.send(text("x") + text("cut short")[:4])
                assert dropping.read_text() == "x"
                [RawClient.reset, RawClient.close, RawClient.half_close][number % 3](dropping)
        wait_for(lambda: server.log().count("closed 1006") == 30, "30 close handlers")
        wait_for(lambda: server.descriptors() <= before, "the sockets to be closed")
        client.send("still here")
        assert client.recv(timeout=DEADLINE) == "still here"
    assert "Traceback" not in server.log()


@pytest.mark.parametrize("way", WAYS_WITH_TLS)
def test_a_stop_closes_tls_connections_with_1001(start_server: StartServer, way: str, tls: Tls) -> None:
    server = tls.start(start_server, SOURCE, way)
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(RawClient(server, tls=tls.context)) for _ in range(20)]
        server.tell()
        for client in clients:
            assert client.read_close() == (1001, "going away")
            client.send(close_frame(1001))
            assert client.has_ended()
        assert server.wait() == 0
    assert server.log().count("closed 1001") == 20


# Middleware and workers


def test_a_websocket_behind_a_proxy_sees_the_clients_address_and_the_proxys_name(
    start_server: StartServer, way: str
) -> None:
    server = start_server(
        SOURCE
        + """
from werkzeug.middleware.proxy_fix import ProxyFix
app.wsgi_app = ProxyFix(app.wsgi_app, x_for=1, x_proto=1, x_host=1)
""",
        way,
    )
    headers = {
        "X-Forwarded-For": "192.0.2.7",
        "X-Forwarded-Proto": "https",
        "X-Forwarded-Host": "chat.example",
        "Origin": "https://chat.example",
    }
    with connect(server.url(), additional_headers=headers) as client:
        client.send("who am I?")
        assert str(client.recv(timeout=DEADLINE)).startswith('["192.0.2.7"')


def test_a_websocket_goes_through_middleware_that_wraps_start_response(
    start_server: StartServer, way: str
) -> None:
    server = start_server(
        SOURCE
        + """
def middleware(inner):
    def application(environ, start_response):
        def start(status, headers, exc_info=None):
            return start_response(status, [*headers, ("X-Middleware", "yes")], exc_info)
        result = inner(environ, start)
        try:
            yield from result
        finally:
            result.close()
    return application
app.wsgi_app = middleware(app.wsgi_app)
""",
        way,
    )
    with connect(server.url()) as client:
        client.send("x")
        assert client.recv(timeout=DEADLINE) == "x"
        with urllib.request.urlopen(f"http://127.0.0.1:{server.port}/hello", timeout=DEADLINE) as page:
            assert page.headers["X-Middleware"] == "yes"
    wait_for(lambda: "closed 1000" in server.log(), "the close handler")
    assert "Traceback" not in server.log()


@pytest.mark.parametrize(("way", "preload"), [("worker", False), ("worker", True), ("geventwebsocket", True)])
def test_two_gunicorn_workers_both_serve(start_server: StartServer, way: str, preload: bool) -> None:
    server = start_server(SOURCE, way, ["-w", "2", *(["--preload"] if preload else [])])
    with connect(server.url("/web_socket?pid")) as first:
        welcome = first.recv(timeout=DEADLINE)
        first.send("who am I?")
        first_node = str(first.recv(timeout=DEADLINE)).split('"')[5][:13]
        first.send("be busy")
        server.wait_for_log("busy")
        # While one is busy only the other accepts.
        with connect(server.url("/web_socket?pid")) as second:
            assert second.recv(timeout=DEADLINE) != welcome
            second.send("who am I?")
            assert str(second.recv(timeout=DEADLINE)).split('"')[5][:13] != first_node
            assert first.recv(timeout=DEADLINE) == "no longer busy"
            server.tell()
            for client in (first, second):
                assert list(client) == []
                assert client.close_code == 1001
    assert server.wait() == 0
    assert server.log().count("closed 1001") == 2
    assert "Traceback" not in server.log()


# The end


def attach(
    stack: contextlib.ExitStack, server: Server, count: int, path: str = "/web_socket"
) -> list[RawClient]:
    """Many clients at once."""
    clients = [stack.enter_context(RawClient(server, None)) for _ in range(count)]
    for client in clients:
        client.send(request(path))
    assert [client.read_status() for client in clients] == [101] * count
    return clients


@contextlib.contextmanager
def stopping(server: Server, number: int) -> Iterator[None]:
    """Tell the server to stop; it does so with exit code 0 and within 5 seconds."""
    began = time.monotonic()
    server.tell(number)
    yield
    assert server.wait() == 0, server.log()
    assert time.monotonic() - began < 5
    assert "Traceback" not in server.log()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "Ctrl-C"])
def test_a_stop_closes_a_thousand_connections_with_1001(
    start_server: StartServer, way: str, number: signal.Signals
) -> None:
    server = start_server(SOURCE, way)
    with contextlib.ExitStack() as stack:
        clients = attach(stack, server, 1000)
        with stopping(server, number):
            for client in clients:
                assert client.read_close() == (1001, "going away")
                client.send(close_frame(1001))
            assert all(client.has_ended() for client in clients)
    assert server.log().count("closed 1001 going away") == 1000
    assert server.log().count("closed") == 1000


def test_a_stop_waits_no_longer_than_its_grace_for_who_does_not_answer(
    start_server: StartServer, way: str
) -> None:
    server = start_server(SOURCE, way)
    with contextlib.ExitStack() as stack:
        clients = attach(stack, server, 995)
        stuck = attach(stack, server, 5, "/stuck")
        for client in stuck:
            client.send(text("sleep"))
        wait_for(lambda: server.log().count("stuck") == 5, "five handlers to be stuck")
        with stopping(server, signal.SIGTERM):
            for number, client in enumerate(clients):
                assert client.read_close() == (1001, "going away")
                if number % 2:
                    client.send(close_frame(1001))
            for client in stuck:
                assert client.read_close() == (1001, "going away")
            assert all(client.has_ended() for client in [*clients, *stuck])
    assert server.log().count("closed 1001 going away") == 1000
    assert server.log().count("closed") == 1000


def test_a_server_that_stops_takes_no_more_connections(start_server: StartServer, way: str) -> None:
    server = start_server(SOURCE, way)
    with RawClient(server) as client, RawClient(server, None) as kept:
        kept.send(b"GET /hello HTTP/1.1\r\nHost: x\r\n\r\n")
        kept.read_head()
        assert kept.read(5) == b"hello"
        with stopping(server, signal.SIGTERM):
            assert client.read_close() == (1001, "going away")
            # It does not answer, so the server has not gone yet.
            for late in (kept, None):
                assert answer_to_upgrade(server, late) in (None, 503, 1011)
            client.send(close_frame(1001))
    assert server.log().count("closed") == 1


def answer_to_upgrade(server: Server, client: RawClient | None) -> int | None:
    """How a request is refused: with an HTTP status or, its 101 sent already, a close code; None if not at all."""
    with contextlib.suppress(ConnectionError), client or RawClient(server, None) as open_client:
        open_client.send(request())
        status = open_client.read_status()
        return open_client.read_close()[0] if status == 101 else status
    return None


def test_a_stop_with_nobody_attached_is_quick(start_server: StartServer, way: str) -> None:
    server = start_server(SOURCE, way)
    with connect(server.url()) as client:
        client.send("x")
        assert client.recv(timeout=DEADLINE) == "x"
    with stopping(server, signal.SIGINT):
        pass


# Ways that do not work


def failure_of(start: Callable[[], Server]) -> str:
    """What a program says that ends instead of listening, its exit code first."""
    with pytest.raises(AssertionError) as caught:
        start()
    return str(caught.value).removeprefix("the server ended with ")


@pytest.mark.parametrize("call", ["app.start(port={port})", "gws.serve(app, port={port})"])
def test_a_port_in_use_is_one_clear_line_and_exit_code_1(start_server: StartServer, call: str) -> None:
    with socket.socket() as occupied:
        occupied.bind(("127.0.0.1", 0))
        occupied.listen()
        port = occupied.getsockname()[1]
        said = failure_of(lambda: start_server("import gws\n" + call.format(port=port)))
    assert said.strip() == f"1: gws cannot listen on 127.0.0.1:{port}: Address already in use"


def test_an_unpatched_program_is_warned_once_and_serves(start_server: StartServer) -> None:
    server = start_server(
        """
        from gws import App, WebSocket
        app = App(__file__)
        websocket = WebSocket(app, "/web_socket")
        websocket.on("message")(lambda msg: msg)
        app.start(port=0)
        """,
        whole=True,
    )
    for _ in range(2):
        with connect(server.url()) as client:
            client.send("x")
            assert client.recv(timeout=DEADLINE) == "x"
    assert server.log().count("monkey.patch_all()") == 1
    with stopping(server, signal.SIGTERM):
        pass


def test_a_patched_program_is_not_warned(start_server: StartServer) -> None:
    assert "patch" not in start_server(SOURCE).log()


def test_flasks_development_server_answers_501_and_says_what_to_use(start_server: StartServer) -> None:
    server = start_server(
        """
        from flask import Flask
        from gws import WebSocket
        from werkzeug.serving import make_server
        app = Flask(__name__)
        websocket = WebSocket(app, "/web_socket")
        websocket.on("message")(lambda msg: msg)
        server = make_server("127.0.0.1", 0, app)
        print(f"listens on http://127.0.0.1:{server.port}", flush=True)
        server.serve_forever()
        """,
        whole=True,
    )
    with RawClient(server, None) as client:
        client.send(request())
        head = client.read_head()
        assert " 501 " in head
        client.wait_for_end()
    assert "gws.serve(app)" in server.log()


@pytest.mark.parametrize("worker", ["gevent", "sync"])
def test_gunicorns_own_workers_answer_501(start_server: StartServer, worker: str) -> None:
    server = start_server(SOURCE, "worker", ["-k", worker])
    with RawClient(server, None) as client:
        client.send(request())
        assert client.read_status() == 501
    assert "gws.worker.Worker" in server.log()
