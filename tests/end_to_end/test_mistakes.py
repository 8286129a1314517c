"""What a newcomer gets wrong, and the one sentence that says what happened and what to change.

What is told at decoration is in tests/conversation/test_handlers.py, what concerns patching in
tests/servers/test_patching.py, and addresses and options in tests/servers/test_serve_options.py.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from flask import Blueprint, Flask

from gws import App, WebSocket

from ..conftest import StartServer
from ..support.harness import Server
from ..support.program import Program, wait_for
from ..support.raw_client import RawClient

PROGRAM = """
from gevent import monkey
monkey.patch_all()

import asyncio
import gevent
from gws import App, WebSocket

app = App(__file__)
websocket = WebSocket(app, "/web_socket")

@websocket.on("message")
async def message(ws, msg):
    if msg == "return":
        return helper()
    if msg == "forget":
        ws.async_send("x")
    if msg == "block":
        gevent.sleep(1)
    if msg == "send late":
        ws.close()
        return ws.send("x")
    return msg

async def helper():
    return "x"

@app.get("/plain")
def plain():
    return "plain"
"""
START = """
if __name__ == "__main__":
    websocket.broadcast("early")
    websocket.broadcast("early again")
    app.start(port=0)
"""


@pytest.fixture(scope="module")
def server(start_module_server: StartServer) -> Server:
    return start_module_server(text=PROGRAM + START)


@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        ("return", "dict or list, not coroutine; await it in an `async def` handler"),
        ("forget", "RuntimeWarning: coroutine 'WebSocketConnector.async_send' was never awaited"),
        (
            "block",
            "await asyncio.sleep(...) or another asyncio call instead, or make the handler a plain `def`",
        ),
        (
            "send late",
            "sends to its client after ws.close(); the message is dropped and False returned: send first",
        ),
    ],
)
def test_in_a_handler(server: Server, said: str, sentence: str) -> None:
    begin = len(server.log())
    with RawClient(server) as client:
        client.say(said)
        wait_for(lambda: sentence in server.log()[begin:], sentence)
    with RawClient(server) as client:
        client.say("still there?")
        assert client.read_text() == "still there?"


def test_a_warning_comes_once_and_not_for_each_message(server: Server) -> None:
    for _ in range(3):
        with RawClient(server) as client:
            client.say("send late")
            client.read_to_end()
    assert server.log().count("after ws.close()") == 1
    assert server.log().count("broadcasts before a server runs in this process, and nobody is connected") == 1


def test_a_handshake_for_a_plain_view(server: Server) -> None:
    with RawClient(server, "/plain") as client:
        assert client.status == 400
        assert "/plain is no WebSocket: make it one with gws.WebSocket(app, &#39;/plain&#39;)" in client.body


def test_a_page_of_another_origin_behind_a_proxy(server: Server) -> None:
    headers = {
        "Origin": "https://chat.example",
        "X-Forwarded-Host": "chat.example",
        "X-Forwarded-Proto": "https",
    }
    with RawClient(server, headers=headers) as client:
        assert client.status == 403
        assert "GWS_ALLOWED_ORIGINS does not list it; behind a proxy: app.wsgi_app = " in client.body
        assert "ProxyFix(app.wsgi_app, x_for=1, x_proto=1, x_host=1)" in client.body
    with RawClient(server, headers={"Origin": "https://chat.example"}) as client:
        assert client.body.endswith("GWS_ALLOWED_ORIGINS does not list it\n")


@pytest.mark.parametrize(
    ("worker", "preload", "name"),
    [
        ("sync", False, "SyncWorker serves no WebSockets: run gunicorn -k gws.worker.Worker"),
        (
            "gthread",
            False,
            "ThreadWorker serves no WebSockets, and a program that gevent has patched hangs in it: run",
        ),
        ("gevent", False, "GeventWorker serves no WebSockets: run gunicorn -k gws.worker.Worker"),
        (
            "gevent_pywsgi",
            False,
            "GeventPyWSGIWorker serves no WebSockets: run gunicorn -k gws.worker.Worker",
        ),
        ("gws.worker.Worker", False, None),
        ("gws.worker.Worker", True, None),
        ("geventwebsocket.gunicorn.workers.GeventWebSocketWorker", False, None),
    ],
)
def test_a_worker_of_another_class_is_an_error_before_anybody_connects(
    tmp_path: Path, worker: str, preload: bool, name: str | None
) -> None:
    (tmp_path / "app.py").write_text(f"{PROGRAM}\nprint('loaded', flush=True)")
    options = [*(["--preload"] if preload else []), "--threads", "2"] if worker == "gthread" else []
    program = Program(
        [
            sys.executable,
            "-m",
            "gunicorn",
            "-k",
            worker,
            "-b",
            "127.0.0.1:0",
            "--no-control-socket",
            *options,
            "app:app",
        ],
        tmp_path,
    )
    try:
        wait_for(lambda: "loaded" in program.log(), "the application")
        assert program.log().count("serves no WebSockets") == (name is not None)
        assert name is None or name in program.log()
    finally:
        program.clean_up()


def test_two_websockets_of_one_rule() -> None:
    app = App("app")
    WebSocket(app, "/chat")
    with pytest.raises(ValueError, match=r"'app' has a WebSocket at '/chat' already: one has all events"):
        WebSocket(app, "/chat")
    # A plain view of the same rule is another thing.
    app.get("/chat")(lambda: "a page")


def test_two_websockets_of_one_rule_of_a_blueprint() -> None:
    blueprint = Blueprint("blueprint", __name__)
    WebSocket(blueprint, "/chat")
    WebSocket(blueprint, "/chat")
    with pytest.raises((ValueError, AssertionError), match="chat"):
        Flask("app").register_blueprint(blueprint)


def test_a_misspelt_event_and_what_cannot_be_sent() -> None:
    websocket = WebSocket(App("app"), "/chat")
    with pytest.raises(
        ValueError, match=r"no event 'conect'; did you mean 'connect'\?; events are connect, message"
    ):
        websocket.on("conect")
    unsendable: Any = 5
    with pytest.raises(TypeError, match="a message is str, bytes, dict or list, not int"):
        websocket.broadcast(unsendable)
