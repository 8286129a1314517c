"""Settings: arguments of `WebSocket`, or the application's `GWS_…`; an argument wins, and a bad one is refused."""

from __future__ import annotations

import urllib.parse

import pytest

from ..conftest import StartServer
from ..support.client_frames import PING, TEXT
from ..support.harness import Server
from ..support.raw_client import FIN, RawClient, closed, said


def test_two_applications_in_one_process_have_their_own_endpoints_and_settings(
    start_server: StartServer,
) -> None:
    server = start_server(
        """
        from flask import Blueprint, Flask
        from werkzeug.middleware.dispatcher import DispatcherMiddleware

        def make_blueprint(name):
            blueprint = Blueprint("shared", __name__)
            websocket = WebSocket(blueprint, "/shared", name=name)

            @websocket.on("message")
            def message(msg):
                return f"{flask.current_app.name} {msg}"

            return blueprint

        second = Flask("second")
        for each, size in (app, 10), (second, 20):
            each.config["GWS_MAX_MESSAGE_SIZE"] = size
            each.register_blueprint(make_blueprint(each.name))
        app.wsgi_app = DispatcherMiddleware(app.wsgi_app, {"/second": second.wsgi_app})
        """
    )
    for path, name, size in ("/shared", "app", 10), ("/second/shared", "second", 20):
        with RawClient(server, path) as client:
            client.say("x" * size, "x" * (size + 1))
            assert client.read_to_end() == [
                said(f"{name} {'x' * size}"),
                closed(1009, f"message is over {size} bytes"),
                FIN,
            ]


COMPLAINTS = {
    "max_message_size=0": "ValueError: max_message_size is a whole number above zero, not 0",
    "max_outbox_size=-1": "ValueError: max_outbox_size is a whole number above zero, not -1",
    "ping_timeout=None": "ValueError: ping_timeout is a number above zero, not None",
    "close_timeout='5'": "ValueError: close_timeout is a number above zero, not '5'",
    "handshake_timeout=True": "Error: handshake_timeout is a number",
    "ping_interval=float('nan')": "ValueError: ping_interval is a number",
    "allowed_origins='https://a.example'": "TypeError: allowed_origins is a list of strings",
    "nonsense=1": "TypeError: ",
}


@pytest.fixture(scope="module")
def complaining(start_module_server: StartServer) -> Server:
    """Return a server that makes endpoints of what it is given and answers the error."""
    return start_module_server(
        """
        @app.get("/complain")
        def complain():
            try:
                eval(f"WebSocket(flask.Flask('other'), '/x', {flask.request.args['arguments']})")
            except Exception as error:
                return f"{type(error).__name__}: {error}"
            return "none"
        """
    )


@pytest.mark.parametrize("arguments", COMPLAINTS)
def test_a_setting_that_cannot_work_is_refused_when_the_endpoint_is_made(
    complaining: Server, arguments: str
) -> None:
    assert COMPLAINTS[arguments] in complaining.get(
        f"/complain?{urllib.parse.urlencode({'arguments': arguments})}"
    )


def test_an_argument_wins_over_the_applications_setting(start_server: StartServer) -> None:
    server = start_server(
        """
        own = WebSocket(app, "/own", max_message_size=5)
        configured = WebSocket(app, "/configured")
        app.config.update(GWS_MAX_MESSAGE_SIZE=10, GWS_PING_INTERVAL=0.1, GWS_CLOSE_TIMEOUT=0.3)

        @own.on("message")
        @configured.on("message")
        def message(ws, msg):
            if msg == "close":
                ws.close()
            return msg
        """
    )
    for path, size in ("/own", 5), ("/configured", 10):
        with RawClient(server, path) as client:
            assert client.read_frame() == (PING, b"")
            client.say("x" * size, "x" * (size + 1))
            frames = [frame for frame in client.read_to_end() if frame[0] != PING]
            assert frames == [said("x" * size), closed(1009, f"message is over {size} bytes"), FIN]
        with RawClient(server, path) as client:
            client.say("close")
            frames = [frame for frame in client.read_to_end() if frame[0] != PING]
            assert frames == [said("close"), closed(1000, "Connection closed"), FIN]


def test_a_connection_may_have_next_to_no_limits(start_server: StartServer) -> None:
    server = start_server(
        """
        without = dict.fromkeys(["ping_interval", "ping_timeout", "close_timeout"], float("inf"))
        websocket = WebSocket(app, "/web_socket", max_message_size=2**70, max_outbox_size=2**70, **without)
        often = WebSocket(app, "/often", ping_interval=1e-5, ping_timeout=1e300)

        @websocket.on("message")
        @often.on("message")
        def message(msg):
            return msg
        """
    )
    for path in ("/web_socket", "/often"):
        with RawClient(server, path) as client:
            client.say("x" * 2_000_000 if path == "/web_socket" else "x")
            frames = (client.read_frame() for _ in range(10_000))
            assert next(frame for frame in frames if frame[0] == TEXT)[1] in ("x", "x" * 2_000_000)


@pytest.mark.parametrize("way", ["python", "worker"])
def test_a_misspelt_setting_is_warned_of_when_the_server_starts(start_server: StartServer, way: str) -> None:
    server = start_server('app.config["GWS_MAX_MESAGE_SIZE"] = 1000\n', way)
    server.wait_for_log("did you mean 'GWS_MAX_MESSAGE_SIZE'?")
