"""What handlers may ask for by name, and what `ws` tells them of their connection."""

from __future__ import annotations

import json
import uuid
from typing import Any

import pytest
from flask import Blueprint, Flask

from gws import App, WebSocket
from gws.testing import Client

from ..conftest import StartServer
from ..support.client_frames import TEXT
from ..support.harness import Server
from ..support.program import python
from ..support.raw_client import RawClient, said


@pytest.fixture(scope="module")
def server(start_module_server: StartServer) -> Server:
    return start_module_server("parameters")


def ask(server: Server, path: str, message: str = "hello") -> Any:
    """Return the JSON that is answered to a message."""
    with RawClient(server, path) as client:
        client.say(message)
        name, payload = client.read_frame()
        assert name == TEXT, payload
        return json.loads(str(payload))


@pytest.mark.parametrize(
    ("handler", "seen"),
    [
        ("nothing", []),
        ("only_ws", [True]),
        ("only_msg", ["hello"]),
        ("swapped", ["hello", "WebSocketConnector"]),
        (
            "everything",
            [3, {"bat": "mobile"}, "cave", {"signal": "lit"}, "hello", "WebSocketConnector"],
        ),
        ("by_keyword", ["hello", "cave"]),
        ("positional", ["hello", "cave"]),
        ("with_default", ["hello", 7, "cave"]),
        ("open_ended", ["hello", [], {}]),
        ("in_coroutine", [3, "hello", {"bat": "mobile"}]),
        ("method", ["method", "hello"]),
        ("async_method", ["async method", "hello"]),
        ("instance", ["hello", "cave"]),
        ("partial", ["more", "hello"]),
    ],
)
def test_parameters_are_given_by_name(server: Server, handler: str, seen: list[object]) -> None:
    assert ask(server, f"/known/{handler}/cave/3") == seen


def test_an_unknown_parameter_is_refused_at_decoration_with_the_known_ones(server: Server) -> None:
    kind, message = json.loads(server.get("/complaints"))["unknown parameter"]
    assert kind == "TypeError"
    for name in ("'unknown'", "'message'", "ws", "msg", "global_dependencies", "router_dependencies", "seat"):
        assert name in message


def test_variables_of_a_prefix_are_variables_too() -> None:
    app = App(__file__)
    outer, inner = Blueprint("outer", __name__), Blueprint("inner", __name__, url_prefix="/<kind>")
    twice = Blueprint("twice", __name__)

    @WebSocket(inner, "/<name>").on("connect")
    def connect(kind: str, name: str, city: str, lang: str = "none") -> list[str]:
        return [lang, city, kind, name]

    @WebSocket(twice, "/here/<name>").on("connect")
    def connect_here(name: str, lang: str = "none") -> list[str]:
        return [lang, name]

    outer.register_blueprint(inner, url_prefix="/<city>/<kind>")
    app.register_blueprint(outer, url_prefix="/<lang>")
    app.register_blueprint(twice, url_prefix="/<lang>")
    app.register_blueprint(twice, url_prefix="/plain", name="again")
    with Client(app) as client:
        assert client.connect("/en/gotham/cave/bat").receive_json() == ["en", "gotham", "cave", "bat"]
        # What it has under one prefix only, a handler cannot ask for.
        for path in ("/en/here/x", "/plain/here/x"):
            assert client.connect(path).receive_json() == ["none", "x"]


def test_a_parameter_that_no_prefix_has_is_refused_where_the_blueprint_is_registered() -> None:
    blueprint = Blueprint("blueprint", __name__)
    WebSocket(blueprint, "/<name>").on("message")(lambda name, lang: lang)
    with pytest.raises(TypeError, match=r"asks for 'lang'; known parameters are .*name"):
        Flask(__name__).register_blueprint(blueprint, url_prefix="/en")
    Flask(__name__).register_blueprint(blueprint, url_prefix="/<lang>")


def test_an_unknown_event_is_refused_at_decoration_with_the_known_ones(server: Server) -> None:
    kind, message = json.loads(server.get("/complaints"))["unknown event"]
    assert kind == "ValueError"
    for name in ("'error'", "connect", "message", "close"):
        assert name in message


def test_what_is_no_function_is_refused_at_decoration(server: Server) -> None:
    assert json.loads(server.get("/complaints"))["not a function"][0] == "TypeError"


def test_a_path_that_the_rule_does_not_match_is_not_found(server: Server) -> None:
    with RawClient(server, "/rooms/cave/three") as client:
        assert client.status == 404


