"""Messages as values of a type: what arrives, what does not fit, and what is sent."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any, Literal, TypedDict

import msgspec
import pydantic
import pytest
from flask import Flask

from gws import WebSocket
from gws.protocol.typed import describe, is_plain, make_decoder

from ..conftest import StartServer
from ..support.client_frames import BINARY, TEXT, frame, text
from ..support.harness import Server, unharmed
from ..support.raw_client import FIN, RawClient, closed


@pytest.fixture(scope="module")
def server(start_module_server: StartServer) -> Server:
    return start_module_server("typed_messages")


@pytest.fixture(autouse=True)
def _unharmed(request: pytest.FixtureRequest) -> Iterator[None]:
    if "server" not in request.fixturenames:
        yield
        return
    with unharmed(request.getfixturevalue("server")):
        yield


def ask(server: Server, path: str, *messages: Any) -> list[Any]:
    """Return what is answered to each, from JSON."""
    with RawClient(server, path) as client:
        client.say(*map(json.dumps, messages))
        return [json.loads(client.read_text()) for _ in messages]


def unpacked(client: RawClient) -> Any:
    """Return what the next message is, from MessagePack."""
    opcode, payload = client.read_frame()
    assert opcode == BINARY
    assert isinstance(payload, bytes)
    return msgspec.msgpack.decode(payload)


SAY = {"type": "Say", "text": "ab"}


@pytest.mark.parametrize("path", ["/struct", "/async_struct"])
def test_a_struct_comes_and_a_struct_goes(server: Server, path: str) -> None:
    said = {"type": "Said", "by": None}
    assert ask(server, path, SAY, SAY | {"times": 3, "unknown": 1}) == [
        said | {"text": "ab"},
        said | {"text": "ababab"},
    ]


def test_query_parameters_beside_it(server: Server) -> None:
    assert ask(server, "/struct?loud=1", SAY)[0]["text"] == "AB"


def test_binary_json_is_json_too(server: Server) -> None:
    with RawClient(server, "/struct") as client:
        client.send(frame(BINARY, json.dumps(SAY).encode()))
        assert json.loads(client.read_text())["text"] == "ab"


def test_a_union_is_told_apart_by_its_tag(server: Server) -> None:
    answers = ask(server, "/union", SAY, {"type": "Join", "room": "cave"})
    assert [answer["text"] for answer in answers] == ["Say", "Join"]


def test_several_handlers_of_one_endpoint_each_of_a_type(server: Server) -> None:
    with RawClient(server, "/several") as client:
        client.say(json.dumps({"type": "Join", "room": "cave"}), json.dumps(SAY | {"times": 2}))
        answers = [json.loads(client.read_text()) for _ in range(3)]
    assert answers[0]["text"] == "cave entered"
    assert answers[1:] == [{"type": "Said", "text": "ab", "by": "['cave']"}] * 2


def test_a_dataclass_a_typed_dict_a_list_and_models(server: Server) -> None:
    assert ask(server, "/dataclass", {"x": 1, "y": 2}) == [{"x": 2, "y": 1}]
    assert ask(server, "/typed_dict", {"item": "tea", "count": 2}) == [["tea", "tea"]]
    assert ask(server, "/numbers", [1, 2]) == [{"sum": 3}]
    with RawClient(server, "/model") as client:
        client.say('{"number": "4"}')
        numbers = [json.loads(client.read_text())["number"] for _ in range(2)]
        assert numbers == [4, 8]
    with RawClient(server, "/models") as client:
        client.say('{"kind": "model", "number": 4}', '{"kind": "other", "name": "x"}')
        assert client.read_frames(2) == [(TEXT, "model 4"), (TEXT, "other x")]


def test_messagepack(server: Server) -> None:
    with RawClient(server, "/packed") as client:
        client.send(frame(BINARY, msgspec.msgpack.encode(SAY)))
        values = [unpacked(client) for _ in range(2)]
        assert values == [{"type": "Said", "text": "Say", "by": None}, {"as": [1, None]}]
        # Text is none.
        client.say(json.dumps(SAY))
        assert unpacked(client) == {"error": "invalid message", "detail": "binary is expected, not text"}
    with RawClient(server, "/packed_model") as client:
        client.send(frame(BINARY, msgspec.msgpack.encode({"number": 1})))
        assert unpacked(client) == {"number": 1, "kind": "model"}


@pytest.mark.parametrize(
    ("path", "message", "detail"),
    [
        ("/struct", text('{"type": "Say", "text": 5}'), "Expected `str`, got `int` - at `$.text`"),
        ("/async_struct", text("{}"), "Object missing required field"),
        ("/struct", text('{"type": "Nobody"}'), "Invalid value 'Nobody' - at `$.type`"),
        ("/struct", text("{"), "Input data was truncated"),
        ("/struct", text(""), "Input data was truncated"),
        ("/struct", frame(BINARY, b"\xff"), "JSON is malformed"),
        ("/numbers", text('["x"]'), "Expected `int`, got `str` - at `$[0]`"),
        ("/several", text('{"type": "Said"}'), "Invalid value 'Said' - at `$.type`"),
        ("/model", text('{"number": "secret"}'), "Input should be a valid integer"),
        ("/model", text("{"), "Invalid JSON"),
        ("/models", text('{"kind": "x"}'), "at `$.Model"),
    ],
)
def test_what_does_not_fit_is_answered_and_counted(
    server: Server, path: str, message: bytes, detail: str
) -> None:
    begin, before = len(server.log()), server.vitals()["counters"].get("messages_refused", 0)
    with RawClient(server, path) as client:
        client.send(message)
        answer = json.loads(client.read_text())
        assert answer["error"] == "invalid message"
        assert detail in answer["detail"]
        assert "secret" not in answer["detail"]
        # The connection goes on.
        client.send(message)
        assert json.loads(client.read_text()) == answer
    assert server.vitals()["counters"]["messages_refused"] == before + 2
    assert "Traceback" not in server.log()[begin:]


def test_deep_nesting_is_no_traceback(server: Server) -> None:
    with RawClient(server, "/struct") as client:
        client.say('{"type": "Say", "unknown": ' + "[" * 200_000 + "]" * 200_000 + ', "text": "x"}')
        answer = json.loads(client.read_text())
        assert answer == {"error": "invalid message", "detail": "the message is nested too deeply"}


def test_what_does_not_fit_closes_where_that_is_configured(server: Server) -> None:
    begin, before = len(server.log()), server.vitals()["counters"].get("messages_refused", 0)
    with RawClient(server, "/strict") as client:
        client.say(json.dumps(SAY), '{"type": "Say", "text": 5}', json.dumps(SAY))
        assert client.read_text() == "ab"
        assert client.read_to_end() == [closed(1007, "invalid message"), FIN]
    assert server.vitals()["counters"]["messages_refused"] == before + 1
    assert "Traceback" not in server.log()[begin:]
    assert "got `int`" not in server.log()[begin:]


def test_in_a_receive_loop(server: Server) -> None:
    with RawClient(server, "/loop") as client:
        client.say(json.dumps(SAY), "5", json.dumps({"type": "Join", "room": "x"}))
        assert json.loads(client.read_text())["text"] == "Say"
        assert client.read_text() == "invalid message: Expected `object`, got `int`"
        assert json.loads(client.read_text())["text"] == "Join"
    with RawClient(server, "/async_loop") as client:
        client.say(json.dumps(SAY), "5")
        assert json.loads(client.read_text())["text"] == "ab"
        assert client.read_close() == (1007, "invalid message")


def test_values_are_broadcast_from_views(server: Server) -> None:
    with RawClient(server, "/struct") as client:
        assert server.get("/tell") == ""
        answers = [json.loads(client.read_text()) for _ in range(2)]
        assert answers == [{"type": "Said", "text": "from a view", "by": None}, {"x": 1, "y": 0}]


# At decoration


@pytest.mark.parametrize("kind", [str, bytes, str | bytes, Any, object, str | None])
def test_what_leaves_a_message_as_it_came(kind: Any) -> None:
    assert is_plain(kind)


class Untagged(msgspec.Struct):
    a: int


class AlsoUntagged(msgspec.Struct):
    b: int


class Whatever:
    pass


@dataclasses.dataclass
class Data:
    a: int


@pytest.mark.parametrize(
    ("kind", "sentence"),
    [
        (Untagged | AlsoUntagged, r"told apart by a tag: class Join\(msgspec.Struct, tag=True\)"),
        (Data | Untagged, "told apart by a tag"),
        (Whatever, "Whatever'> cannot be made of a message; a msgspec.Struct"),
        (Whatever | Data, "Whatever'> cannot be made of a message"),
    ],
)
def test_what_cannot_be_decoded_is_refused_at_decoration(kind: Any, sentence: str) -> None:
    def handler(msg: Any) -> None:
        pass

    handler.__annotations__["msg"] = kind
    with pytest.raises(TypeError, match=sentence):
        WebSocket(Flask("app"), "/x").on("message")(handler)


def test_types_that_cannot_be_told_apart_are_refused_at_decoration() -> None:
    websocket = WebSocket(Flask("app"), "/x")
    websocket.on("message", type=Untagged)(lambda msg: None)
    with pytest.raises(TypeError, match="told apart by a tag"):
        websocket.on("message", type=AlsoUntagged)(lambda msg: None)
    with pytest.raises(TypeError, match=r'on\("message", type=\.\.\.\), not on\("close"\)'):
        websocket.on("close", type=Untagged)


class Dictionary(TypedDict):
    a: int


class Model(pydantic.BaseModel):
    a: int


class Tagged(msgspec.Struct, tag=True):
    a: int


class AlsoTagged(msgspec.Struct, tag=True):
    a: int


@pytest.mark.parametrize("kind", [Dictionary, list[int], Tagged | None, Literal["x"], Any])
def test_one_of_several_types_is_a_class_of_its_own(kind: Any) -> None:
    websocket = WebSocket(Flask("app"), "/x")
    # The only one may be anything.
    websocket.on("message", type=kind)(lambda msg: None)
    with pytest.raises(TypeError, match=r"are told apart by class: .* is none"):
        websocket.on("message", type=Tagged)(lambda msg: None)


def test_several_types_are_all_of_pydantic_or_none_is() -> None:
    websocket = WebSocket(Flask("app"), "/x")
    websocket.on("message", type=Tagged)(lambda msg: None)
    with pytest.raises(TypeError, match="are all pydantic's models, or none is"):
        websocket.on("message", type=Model)(lambda msg: None)
    # What was refused is forgotten.
    websocket.on("message", type=AlsoTagged)(lambda msg: None)
    assert [kind for _, _, kind in websocket.functions()] == [Tagged, AlsoTagged]


def test_a_detail_is_short_whatever_the_message() -> None:
    for kind, message in [
        (Tagged, json.dumps({"type": "x" * 100_000})),
        (Model, json.dumps({"a": "x" * 100_000})),
        (dict[str, Model], json.dumps({"x" * 100_000: {}})),
    ]:
        with pytest.raises(ValueError) as caught:  # noqa: PT011 - whatever it says
            make_decoder((kind,), "json")(message)
        assert len(describe(caught.value)) <= 300
    with pytest.raises(ValueError, match="validation error") as caught:
        make_decoder((Many,), "json")(json.dumps({"numbers": ["x"] * 1000}))
    assert describe(caught.value) == "1000 values do not fit"


class Many(pydantic.BaseModel):
    numbers: list[int]


def test_a_codec_is_one_that_there_is() -> None:
    with pytest.raises(ValueError, match="codec is one of json, msgpack, not 'xml'"):
        WebSocket(Flask("app"), "/x", codec="xml")  # type: ignore[arg-type]


def test_a_decoder_is_made_once() -> None:
    assert make_decoder((Untagged,), "json") is make_decoder((Untagged,), "json")


def test_nothing_is_imported_that_is_not_asked_for_and_what_is_missing_is_said() -> None:
    program = """
import sys
sys.modules["msgspec"] = None
from dataclasses import dataclass
from flask import Flask
from gws import WebSocket
@dataclass
class Data:
    a: int
def handler(msg: Data): pass
websocket = WebSocket(Flask("app"), "/x")
websocket.on("message")(lambda msg: msg)
assert "pydantic" not in sys.modules
for try_ in (lambda: websocket.on("message")(handler), lambda: WebSocket(Flask("b"), "/x", codec="msgpack")):
    try:
        try_()
    except ImportError as error:
        print(error)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=True
    )
    assert done.stdout == "typed messages need the package msgspec: pip install 'gevent-gws[typed]'\n" * 2


def test_a_model_needs_pydantic_only() -> None:
    class Model(pydantic.BaseModel):
        a: int

    assert make_decoder((Model,), "json")('{"a": 1}') == Model(a=1)
