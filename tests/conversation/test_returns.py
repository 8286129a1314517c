"""What a handler returns, and in which order it and what the handler sends reach the client."""

from __future__ import annotations

import pytest
from flask.json.provider import DefaultJSONProvider

from gws import App, WebSocket, jsonify
from gws.testing import Client

from ..conftest import StartServer
from ..support.client_frames import BINARY, TEXT, frame, text
from ..support.harness import Server, unharmed
from ..support.raw_client import FIN, RawClient, closed, said

SENDABLE = [
    ("str", said("text")),
    ("empty", said("")),
    ("unicode", said("Bruce \u2713 \U0001f987 \0")),
    ("str subclass", said("HA")),
    ("bytes", (BINARY, b"\0\xff")),
    ("empty bytes", (BINARY, b"")),
    ("dict", said('{"n": [1, null], "who": "gordon"}')),
    ("list", said('[1, "two"]')),
    ("empty dict", said("{}")),
    ("empty list", said("[]")),
    ("large", said("x" * 300_000)),
]

UNSENDABLE = {
    "int": "int",
    "zero": "int",
    "bool": "bool",
    "false": "bool",
    "float": "float",
    "tuple": "tuple",
    "object": "object",
    "surrogate": "surrogates not allowed",
    "unserialisable": "not JSON serializable",
    "response": "Response",
    "bytearray": "bytearray",
}

KINDS = ["sync", "async"]


@pytest.fixture(scope="module")
def server(start_module_server: StartServer) -> Server:
    return start_module_server("returns")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("asked", "frame"), SENDABLE, ids=[asked for asked, _ in SENDABLE])
def test_a_result_is_sent_as_one_message(
    server: Server, kind: str, asked: str, frame: tuple[str, object]
) -> None:
    with RawClient(server, f"/{kind}") as client:
        client.say(asked, "str")
        assert client.read_frames(2) == [frame, said("text")]


@pytest.mark.parametrize("kind", KINDS)
def test_none_is_not_sent(server: Server, kind: str) -> None:
    with RawClient(server, f"/{kind}") as client:
        client.say("none", "none", "str")
        client.close()
        assert client.read_to_end() == [said("text"), closed(1000), FIN]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("asked", UNSENDABLE)
def test_any_other_result_ends_this_connection_and_the_log_says_why(
    server: Server, key: str, kind: str, asked: str
) -> None:
    before = len(server.log())
    with unharmed(server), RawClient(server, f"/{kind}?notes={key}") as client:
        client.say("str", asked, "str")
        assert client.read_to_end() == [said("text"), closed(1011, "internal error"), FIN]
    assert server.notes(key) == [(1011,)]
    log = server.log()[before:]
    assert UNSENDABLE[asked] in log
    assert f"the message handler of <WebSocket /{kind}> failed" in log


@pytest.mark.parametrize("kind", KINDS)
def test_frames_leave_in_program_order_and_the_result_last(server: Server, kind: str) -> None:
    with RawClient(server, f"/order/{kind}") as client:
        for number in range(300):
            client.say(str(number))
            assert client.read_frames(6) == [
                said(f"{number} 1"),
                said(f"{number} 2"),
                (BINARY, b"3"),
                said(f"{number} 4"),
                said(f"{number} 5"),
                said(f"{number} 6"),
            ]


def test_binary_messages_are_bytes_and_text_is_str(server: Server) -> None:
    with RawClient(server, "/binary") as client:
        client.send(frame(BINARY, b"\xff"), text("x"), frame(TEXT), frame(BINARY))
        assert client.read_frames(4) == [said("bytes"), said("str"), said("str"), said("bytes")]


def test_connect_and_close_return_like_message(server: Server) -> None:
    with unharmed(server), RawClient(server, "/connected") as client:
        client.say("leave")
        assert client.read_frames(3) == [
            said('{"hello": "you"}'),
            (BINARY, b"bye"),
            closed(1000, "Connection closed"),
        ]
        client.close()
        assert client.read_to_end() == [FIN]


def test_json_is_that_of_the_applications_provider() -> None:
    class Provider(DefaultJSONProvider):
        """Writes the type of what it does not know, and keeps the order of keys."""

        sort_keys = False

        def default(self, value: object) -> str:
            return f"<{type(value).__name__}>"

    app = App(__file__)
    app.json = Provider(app)
    websocket = WebSocket(app, "/web_socket")
    websocket.on("message")(lambda: {"z": object(), "a": 1})
    websocket.on("close")(lambda: jsonify([object()]))
    with Client(app).connect("/web_socket") as ws:
        ws.send("hello")
        assert ws.receive() == '{"z": "<object>", "a": 1}'
    assert ws.receive() == '["<object>"]'
    assert ws.closed == (1000, "")
