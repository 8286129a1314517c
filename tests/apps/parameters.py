"""Handlers with every kind of parameters, and what `ws` tells them."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from gws import QueryParams, WebSocket, WebSocketConnector, jsonify
from tests.apps.base import app, note, start

Dependencies = dict[str, object]

room = WebSocket(app, "/rooms/<name>/<int:seat>")
room.inject_global(signal="lit")


def known(name: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Make a function the message handler of an endpoint of its own."""

    def add(function: Callable[..., Any]) -> Callable[..., Any]:
        endpoint = WebSocket(app, f"/known/{name}/<name>/<int:seat>")
        endpoint.inject(bat="mobile")
        assert endpoint.on("message")(function) is function
        return function

    return add


@known("nothing")
def nothing() -> list[object]:
    return []


@known("only_ws")
def only_ws(ws: WebSocketConnector) -> list[object]:
    return [isinstance(ws, WebSocketConnector)]


@known("only_msg")
def only_msg(msg: str) -> list[object]:
    return [msg]


@known("swapped")
def swapped(msg: str, ws: WebSocketConnector) -> list[object]:
    return [msg, type(ws).__name__]


@known("everything")
def everything(
    seat: int,
    router_dependencies: Dependencies,
    name: str,
    global_dependencies: Dependencies,
    msg: str,
    ws: WebSocketConnector,
) -> list[object]:
    return [seat, router_dependencies, name, global_dependencies, msg, type(ws).__name__]


@known("by_keyword")
def by_keyword(*, ws: WebSocketConnector, msg: str, name: str) -> list[object]:
    return [msg, name]


@known("positional")
def positional(ws: WebSocketConnector, msg: str, /, name: str) -> list[object]:
    return [msg, name]


@known("with_default")
def with_default(ws: WebSocketConnector, msg: str, extra: int = 7, name: str | None = None) -> list[object]:
    return [msg, extra, name]


@known("open_ended")
def open_ended(msg: str, *args: object, **kwargs: object) -> list[object]:
    return [msg, list(args), kwargs]


@known("in_coroutine")
async def in_coroutine(seat: int, msg: str, *, router_dependencies: Dependencies) -> list[object]:
    return [seat, msg, router_dependencies]


class Caller:
    """Three handlers that are no functions."""

    def __call__(self, msg: str, name: str) -> list[object]:
        return [msg, name]

    def method(self, msg: str) -> list[object]:
        return ["method", msg]

    async def async_method(self, msg: str) -> list[object]:
        return ["async method", msg]


def with_more(more: str, msg: str) -> list[object]:
    return [more, msg]


# A bound method is another object each time that it is asked for.
method, async_method = Caller().method, Caller().async_method
known("method")(method)
known("async_method")(async_method)
known("instance")(Caller())
known("partial")(functools.partial(with_more, "more"))


def complaint(register: Callable[[], object]) -> list[str]:
    """Return the error that it raises."""
    try:
        register()
    except (TypeError, ValueError) as error:
        return [type(error).__name__, str(error)]
    return []


def with_unknown_parameter(ws: WebSocketConnector, message: str) -> None: ...


# "unknown" is in the message by the function's name.
with_unknown_parameter.__name__ = with_unknown_parameter.__qualname__ = "unknown"

COMPLAINTS = {
    "unknown parameter": complaint(lambda: room.on("message")(with_unknown_parameter)),
    "unknown event": complaint(lambda: room.on("error")),
    "not a function": complaint(lambda: room.on("message")(None)),  # type: ignore[type-var]
}


@app.get("/complaints")
def complaints() -> dict[str, list[str]]:
    return COMPLAINTS


facts = WebSocket(app, "/facts/<name>/<path:rest>")


@facts.on("message")
def tell(ws: WebSocketConnector) -> dict[str, object]:
    return {
        "id": ws.id,
        "headers": ws.headers.get("X-Signal"),
        "user agent": ws.headers.get("User-Agent"),
        "cookies": dict(ws.cookies),
        "remote_addr": ws.remote_addr,
        "path_params": dict(ws.path_params),
        "close_code": ws.close_code,
        "close_reason": ws.close_reason,
        "connector": isinstance(ws, WebSocketConnector),
        "repr": repr(ws).replace(ws.id, "<id>"),
    }


@facts.on("close")
def tell_end(ws: WebSocketConnector) -> None:
    signal = ws.headers.get("X-Signal")
    note(ws, ws.close_code, ws.close_reason, ws.path_params["name"], signal, ws.remote_addr)


stateful = WebSocket(app, "/stateful")


@stateful.on("connect")
def count_from_zero(ws: WebSocketConnector) -> None:
    assert ws.state == {}
    ws.state["count"] = 0


@stateful.on("message")
async def count(ws: WebSocketConnector) -> str:
    ws.state["count"] += 1
    return str(ws.state["count"])


@stateful.on("close")
def last_count(ws: WebSocketConnector) -> None:
    note(ws, ws.state["count"])


query = WebSocket(app, "/query")


@query.on("message")
def evaluate(ws: WebSocketConnector, msg: str) -> str:
    """Return the value of an expression in which `q` is the query."""
    q = ws.query_params
    assert isinstance(q, QueryParams)
    return jsonify(eval(msg))


last = WebSocket(app, "without_slash")


@last.on("message")
def first() -> str:
    return "the first"


@last.on("message")
def second() -> str:
    return "the last one wins"


dependent = WebSocket(app, "/dependent")


@dependent.on("message")
def dependencies(router_dependencies: Dependencies, global_dependencies: Dependencies) -> list[Dependencies]:
    return [router_dependencies, global_dependencies]


@dependent.on("connect")
def connect(global_dependencies: Dependencies, router_dependencies: Dependencies) -> list[Dependencies]:
    return [router_dependencies, global_dependencies]


dependent.inject(mobile="after on")


if __name__ == "__main__":
    start(app)
