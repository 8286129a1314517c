"""`gws.conversation.handlers`: parameters by name, and what a result is on the wire."""

from __future__ import annotations

import asyncio
import enum
import functools
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any, TypeAlias

import flask
import pytest
from flask.json.provider import DefaultJSONProvider

from gws import aio
from gws.cluster.endpoint import Endpoint
from gws.conversation.handlers import bind
from gws.conversation.results import encode_result
from gws.errors import HandlerError
from gws.protocol.encoding import encode, is_text, payload_of

from ..support.client_frames import BINARY, TEXT, frame

WS = SimpleNamespace(path_params={"room": "cave", "number": 7, "function": "f", "run": "r"})
MSG = "hello"
GLOBAL = {"who": "global"}
ROUTER = {"who": "router"}
DEPENDENCIES = {"global_dependencies": GLOBAL, "router_dependencies": ROUTER}

APP = flask.Flask("app")
JSON = APP.json
ENDPOINT = Endpoint("/x")

Function: TypeAlias = Callable[..., Any]


def call(function: Function, variables: tuple[str, ...] = ()) -> object:
    """Return what a bound function gives; a coroutine's result, if it is async."""
    handler = bind(function, DEPENDENCIES, variables)
    result = handler.call(WS, MSG)
    return aio.run(result) if handler.is_async else result


# Parameters: Robyn's table, and what ought to be in it.

SIGNATURES: list[tuple[Function, object]] = [
    (lambda: "nothing", "nothing"),
    (lambda ws: ws, WS),
    (lambda msg: msg, MSG),
    (lambda ws, msg: (ws, msg), (WS, MSG)),
    (lambda msg, ws: (msg, ws), (MSG, WS)),
    (lambda ws, global_dependencies: (ws, global_dependencies), (WS, GLOBAL)),
    (lambda msg, global_dependencies: (msg, global_dependencies), (MSG, GLOBAL)),
    (lambda global_dependencies: global_dependencies, GLOBAL),
    (lambda router_dependencies: router_dependencies, ROUTER),
    (
        lambda global_dependencies, router_dependencies: (global_dependencies, router_dependencies),
        (GLOBAL, ROUTER),
    ),
    (
        lambda router_dependencies, global_dependencies: (router_dependencies, global_dependencies),
        (ROUTER, GLOBAL),
    ),
    (lambda ws, msg, global_dependencies: (ws, msg, global_dependencies), (WS, MSG, GLOBAL)),
    (lambda ws, msg, router_dependencies: (ws, msg, router_dependencies), (WS, MSG, ROUTER)),
    (
        lambda ws, msg, global_dependencies, router_dependencies: (
            ws,
            msg,
            global_dependencies,
            router_dependencies,
        ),
        (WS, MSG, GLOBAL, ROUTER),
    ),
    (
        lambda router_dependencies, msg, global_dependencies, ws: (
            router_dependencies,
            msg,
            global_dependencies,
            ws,
        ),
        (ROUTER, MSG, GLOBAL, WS),
    ),
    (lambda msg, ws, global_dependencies: (msg, ws, global_dependencies), (MSG, WS, GLOBAL)),
    (lambda global_dependencies, ws: (global_dependencies, ws), (GLOBAL, WS)),
    (lambda ws, msg, x=1: (ws, msg, x), (WS, MSG, 1)),
    (lambda ws, x=1, msg=None: (ws, x, msg), (WS, 1, MSG)),
    (lambda x=1, ws=None, y=2, msg=None: (x, ws, y, msg), (1, WS, 2, MSG)),
    (lambda ws=None, msg=None: (ws, msg), (WS, MSG)),
    (lambda *, ws, msg: (ws, msg), (WS, MSG)),
    (lambda *, msg, ws: (msg, ws), (MSG, WS)),
    (lambda msg, *, x=1, ws: (msg, x, ws), (MSG, 1, WS)),
    (lambda ws, /, msg: (ws, msg), (WS, MSG)),
    (lambda msg, ws, /: (msg, ws), (MSG, WS)),
    (lambda x=1, ws=None, /: (x, ws), (1, WS)),
    (lambda *args: args, ()),
    (lambda **kw: kw, {}),
    (lambda *args, **kw: (args, kw), ((), {})),
    (lambda ws, *args, msg, **kw: (ws, args, msg, kw), (WS, (), MSG, {})),
    (lambda x=1, *args, ws, **kw: (x, args, ws, kw), (1, (), WS, {})),
]


