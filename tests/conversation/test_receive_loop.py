"""Handlers that receive their messages themselves: Robyn's examples word for word, then what Flask and gws add."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest
from flask import Blueprint, Flask

import gws

from ..conftest import StartServer
from ..support.client_frames import BINARY, MIB, TEXT, close, frame, request, text
from ..support.harness import WAYS, Server, unharmed
from ..support.program import wait_for
from ..support.raw_client import FIN, RawClient, closed


@pytest.fixture(scope="module", params=WAYS)
def each(request: pytest.FixtureRequest, start_module_server: StartServer) -> Server:
    return start_module_server("receive_loop", request.param)


@pytest.fixture(scope="module")
def server(start_module_server: StartServer) -> Server:
    return start_module_server("receive_loop")


@pytest.fixture(autouse=True)
def _unharmed(request: pytest.FixtureRequest) -> Iterator[None]:
    name = next((name for name in ("each", "server") if name in request.fixturenames), None)
    if name is None:
        yield
        return
    with unharmed(request.getfixturevalue(name)):
        yield


def values(client: RawClient, count: int) -> list[Any]:
    return [json.loads(str(client.read_text())) for _ in range(count)]


# Robyn's examples


def test_callbacks(each: Server, key: str) -> None:
    with RawClient(each, f"/callbacks?notes={key}") as client:
        assert client.read_text().startswith("Welcome, ")
        client.say("one", "two", "")
        assert [client.read_text() for _ in range(3)] == ["Echo: one", "Echo: two", "Echo: "]
        client.send(close(4321, b"enough"))
        assert client.read_to_end() == [(TEXT, "Goodbye!"), closed(4321, "enough"), FIN]
    assert each.notes(key, 2) == [("ended", 4321, "enough"), ("closed", 4321)]


def test_text_and_binary(each: Server) -> None:
    with RawClient(each, "/mixed") as client:
        client.send(text("hi") + frame(BINARY, b"\xff\xfe\x00"))
        assert client.read_frames(2) == [(TEXT, "Got text: hi"), (BINARY, b"\xff\xfe\x00")]
        client.send(frame(BINARY, b"x" * 128 * 1024))
        assert client.read_frame() == (BINARY, b"x" * 128 * 1024)


def test_json(each: Server) -> None:
    with RawClient(each, "/api") as client:
        client.say('{"a": [1, null]}')
        assert values(client, 1) == [{"status": "ok", "result": {"a": [1, None]}}]
        client.send(frame(BINARY, b"7"))
        assert values(client, 1) == [{"status": "ok", "result": 7}]


def test_broadcasts(each: Server) -> None:
    with RawClient(each, "/chat") as one, RawClient(each, "/chat") as other:
        one.say("hello")
        assert sorted(one.read_text()[:9] for _ in range(2)) == ["User " + one_id(other), "Your mess"]
    with RawClient(each, "/stream") as one, RawClient(each, "/stream") as other:
        one.send(frame(BINARY, b"\x00"))
        assert one.read_frame() == other.read_frame() == (BINARY, b"\x00")


def one_id(client: RawClient) -> str:
    """Return the beginning of the id in what another client is told."""
    return client.read_text().removeprefix("User ")[:4]


def test_query_parameters(each: Server) -> None:
    with RawClient(each, "/gordon?name=gordon&role=commissioner") as client:
        assert client.read_text() == "Gordon authorized!"
        client.say("hi")
        assert client.read_text() == "Hello gordon: hi"
    with RawClient(each, "/easy?room=cave&page=5") as client:
        client.say("hi")
        assert [client.read_text() for _ in range(2)] == ["connected to cave", "room=cave page=5 msg=hi"]
        client.send(close(1000))
        assert client.read_text() == "left cave"
    if each.way != "geventwebsocket":
        with RawClient(each, "/easy?page=five") as client:
            assert (client.status, client.body) == (
                400,
                'the query parameter "page" must be a whole number\n',
            )


def test_the_server_closes(each: Server) -> None:
    with RawClient(each, "/quit") as client:
        client.say("x", "quit", "never handled")
        assert client.read_text() == "Got: x"
        assert client.read_close() == (1000, "Connection closed")


def test_dependencies_and_empty_messages(each: Server) -> None:
    with RawClient(each, "/empty") as client:
        dependencies = [{"signal": "lit"}, {"robin": "here", "bat": "mobile", "late": "too"}]
        # In the connect handler, whose empty return is sent as well, and in the handler.
        assert values(client, 1) == [dependencies]
        assert client.read_text() == ""
        assert values(client, 1) == [dependencies]
        client.say("x")
        assert client.read_text() == ""
        client.say("")
        # The handler has returned.
        assert client.read_close() == (1000, "")


# Both kinds


def test_a_def_handler_of_a_blueprint(each: Server, key: str) -> None:
    with RawClient(each, f"/rooms/cave/sync?greeting=hi&notes={key}") as client:
        client.say("json", '{"a": 1}', "bytes")
        client.send(frame(BINARY, b"ab"))
        client.say("room", "state", "x")
        assert client.read_text() == "hi cave"
        assert values(client, 1) == [{"a": 1}]
        assert client.read_frame() == (BINARY, b"abab")
        assert [client.read_text() for _ in range(3)] == [
            "to the room",
            "an async connect ['cave']",
            "x",
        ]
        client.send(close(1000))
        # Its return value is sent, as any handler's.
        assert client.read_to_end()[0] == (TEXT, "to nobody")
    assert each.notes(key, 2) == [("ended", 1000), ("closed", "an async connect", False)]


def test_what_it_returns_is_sent_and_the_connection_closed_with_1000(server: Server) -> None:
    with RawClient(server, "/rooms/cave/sync") as client:
        client.say("return")
        assert client.read_frames(2)[1] == (TEXT, "the last word")
        assert client.read_close() == (1000, "")


def test_what_it_raises_closes_with_1011(server: Server) -> None:
    begin = len(server.log())
    with RawClient(server, "/rooms/cave/sync") as client:
        client.say("raise")
        client.read_frame()
        assert client.read_close() == (1011, "internal error")
    assert "the receive handler of <WebSocket /<name>/sync> failed" in server.log()[begin:]
    assert "LookupError: on purpose" in server.log()[begin:]


@pytest.mark.parametrize("path", ["/patient", "/async_patient"])
def test_a_timeout_loses_no_message(server: Server, path: str) -> None:
    with RawClient(server, path) as client:
        client.say("0.01")
        assert values(client, 1) == [["late", "no message in 0.01 seconds"]]
        client.say("0")
        assert values(client, 1) == [["late", "no message in 0.0 seconds"]]
        client.say("10", "x", "0.01")
        assert values(client, 2) == [["came", "x"], ["late", "no message in 0.01 seconds"]]
        # Waiting and coming at once, again and again.
        for number in range(100):
            client.say("0.001")
            time.sleep(0.0008)
            client.say("100")
            (what, message), *_ = values(client, 1)
            if what == "late":
                client.say(f"{number}")
                assert values(client, 1) == [["came", f"{number}"]]
            else:
                assert message == "100"


@pytest.mark.parametrize("path", ["/ticks", "/async_ticks"])
def test_who_only_sends_is_ended_with_the_connection(server: Server, key: str, path: str) -> None:
    with RawClient(server, f"{path}?notes={key}") as client:
        assert client.read_text() == "tick"
        client.reset()
    assert server.notes(key, 1) == [("disconnected", 1006)]


def test_who_only_sends_is_ended_a_close_timeout_behind_the_clients_close(server: Server, key: str) -> None:
    with RawClient(server, f"/async_ticks?notes={key}") as client:
        assert client.read_text() == "tick"
        client.send(close(1000))
        client.wait_for_end()
    assert server.notes(key, 1) == [("disconnected", 1000)]


@pytest.mark.parametrize("path", ["/endless", "/async_endless", "/endless_sends", "/async_endless_sends"])
@pytest.mark.parametrize("lost", [False, True])
def test_one_that_catches_the_end_in_a_loop_is_ended(server: Server, key: str, path: str, lost: bool) -> None:
    begin = len(server.log())
    with RawClient(server, f"{path}?notes={key}") as client:
        client.say("x")
        assert client.read_text() == "x"
        if lost:
            client.reset()
        else:
            client.close()
            client.wait_for_end()
    assert server.notes(key, 1) == [("ended",)]
    assert "Traceback" not in server.log()[begin:]
    assert server.log()[begin:].count("goes on after its connection has ended, and is stopped") == 1


@pytest.mark.parametrize("path", ["/firehose", "/async_firehose"])
def test_one_that_sends_without_a_pause_keeps_nobody_out(start_server: StartServer, path: str) -> None:
    server = start_server("receive_loop")
    with RawClient(server, path) as client, RawClient(server, "/echo") as other:
        # It reads as fast as it can, so that its handler never waits for it.
        reading = subprocess.Popen([sys.executable, "-c", READ_ON], stdin=client.socket.fileno())
        try:
            slowest = 0.0
            for _ in range(30):
                began = time.monotonic()
                other.say("x")
                assert other.read_text() == "x"
                slowest = max(slowest, time.monotonic() - began)
            assert slowest < 0.5
            with server.stopping(signal.SIGTERM):
                assert other.read_close() == (1001, "going away")
        finally:
            reading.kill()
            reading.wait()


READ_ON = """
import os
while os.read(0, 1 << 20):
    pass
