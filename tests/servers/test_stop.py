"""The end: SIGTERM and Ctrl-C close every connection with 1001, in time, whoever does not answer."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from pathlib import Path

import pytest
from websockets.sync.client import connect

from ..conftest import StartServer
from ..support.client_frames import PING, PONG, close, frame, request, text
from ..support.harness import ROOT, Server
from ..support.program import DEADLINE, wait_for
from ..support.raw_client import FIN, RawClient, closed

CONVERSATION = ROOT / "tests" / "apps" / "conversation.py"


def attach(
    stack: contextlib.ExitStack, server: Server, count: int, path: str = "/web_socket"
) -> list[RawClient]:
    """Many clients at once."""
    clients = [stack.enter_context(RawClient(server, None)) for _ in range(count)]
    for client in clients:
        client.send(request(path))
    assert [client.read_head() for client in clients] == [101] * count
    return clients


@pytest.mark.parametrize(
    ("number", "count"), [(signal.SIGTERM, 1000), (signal.SIGINT, 100)], ids=["SIGTERM", "Ctrl-C"]
)
def test_a_stop_closes_every_connection_with_1001(
    start_server: StartServer, way: str, number: signal.Signals, count: int
) -> None:
    server = start_server("conversation", way)
    with contextlib.ExitStack() as stack:
        clients = attach(stack, server, count)
        with server.stopping(number):
            for client in clients:
                assert client.read_close() == (1001, "going away")
                client.send(close(1001))
            assert all(client.has_ended() for client in clients)
    assert server.log().count("closed 1001 going away") == count
    assert server.log().count("closed") == count


def test_a_stop_waits_no_longer_than_its_grace_for_who_does_not_answer(
    start_server: StartServer, way: str
) -> None:
    server = start_server("conversation", way)
    with contextlib.ExitStack() as stack:
        clients = attach(stack, server, 195)
        stuck = attach(stack, server, 5, "/stuck")
        for client in stuck:
            client.send(text("sleep"))
        # The access log has the word too.
        wait_for(lambda: server.log().splitlines().count("stuck") == 5, "five handlers to be stuck")
        with server.stopping(signal.SIGTERM):
            for number, client in enumerate(clients):
                assert client.read_close() == (1001, "going away")
                if number % 2:
                    client.send(close(1001))
            for client in stuck:
                assert client.read_close() == (1001, "going away")
            assert all(client.has_ended() for client in [*clients, *stuck])
    assert server.log().count("closed 1001 going away") == 200
    assert server.log().count("closed") == 200


def answer_to_upgrade(server: Server, client: RawClient | None) -> int | None:
    """How a request is refused: with an HTTP status or, its 101 sent already, a close code; None if not at all."""
    with contextlib.suppress(ConnectionError), client or RawClient(server, None) as open_client:
        open_client.send(request())
        status = open_client.read_head()
        return open_client.read_close()[0] if status == 101 else status
    return None


def test_a_server_that_stops_takes_no_more_connections(start_server: StartServer, way: str) -> None:
    server = start_server("conversation", way)
    with RawClient(server) as client, RawClient(server, None) as kept:
        kept.send(b"GET /hello HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (kept.read_head(), kept.body) == (200, "hello")
        with server.stopping(signal.SIGTERM):
            assert client.read_close() == (1001, "going away")
            # It does not answer, so the server has not gone yet.
            for late in (kept, None):
                assert answer_to_upgrade(server, late) in (None, 503, 1011)
            client.send(close(1001))
    assert server.log().count("closed") == 1


def test_a_stop_with_nobody_attached_is_quick(start_server: StartServer, way: str) -> None:
    server = start_server("conversation", way)
    with connect(server.url()) as client:
        client.send("x")
        assert client.recv(timeout=DEADLINE) == "x"
    with server.stopping(signal.SIGINT):
        pass


@pytest.mark.parametrize("own_way", ["python", "worker"])
def test_a_keyboard_interrupt_in_a_handler_ends_the_process_in_order(
    start_server: StartServer, own_way: str
) -> None:
    server = start_server("conversation", own_way)
    with RawClient(server) as interrupting, RawClient(server) as other:
        interrupting.say("interrupt")
        assert interrupting.read_to_end() == [closed(1011, "internal error"), FIN]
        assert other.read_frame() == closed(1001, "going away")
        other.close(1001)
        assert other.has_ended()
    if own_way == "python":
        # What a shell shows of a program that Ctrl-C has ended.
        assert server.wait() == -signal.SIGINT
    else:
        # gunicorn starts another worker.
        assert server.get("/hello") == "hello"
    assert "KeyboardInterrupt" in server.log()
    assert server.log().count("closed 1001") == server.log().count("closed 1011") == 1


@pytest.mark.parametrize("gunicorn", ["worker", "geventwebsocket"])
def test_a_reload_refuses_nobody(start_server: StartServer, gunicorn: str) -> None:
    server = start_server("conversation", gunicorn)
    with RawClient(server, "/web_socket?pid") as client:
        old = client.read_text()
        server.tell(signal.SIGHUP)
        assert client.read_close() == (1001, "going away")
        # It does not answer, so its worker goes on for three seconds.
        for _ in range(100):
            with RawClient(server, "/web_socket?pid") as new:
                assert new.status == 101
                assert new.read_text() != old
        assert Path(f"/proc/{old.rpartition(' ')[2]}").exists()


@pytest.mark.parametrize("gunicorn", ["worker", "geventwebsocket"])
def test_a_worker_that_has_had_no_websocket_accepts_nobody_once_it_stops(
    start_server: StartServer, gunicorn: str
) -> None:
    # It would have to refuse them, while other workers serve.
    assert start_server("stopping", gunicorn).get("/stop") == "[False]"


@pytest.mark.parametrize("gunicorn", ["worker", "geventwebsocket"])
def test_new_code_ends_connections_as_a_stop_does_and_is_served_at_once(
    start_server: StartServer, gunicorn: str
) -> None:
    arguments = ["--reload", "--reload-engine", "poll"]
    server = start_server(text=CONVERSATION.read_text(), way=gunicorn, arguments=arguments)
    program = server.folder / "app.py"
    with RawClient(server) as answering, RawClient(server) as silent, RawClient(server, "/stuck") as stuck:
        stuck.send(text("sleep"))
        server.wait_for_log("stuck")
        program.write_text(program.read_text().replace('return "hello"', 'return "new"'))
        # The reloader compares whole files' times.
        os.utime(program, (time.time() + 10, time.time() + 10))
        server.wait_for_log("Worker reloading")
        began = time.monotonic()
        for client in (answering, silent, stuck):
            assert client.read_close() == (1001, "going away")
        answering.send(close(1001))
        assert answering.has_ended()
        # The kernel keeps who comes meanwhile until there is somebody to accept them.
        assert server.get("/hello") == "new"
        assert time.monotonic() - began < 5 + BOOT
    assert server.log().count("closed 1001 going away") == 3
    assert "Traceback" not in server.log()


BOOT = 3.0
"""Seconds for gunicorn to look whether a worker has ended, once in each, and to begin another."""


def test_a_stop_breaks_off_a_connect_handler_that_takes_long(start_server: StartServer, way: str) -> None:
    server = start_server("stopping", way)
    with RawClient(server, None) as waiting, RawClient(server, "/connecting?accept") as accepted:
        waiting.send(request("/connecting"))
        wait_for(lambda: server.log().splitlines().count("connecting") == 2, "two connect handlers")
        with server.stopping():
            status = waiting.read_head()
            if way == "geventwebsocket":
                assert (status, waiting.read_close()[0]) == (101, 1011)
            else:
                # `python app.py` waits for connections, and for no answer of HTTP's.
                assert status in ((503,) if way == "worker" else (503, None))
            # As a client does that is refused; the server would read on for a second.
            waiting.socket.close()
            assert accepted.read_close() == (1001, "going away")
    assert server.log().count("broken off") == 2


def test_a_stop_while_the_server_starts_is_quiet(start_server: StartServer) -> None:
    server = start_server("stopping", "worker", values={"has_slow_names": True})
    server.wait_for_log("resolving")
    with server.stopping():
        pass
    assert "Traceback" not in server.log()


@pytest.mark.parametrize("own_way", ["python", "worker"])
def test_a_stop_does_not_wait_for_who_asks_for_nothing(start_server: StartServer, own_way: str) -> None:
    server = start_server("conversation", own_way, arguments=["--keep-alive", "60"])
    with RawClient(server, None), RawClient(server, None) as half, RawClient(server, None) as kept:
        half.send(b"GET /hello HTT")
        kept.send(b"GET /hello HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (kept.read_head(), kept.body) == (200, "hello")
        with server.stopping(signal.SIGTERM):
            pass


def test_a_stop_breaks_off_a_close_handler_that_takes_long(start_server: StartServer, way: str) -> None:
    server = start_server("stopping", way)
    with RawClient(server, "/closing") as client:
        client.send(frame(PING, b"are you there?"))
        assert client.read_frame() == (PONG, b"are you there?")
        with server.stopping(signal.SIGTERM):
            client.wait_for_end()
    assert "broken off" in server.log()


@pytest.mark.parametrize("gunicorn", ["worker", "geventwebsocket"])
@pytest.mark.parametrize(("seconds", "status"), [(1.5, 200), (30.0, None)], ids=["in time", "too long"])
def test_a_stop_waits_for_a_view_as_long_as_gunicorn_is_told(
    start_server: StartServer, gunicorn: str, seconds: float, status: int | None
) -> None:
    server = start_server("stopping", gunicorn, arguments=["--graceful-timeout", "3"])
    with RawClient(server, "/silent") as client, RawClient(server, None) as asking:
        asking.send(f"GET /slow/{seconds} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        server.wait_for_log("answering")
        with server.stopping(signal.SIGTERM):
            assert client.read_close() == (1001, "going away")
            client.send(close(1001))
            assert asking.read_head() == status


PLAIN = """
from flask import Flask
import gws

app = Flask("plain")
websocket = gws.WebSocket(app, "/web_socket")

@websocket.on("message")
def message(ws, msg):
    return msg

@app.get("/pid")
def pid():
    return "here"
"""


def test_a_worker_ends_without_a_complaint_of_loggings(start_server: StartServer) -> None:
    server = start_server(text=PLAIN, way="worker")
    with RawClient(server) as client:
        client.say("hello")
        client.read_text()
        with server.stopping():
            pass
    assert "Exception ignored" not in server.log()
