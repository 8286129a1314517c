"""What handlers may ask for by name, and what `ws` tells them of their connection."""

from __future__ import annotations

import json
import uuid
from typing import Any

import pytest
from flask import Blueprint, Flask

from gws import WebSocket

from ..conftest import StartServer
from ..support.client_frames import TEXT
from ..support.harness import NOTES, Server
from ..support.raw_client import RawClient, said

SOURCE = (
    NOTES
    + """
import functools

room = WebSocket(app, "/rooms/<name>/<int:seat>")
room.inject(bat="mobile")
room.inject_global(signal="lit")

HANDLERS = {}

def known(function):
    HANDLERS[function.__name__] = WebSocket(app, f"/known/{function.__name__}/<name>/<int:seat>")
    HANDLERS[function.__name__].inject(bat="mobile")
    assert HANDLERS[function.__name__].on("message")(function) is function

@known
def nothing(): return []
@known
def only_ws(ws): return [ws.id == ws.id]
@known
def only_msg(msg): return [msg]
@known
def swapped(msg, ws): return [msg, type(ws).__name__]
@known
def everything(seat, router_dependencies, name, global_dependencies, msg, ws):
    return [seat, router_dependencies, name, global_dependencies, msg, type(ws).__name__]
@known
def by_keyword(*, ws, msg, name): return [msg, name]
@known
def positional(ws, msg, /, name): return [msg, name]
@known
def with_default(ws, msg, extra=7, name=None): return [msg, extra, name]
@known
def open_ended(msg, *args, **kwargs): return [msg, list(args), kwargs]
@known
async def in_coroutine(seat, msg, *, router_dependencies): return [seat, msg, router_dependencies]

class Callable:
    def __call__(self, msg, name): return [msg, name]
    def method(self, msg): return ["method", msg]
    async def async_method(self, msg): return ["async method", msg]

bound = WebSocket(app, "/known/method/<name>/<int:seat>")
bound.on("message")(Callable().method)
bound_async = WebSocket(app, "/known/async_method/<name>/<int:seat>")
bound_async.on("message")(Callable().async_method)
instance = WebSocket(app, "/known/instance/<name>/<int:seat>")
instance.on("message")(Callable())
partial = WebSocket(app, "/known/partial/<name>/<int:seat>")
partial.on("message")(functools.partial(lambda more, msg: [more, msg], "more"))

def complaint(decorate):
    try:
        decorate()
    except Exception as error:
        return [type(error).__name__, str(error)]

def unknown(ws, message): pass

COMPLAINTS = {
    "unknown parameter": complaint(lambda: room.on("message")(unknown)),
    "unknown event": complaint(lambda: room.on("error")),
    "not a function": complaint(lambda: room.on("message")(None)),
}

@app.get("/complaints")
def complaints(): return COMPLAINTS

facts = WebSocket(app, "/facts/<name>/<path:rest>")

@facts.on("message")
def tell(ws, msg):
    return {
        "id": ws.id, "headers": ws.headers.get("X-Signal"), "user agent": ws.headers.get("User-Agent"),
        "cookies": dict(ws.cookies), "remote_addr": ws.remote_addr, "path_params": dict(ws.path_params),
        "close_code": ws.close_code, "close_reason": ws.close_reason, "connector": isinstance(ws, WebSocketConnector),
        "repr": repr(ws).replace(ws.id, "<id>"),
    }

@facts.on("close")
def tell_end(ws):
    note(ws, ws.close_code, ws.close_reason, ws.path_params["name"], ws.headers.get("X-Signal"), ws.remote_addr)

stateful = WebSocket(app, "/stateful")

@stateful.on("connect")
def count_from_zero(ws):
    assert ws.state == {}
    ws.state["count"] = 0

@stateful.on("message")
async def count(ws):
    ws.state["count"] += 1
    return str(ws.state["count"])

@stateful.on("close")
def last_count(ws):
    note(ws, ws.state["count"])

query = WebSocket(app, "/query")

@query.on("message")
def ask(ws, msg):
    q = ws.query_params
    assert isinstance(q, QueryParams)
    return jsonify(eval(msg))

same = WebSocket(app, "/no_slash")
last = WebSocket(app, "without_slash")

@last.on("message")
def first(): return "the first"
@last.on("message")
def second(): return "the last one wins"

dependent = WebSocket(app, "/dependent")

@dependent.on("message")
def dependencies(router_dependencies, global_dependencies):
    return [router_dependencies, global_dependencies]

@dependent.on("connect")
def connect(global_dependencies, router_dependencies):
    return [router_dependencies, global_dependencies]

dependent.inject(mobile="after on")
"""
)


@pytest.fixture(scope="module")
def server(start_module_server: StartServer) -> Server:
    return start_module_server(SOURCE)


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


def test_variables_of_a_prefix_are_variables_too(start_server: StartServer) -> None:
    server = start_server(
        """
        outer = flask.Blueprint("outer", __name__)
        inner = flask.Blueprint("inner", __name__, url_prefix="/<kind>")
        room = WebSocket(inner, "/<name>")

        @room.on("message")
        def message(kind, name, city, lang="none"):
            return [lang, city, kind, name]

        outer.register_blueprint(inner, url_prefix="/<city>/<kind>")
        app.register_blueprint(outer, url_prefix="/<lang>")
        twice = flask.Blueprint("twice", __name__)
        here = WebSocket(twice, "/here/<name>")
        here.on("message")(lambda name, lang="none": [lang, name])
        app.register_blueprint(twice, url_prefix="/<lang>")
        app.register_blueprint(twice, url_prefix="/plain", name="again")
        """
    )
    assert ask(server, "/en/gotham/cave/bat") == ["en", "gotham", "cave", "bat"]
    # What it has under one prefix only, a handler cannot ask for.
    assert ask(server, "/en/here/x") == ask(server, "/plain/here/x") == ["none", "x"]


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


def test_dependencies_are_empty_when_nothing_was_injected_and_may_come_while_a_client_is_connected(
    start_server: StartServer,
) -> None:
    server = start_server(
        """
        one = WebSocket(app, "/one")
        other = WebSocket(app, "/other")

        def dependencies(msg, global_dependencies, router_dependencies):
            if msg == "inject":
                one.inject(late=1)
                other.inject_global(later=2)
            return [global_dependencies, router_dependencies]

        one.on("message")(dependencies)
        other.on("message")(dependencies)
        """
    )
    with RawClient(server, "/one") as one, RawClient(server, "/other") as other:
        one.say("hello", "inject")
        assert one.read_frames(2) == [said("[{}, {}]"), said('[{"later": 2}, {"late": 1}]')]
        other.say("hello")
        assert other.read_frame() == said('[{"later": 2}, {}]')