@pytest.mark.parametrize(("function", "expected"), SIGNATURES)
def test_parameters_are_given_by_name(function: Function, expected: object) -> None:
    assert call(function) == expected


UNKNOWN: list[tuple[Function, str]] = [
    (lambda message: None, "message"),
    (lambda websocket: None, "websocket"),
    (lambda a, b: None, "a"),
    (lambda ws, msg, query: None, "query"),
    (lambda ws, *, room: None, "room"),
    (lambda ws, self, /: None, "self"),
    (lambda ws_: None, "ws_"),
    (functools.partial(lambda x, y, ws: None, 1), "y"),
]


@pytest.mark.parametrize(("function", "name"), UNKNOWN)
def test_an_unknown_parameter_is_a_type_error_that_lists_the_known_ones(
    function: Function, name: str
) -> None:
    with pytest.raises(TypeError) as caught:
        bind(function, DEPENDENCIES, ("number",))
    assert f"asks for {name!r}" in str(caught.value)
    assert (
        "known parameters are ws, msg, query_params, global_dependencies, router_dependencies, number; "
        in str(caught.value)
    )
    assert str(caught.value).endswith(f"a query parameter has an annotation, such as {name}: str")


@pytest.mark.parametrize(
    ("name", "meant"),
    [("message", "msg"), ("mgs", "msg"), ("websocket", "ws"), ("seats", "seat"), ("wss", "ws")],
)
def test_what_was_meant_is_said(name: str, meant: str) -> None:
    with pytest.raises(TypeError, match=rf"asks for '{name}' \(did you mean '{meant}'\?\); known"):
        bind(eval(f"lambda {name}: None"), DEPENDENCIES, ("seat",))


def test_what_is_nearly_always_the_message_is_no_query_parameter() -> None:
    def handler(ws: object, message: str) -> None:
        pass

    with pytest.raises(TypeError, match="did you mean 'msg'"):
        bind(handler, DEPENDENCIES, ())


@pytest.mark.parametrize("name", ["ws", "msg", "global_dependencies"])
def test_a_variable_of_the_url_with_the_name_of_another_parameter_is_a_type_error(name: str) -> None:
    with pytest.raises(TypeError, match=f"the URL variable '{name}' has the name of another parameter"):
        bind(lambda ws: ws, DEPENDENCIES, ("room", name))


def test_an_unknown_parameter_of_an_async_handler_is_the_same() -> None:
    async def handler(ws: object, who) -> None:  # type: ignore[no-untyped-def]
        pass

    with pytest.raises(TypeError, match="handler 'handler' asks for 'who'"):
        bind(handler, DEPENDENCIES, ())


def test_binding_calls_nothing() -> None:
    calls: list[object] = []
    handler = bind(calls.append, DEPENDENCIES, ("object",))
    assert calls == []
    caller = SimpleNamespace(path_params={"object": 1})
    handler.call(caller, MSG)
    assert calls == [1]


# Variables of the URL rule


def test_variables_of_the_url_are_given_by_name() -> None:
    assert call(lambda room: room, ("room", "number")) == "cave"
    assert call(lambda number, msg, room: (number, msg, room), ("room", "number")) == (7, MSG, "cave")
    assert call(lambda *, room, ws: (room, ws), ("room",)) == ("cave", WS)
    assert call(lambda x=1, room="": (x, room), ("room",)) == (1, "cave")


def test_variables_are_those_of_the_connection_that_calls() -> None:
    handler = bind(lambda room: room, DEPENDENCIES, ("room",))
    rooms = [handler.call(SimpleNamespace(path_params={"room": room}), MSG) for room in ("a", "b", "a")]
    assert rooms == ["a", "b", "a"]


def test_variables_may_have_any_name() -> None:
    assert call(lambda function, run: (function, run), ("function", "run")) == ("f", "r")
    caller = SimpleNamespace(path_params={"ünïcode": 1, "__builtins__": 2, "lambda": 3})
    handler = bind(
        lambda ünïcode, __builtins__: (ünïcode, __builtins__), {}, ("ünïcode", "__builtins__", "lambda")
    )
    assert handler.call(caller, MSG) == (1, 2)


def test_a_handler_that_asks_for_no_variable_gets_none() -> None:
    assert bind(lambda msg: msg, DEPENDENCIES, ("absent",)).call(WS, MSG) == MSG


