"""What a handler returns, and in which order it and what the handler sends reach the client."""

from __future__ import annotations

import pytest

from ..conftest import StartServer
from ..support.client_frames import BINARY, TEXT, frame, text
from ..support.harness import NOTES, Server, unharmed
from ..support.raw_client import FIN, RawClient, closed, said

SOURCE = (
    NOTES
    + """
class Shout(str):
    pass

RESULTS = {
    "none": None, "str": "text", "empty": "", "unicode": "Bruce \\u2713 \\U0001f987 \\0", "str subclass": Shout("HA"),
    "bytes": b"\\0\\xff", "empty bytes": b"", "dict": {"who": "gordon", "n": [1, None]}, "list": [1, "two"],
    "empty dict": {}, "empty list": [], "large": "x" * 300_000,
    "int": 1, "zero": 0, "bool": True, "false": False, "float": 1.5, "tuple": ("a",), "object": object(),
    "surrogate": "\\ud800", "unserialisable": [object()], "response": flask.Response("no"),
    "bytearray": bytearray(b"x"),
}

def answer(ws, msg):
    return RESULTS[msg]

async def answer_async(ws, msg):
    await asyncio.sleep(0)
    return RESULTS[msg]

def closed(ws):
    note(ws, ws.close_code)

sync = WebSocket(app, "/sync")
sync.on("message")(answer)
sync.on("close")(closed)
asynchronous = WebSocket(app, "/async")
asynchronous.on("message")(answer_async)
asynchronous.on("close")(closed)

order = WebSocket(app, "/order/sync")

@order.on("message")
def send_in_order(ws, msg):
    ws.sync_send_to(ws.id, f"{msg} 1")
    ws.sync_broadcast(f"{msg} 2")
    ws.sync_send_to(ws.id, b"3")
    order.send_to(ws.id, f"{msg} 4")
    order.broadcast(f"{msg} 5")
    return f"{msg} 6"

order_async = WebSocket(app, "/order/async")

@order_async.on("message")
async def send_in_order_async(ws, msg):
    await ws.async_send_to(ws.id, f"{msg} 1")
    await ws.async_broadcast(f"{msg} 2")
    await asyncio.sleep(0)
    await ws.async_send_to(ws.id, b"3")
    ws.sync_send_to(ws.id, f"{msg} 4")
    ws.sync_broadcast(f"{msg} 5")
    return f"{msg} 6"

whoever = WebSocket(app, "/binary")

@whoever.on("message")
def say_type(ws, msg):
    return type(msg).__name__

connected = WebSocket(app, "/connected")

@connected.on("connect")
def greet():
    return {"hello": "you"}

@connected.on("message")
def leave(ws):
    ws.close()

@connected.on("close")
async def wave():
    return b"bye"
"""
)

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
    return start_module_server(SOURCE)


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


def test_json_is_that_of_the_applications_provider(start_server: StartServer) -> None:
    server = start_server(
        """
        import datetime
        from flask.json.provider import DefaultJSONProvider

        class Provider(DefaultJSONProvider):
            def default(self, value):
                return f"<{type(value).__name__}>"

        app.json = Provider(app)
        app.json.sort_keys = False
        websocket = WebSocket(app, "/web_socket")

        @websocket.on("message")
        def message():
            return {"z": object(), "a": 1}

        @websocket.on("close")
        def close():
            return jsonify([object()])
        """
    )
    with RawClient(server) as client:
        client.say("hello")
        client.close()
        assert client.read_to_end() == [
            said('{"z": "<object>", "a": 1}'),
            said('["<object>"]'),
            closed(1000),
            FIN,
        ]
