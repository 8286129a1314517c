"""Connect handlers that refuse, in every way that a view may answer."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable
from typing import Any

import flask
from werkzeug.exceptions import Unauthorized

from gws import WebSocket, WebSocketConnector
from gws.cluster.registry import registry
from tests.apps.base import answer, app, start

ANSWERS: dict[str, Callable[[], Any]] = {
    "a response": lambda: flask.Response("not you", 401, {"X-Why": "you"}),
    "a redirect": lambda: flask.redirect("/login"),
    "a tuple": lambda: ("no", 401),
    "a tuple with headers": lambda: ("no", 429, {"Retry-After": "5"}),
    "JSON": lambda: (flask.jsonify(error="no"), 402),
    "an exception": lambda: Unauthorized("returned"),
    "False": lambda: False,
    "a response of 200": lambda: flask.Response("no WebSocket"),
    "a 503": lambda: ("later", 503),
    "a tuple that is none": lambda: (),
    "abort": lambda: flask.abort(403),
}


def login_required(function: Callable[..., Any]) -> Callable[..., Any]:
    """Decorate as Flask-Login does."""

    @functools.wraps(function)
    def decorated(*args: Any, **kwargs: Any) -> Any:
        if "user" not in flask.request.args:
            return flask.redirect("/login")
        return function(*args, **kwargs)

    return decorated


def refuse(ws: WebSocketConnector) -> Any:
    """Do what a handler may do, and then refuse."""
    ws.join("room")
    ws.state["x"] = 1
    ws.sync_send_to(ws.id, "never seen")
    ws.sync_broadcast("never seen", room="room")
    if ws.query_params.get("accept"):
        ws.accept()
    return ANSWERS[ws.query_params.get("answer") or ""]()


async def refuse_async(ws: WebSocketConnector) -> Any:
    await asyncio.sleep(0)
    return refuse(ws)


ended: list[str] = []


def add_refusing_endpoint(path: str, handler: Callable[..., Any]) -> None:
    endpoint = WebSocket(app, path)
    endpoint.on("connect")(handler)
    endpoint.on("message")(answer)

    @endpoint.on("close")
    def close(ws: WebSocketConnector) -> None:
        ended.append(ws.id)


add_refusing_endpoint("/def", refuse)
add_refusing_endpoint("/async", refuse_async)

private = WebSocket(app, "/private")
private.on("message")(answer)


@private.on("connect")
@login_required
def welcome(ws: WebSocketConnector) -> str:
    return "welcome"


consenting = WebSocket(app, "/consenting")
consenting.on("message")(answer)


@consenting.on("connect")
def consent() -> bool:
    return True


@app.after_request
def mark(response: flask.Response) -> flask.Response:
    response.headers["X-After"] = "ran"
    return response


@app.get("/left")
def left() -> dict[str, int]:
    return {"rooms": len(registry._rooms), "ended": len(ended)}


if __name__ == "__main__":
    start(app)