# Dependencies


def test_dependencies_are_the_very_dicts_so_later_injections_are_seen() -> None:
    dependencies: dict[str, dict[str, object]] = {"global_dependencies": {}, "router_dependencies": {}}
    handler = bind(
        lambda global_dependencies, router_dependencies: (global_dependencies, router_dependencies),
        dependencies,
        (),
    )
    assert handler.call(WS, MSG) == ({}, {})
    dependencies["global_dependencies"]["late"] = 1
    dependencies["router_dependencies"]["later"] = 2
    assert handler.call(WS, MSG) == ({"late": 1}, {"later": 2})


# Callables


class Methods:
    def method(self, msg: str, ws: object) -> tuple[object, ...]:
        return (self, msg, ws)

    @classmethod
    def of_class(cls, msg: str, ws: object) -> tuple[object, ...]:
        return (cls, msg, ws)

    @staticmethod
    def static(msg: str, ws: object) -> tuple[object, ...]:
        return (msg, ws)


class PlainCallable:
    def __call__(self, msg: str, ws: object) -> tuple[object, ...]:
        return (msg, ws)


class AsyncCallable:
    async def __call__(self, msg: str, ws: object) -> tuple[object, ...]:
        await asyncio.sleep(0)
        return (msg, ws)


async def coroutine(msg: str, ws: object) -> tuple[object, ...]:
    await asyncio.sleep(0)
    return (msg, ws)


async def with_prefix(prefix: str, msg: str) -> str:
    return prefix + msg


def test_methods_of_every_kind_are_handlers() -> None:
    methods = Methods()
    assert call(methods.method) == (methods, MSG, WS)
    assert call(Methods.of_class) == (Methods, MSG, WS)
    assert call(methods.static) == (MSG, WS)


def test_callable_objects_are_handlers() -> None:
    assert call(PlainCallable()) == (MSG, WS)


def test_partial_functions_are_handlers() -> None:
    def handler(prefix: str, msg: str, suffix="") -> str:  # type: ignore[no-untyped-def]
        return f"{prefix}{msg}{suffix}"

    assert call(functools.partial(handler, "> ")) == "> hello"
    # What a partial gives, a client cannot, though it has an annotation.
    assert call(functools.partial(handler, prefix="> ")) == "> hello"
    assert call(functools.partial(handler, "> ", suffix="!")) == "> hello!"
    assert call(functools.partial(handler, "> ", msg="fixed")) == "> hello"


def test_a_wrapped_function_gets_what_it_asks_for() -> None:
    def logged(function: Function) -> Function:
        @functools.wraps(function)
        def wrapper(*args: object, **kw: object) -> object:
            return ("logged", function(*args, **kw))

        return wrapper

    assert call(logged(lambda msg, ws: (msg, ws))) == ("logged", (MSG, WS))
    assert call(logged(lambda *, msg, x=1: (msg, x))) == ("logged", (MSG, 1))


def test_a_generated_handler_takes_what_it_is_called_with() -> None:
    handler = bind(lambda ws, msg: (ws, msg), DEPENDENCIES, ())
    other = object()
    assert handler.call(other, b"binary") == (other, b"binary")


# async def


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (coroutine, (MSG, WS)),
        (AsyncCallable(), (MSG, WS)),
        (AsyncCallable().__call__, (MSG, WS)),
        (functools.partial(coroutine), (MSG, WS)),
        (functools.partial(AsyncCallable()), (MSG, WS)),
        (functools.partial(with_prefix, "> "), "> hello"),
        (functools.partial(with_prefix, prefix="> "), "> hello"),
    ],
)
def test_what_makes_coroutines_is_known_to(function: Function, expected: object) -> None:
    assert bind(function, DEPENDENCIES, ()).is_async
    assert call(function) == expected


def test_async_and_plain_handlers_raise_alike() -> None:
    def plain() -> None:
        raise KeyError("plain")

    async def later() -> None:
        await asyncio.sleep(0)
        raise KeyError("later")

    with pytest.raises(KeyError, match="plain"):
        call(plain)
    with pytest.raises(KeyError, match="later"):
        call(later)


def test_a_plain_handlers_awaitable_is_not_run() -> None:
    def handler() -> Awaitable[None]:
        return asyncio.sleep(0)

    result: Any = call(handler)
    with pytest.raises(HandlerError, match="not coroutine"):
        encode_result(result, APP, ENDPOINT)
    result.close()