def test_ws_knows_its_request(server: Server, key: str) -> None:
    headers = {"X-Signal": "bat", "Cookie": "a=1; b=2", "User-Agent": "raw"}
    with RawClient(server, f"/facts/cave/down/here?notes={key}", headers=headers) as client:
        client.say("hello")
        facts = json.loads(str(client.read_frame()[1]))
        assert uuid.UUID(facts.pop("id")).version == 8
        assert facts == {
            "headers": "bat",
            "user agent": "raw",
            "cookies": {"a": "1", "b": "2"},
            "remote_addr": "127.0.0.1",
            "path_params": {"name": "cave", "rest": "down/here"},
            "close_code": None,
            "close_reason": None,
            "connector": True,
            "repr": "<WebSocketConnector <id> /facts/cave/down/here>",
        }
        client.close(4321, "why")
        assert server.notes(key, 1) == [(4321, "why", "cave", "bat", "127.0.0.1")]


def test_ids_are_all_different(server: Server) -> None:
    ids = {ask(server, "/facts/a/b")["id"] for _ in range(20)}
    assert len(ids) == 20


def test_state_is_the_connections_own_for_as_long_as_it_lives(server: Server, key: str) -> None:
    with RawClient(server, f"/stateful?notes={key}") as one, RawClient(server, "/stateful") as other:
        one.say("x", "x", "x")
        assert one.read_frames(3) == [said("1"), said("2"), said("3")]
        other.say("x")
        assert other.read_frame() == said("1")
        one.close()
        assert server.notes(key, 1) == [(3,)]


@pytest.mark.parametrize(
    ("query", "expression", "value"),
    [
        ("a=1&a=2", "q.get('a')", "2"),
        ("a=1&a=2", "q.get_first('a')", "1"),
        ("a=1&a=2", "q.get_all('a')", ["1", "2"]),
        ("a=1", "[q.get('b'), q.get('b', 5), q.get_first('b'), q.get_all('b')]", [None, 5, None, None]),
        ("a=1&b", "[q.contains('b'), q.contains('c'), 'a' in q, 'c' in q]", [True, False, True, False]),
        ("", "[q.empty(), q.to_dict()]", [True, {}]),
        ("a=1&b=&a=2", "[q.empty(), q.to_dict()]", [False, {"a": ["1", "2"], "b": [""]}]),
        ("x%20y=p+q&z=%E2%9C%93", "q.to_dict()", {"x y": ["p q"], "z": ["\u2713"]}),
        ("g=1=2&d", "[q.get('g'), q.get('d')]", ["1=2", ""]),
        ("a=1", "q.to_dict().clear() or q.get('a')", "1"),
        ("a=%FF", "q.get('a')", "\ufffd"),
    ],
)
def test_query_params(server: Server, query: str, expression: str, value: object) -> None:
    assert ask(server, f"/query?{query}", expression) == value


def test_an_endpoint_may_leave_its_leading_slash_out_and_the_last_handler_wins(server: Server) -> None:
    with RawClient(server, "/without_slash") as client:
        client.say("hello")
        assert client.read_frame() == said("the last one wins")


def test_what_is_injected_after_on_is_seen_and_router_dependencies_stay_on_their_endpoint(
    server: Server,
) -> None:
    seen = [{"mobile": "after on"}, {"signal": "lit"}]
    with RawClient(server, "/dependent") as client:
        assert json.loads(str(client.read_frame()[1])) == seen
        client.say("hello")
        assert json.loads(str(client.read_frame()[1])) == seen


def test_dependencies_are_empty_when_nothing_was_injected_and_may_come_while_a_client_is_connected() -> None:
    script = """
from gws import App, WebSocket
from gws.testing import Client

app = App("app")
one, other = WebSocket(app, "/one"), WebSocket(app, "/other")

@one.on("message")
@other.on("message")
def message(global_dependencies, router_dependencies):
    return [global_dependencies, router_dependencies]

with Client(app).connect("/one") as here, Client(app).connect("/other") as there:
    here.send("hello")
    print(here.receive())
    one.inject(late=1)
    other.inject_global(later=2)
    for ws in (here, there):
        ws.send("hello")
        print(ws.receive())
"""
    # In a process of its own: global dependencies are those of all applications.
    assert python(script) == '[{}, {}]\n[{"later": 2}, {"late": 1}]\n[{"later": 2}, {}]\n'