"""


def test_two_tasks_that_take_turns_lose_nothing_that_has_come_meanwhile(server: Server) -> None:
    with RawClient(server, "/backlog") as client:
        assert client.read_text() == "go"
        client.say(*map(str, range(1000)))
        # What one has of a batch goes out behind what the other has.
        assert sorted(int(client.read_text()) for _ in range(1000)) == list(range(1000))


def test_one_task_receives_and_another_sends(server: Server) -> None:
    begin = len(server.log())
    with RawClient(server, "/tasks") as client:
        client.say(*map(str, range(1000)))
        assert [client.read_text() for _ in range(1000)] == list(map(str, range(1000)))
        client.close()
    assert "failed" not in server.log()[begin:]


def test_two_tasks_do_not_receive_at_once_and_a_cancelled_one_takes_nothing_along(server: Server) -> None:
    with RawClient(server, "/two_receivers") as client:
        assert "another task is already waiting" in client.read_text()
        assert client.read_text() == "ready"
        client.say("for the second")
        assert client.read_text() == "for the second"
        assert client.read_close() == (1000, "")


def test_only_the_handlers_own_greenlet_receives_and_only_once_it_is_open(server: Server) -> None:
    with RawClient(server, "/rooms/cave/sync?early") as client:
        assert "once the handshake is over" in client.read_text()
        client.say("other greenlet")
        assert client.read_text() == "hello cave"
        assert "for the handler itself" in client.read_text()


@pytest.mark.parametrize("path", ["/late", "/sync_late"])
def test_what_waits_is_bounded_and_nothing_of_it_is_lost(server: Server, path: str) -> None:
    with RawClient(server, path) as client:
        assert client.read_text() == "go"
        before = server.reset_peak_memory()
        # Many short ones, more than a turn, then more than the inbox takes.
        client.say(*(["x" * 10] * 5000))
        for _ in range(200):
            client.say("y" * 100_000)
        client.say("end")
        assert values(client, 1) == [[5000 * 10 + 200 * 100_000 + 3]]
        assert server.peak_memory() - before < 12 * MIB


def test_a_client_that_reads_slowly_holds_the_handler_back(server: Server) -> None:
    with RawClient(server, "/floods") as client:
        before = server.reset_peak_memory()
        client.say("go")
        time.sleep(0.5)
        for number in range(4000):
            assert client.read_text().startswith(f"{number} ")
        assert server.peak_memory() - before < 20 * MIB


def test_flask_is_there_and_a_connect_handler_refuses(server: Server) -> None:
    with RawClient(server, "/login") as client:
        assert client.status == 401
    with RawClient(server, "/login?user=gordon") as client:
        client.say("x", "y")
        assert values(client, 2) == [["gordon", 1], ["gordon", 2]]


@pytest.mark.parametrize(
    ("path", "message", "code", "reason"),
    [
        ("/api", text("{"), 1007, "JSON is expected"),
        ("/api", text("[" * 100_000), 1007, "JSON is expected"),
        ("/api", frame(BINARY, b"\xff"), 1007, "JSON is expected"),
        ("/callbacks", frame(BINARY, b"x"), 1003, "text is expected, not binary"),
        ("/stream", text("x"), 1003, "binary is expected, not text"),
    ],
)
def test_a_message_that_it_cannot_use_closes_without_a_traceback(
    server: Server, path: str, message: bytes, code: int, reason: str
) -> None:
    begin, before = len(server.log()), server.vitals()["counters"].get("messages_refused", 0)
    with RawClient(server, path) as client:
        client.send(message)
        assert client.read_to_end()[-2:] == [closed(code, reason), FIN]
    assert server.vitals()["counters"]["messages_refused"] == before + 1
    assert "Traceback" not in server.log()[begin:]
    assert f"with {code}: {reason}" in server.log()[begin:]


def test_what_the_handler_does_wrong_is_a_type_error(server: Server) -> None:
    with RawClient(server, "/mistakes") as client:
        client.send(frame(BINARY, b"x"))
        assert client.read_text() == "the message is bytes, and has to be str"


def test_a_stop_breaks_off_a_handler_that_does_not_receive(start_server: StartServer, way: str) -> None:
    server = start_server("receive_loop", way)
    with RawClient(server, "/deaf?notes=x") as client, RawClient(server, "/mixed") as other:
        other.say("x")
        assert other.read_text() == "Got text: x"
        with server.stopping(signal.SIGTERM):
            assert client.read_close() == other.read_close() == (1001, "going away")


def test_a_thousand_come_and_go(server: Server) -> None:
    clients = [RawClient(server, None) for _ in range(300)]
    for client in clients:
        client.send(request("/mixed") + text("x"))
    for client in clients:
        assert client.read_head() == 101
        assert client.read_text() == "Got text: x"
    for client in clients[::2]:
        client.reset()
    for client in clients[1::2]:
        client.close()
        client.socket.close()
    wait_for(lambda: server.vitals()["live"] <= 1, "all of them to be gone")


# At decoration


def test_the_function_can_be_called_and_the_endpoint_used() -> None:
    app = gws.App("app")

    @app.websocket("/double")
    def double(value: int) -> int:
        return 2 * value

    assert isinstance(double, gws.WebSocket)
    assert double(4) == 8
    assert double.name == "/double"
    with pytest.raises(ValueError, match=r"'double' receives the messages of '/double' itself"):
        double.on("message")
    with pytest.raises(ValueError, match="there is no event 'open'"):
        double.on("open")


def test_an_unknown_parameter_is_refused() -> None:
    with pytest.raises(TypeError, match=r"handler 'handler' asks for 'rom'; known parameters are .*'?socket"):

        @gws.websocket(Flask("app"), "/x")
        def handler(socket, rom):  # type: ignore[no-untyped-def]
            pass


def test_a_blueprint_without_its_variable_is_refused_where_it_is_registered() -> None:
    blueprint = Blueprint("blueprint", __name__)

    @gws.websocket(blueprint, "/x")
    def handler(socket, lang):  # type: ignore[no-untyped-def]
        pass

    with pytest.raises(TypeError, match="asks for 'lang'"):
        Flask("app").register_blueprint(blueprint)
    Flask("other").register_blueprint(blueprint, url_prefix="/<lang>")