# What a result is on the wire


class Text(str):
    __slots__ = ()


class Octets(bytes):
    __slots__ = ()


class Colour(str, enum.Enum):
    RED = "red"


class Counts(dict[str, int]):
    pass


class Numbers(list[int]):
    pass


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        ("text", frame(TEXT, b"text", mask=None)),
        ("", frame(TEXT, b"", mask=None)),
        ("ü✓", frame(TEXT, "ü✓".encode(), mask=None)),
        ("x" * 125, frame(TEXT, b"x" * 125, mask=None)),
        ("x" * 126, frame(TEXT, b"x" * 126, mask=None)),
        (b"x" * 65535, frame(BINARY, b"x" * 65535, mask=None)),
        (b"x" * 65536, frame(BINARY, b"x" * 65536, mask=None)),
        ("x" * 70000, frame(TEXT, b"x" * 70000, mask=None)),
        ("Connection closed", frame(TEXT, b"Connection closed", mask=None)),
        (Text("sub"), frame(TEXT, b"sub", mask=None)),
        (Colour.RED, frame(TEXT, b"red", mask=None)),
        (b"\x00\xff", frame(BINARY, b"\x00\xff", mask=None)),
        (b"", frame(BINARY, b"", mask=None)),
        (Octets(b"sub"), frame(BINARY, b"sub", mask=None)),
    ],
)
def test_a_message_is_text_or_binary_and_can_be_read_back(result: str | bytes, expected: bytes) -> None:
    payload = result.encode() if isinstance(result, str) else result
    assert (payload_of(expected), is_text(expected)) == (payload, isinstance(result, str))
    assert encode(result, JSON.dumps) == expected
    assert encode_result(result, APP, ENDPOINT) == expected


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        ({}, b"{}"),
        ({"a": [1, None, True]}, b'{"a": [1, null, true]}'),
        ([], b"[]"),
        ([1, "two"], b'[1, "two"]'),
        (Counts(a=1), b'{"a": 1}'),
        (Numbers([1]), b"[1]"),
        (["ü"], b'["\\u00fc"]'),
        (["\ud800"], b'["\\ud800"]'),
    ],
)
def test_dicts_and_lists_are_json_text(result: object, expected: bytes) -> None:
    assert encode_result(result, APP, ENDPOINT) == frame(TEXT, expected, mask=None)


class Shouting(DefaultJSONProvider):
    def dumps(self, obj: Any, **kw: Any) -> str:
        return super().dumps(obj, **kw).upper()


def test_json_is_written_by_the_applications_provider() -> None:
    app = flask.Flask("app")
    app.json = Shouting(app)
    assert encode_result({"a": 1}, app, ENDPOINT) == frame(TEXT, b'{"A": 1}', mask=None)


NOT_SENDABLE = [
    0,
    1,
    True,
    False,
    1.5,
    (),
    ("a", 200),
    {1},
    frozenset(),
    object(),
    bytearray(b"x"),
    memoryview(b"x"),
    len,
]


@pytest.mark.parametrize("result", NOT_SENDABLE)
def test_anything_else_is_a_handler_error_that_names_its_type(result: object) -> None:
    with pytest.raises(
        HandlerError, match=f"returns None, str, bytes, dict or list, not {type(result).__name__}$"
    ):
        encode_result(result, APP, ENDPOINT)


@pytest.mark.parametrize("message", [None, *NOT_SENDABLE])
def test_a_message_of_another_type_is_a_type_error_that_says_what_can_be_sent(message: Any) -> None:
    complaint = f"a message is str, bytes, dict or list, not {type(message).__name__}$"
    with pytest.raises(TypeError, match=complaint):
        encode(message, JSON.dumps)


@pytest.mark.parametrize("text", ["\ud800", "a\udfffb", "\udc80" * 200])
def test_a_lone_surrogate_is_no_text(text: str) -> None:
    with pytest.raises(UnicodeEncodeError):
        encode(text, JSON.dumps)
    with pytest.raises(UnicodeEncodeError):
        encode_result(text, APP, ENDPOINT)


@pytest.mark.parametrize("result", [{"a": object()}, [{1}], {(): 1}])
def test_what_json_cannot_say_is_json_s_error(result: object) -> None:
    with pytest.raises(TypeError):
        encode_result(result, APP, ENDPOINT)
