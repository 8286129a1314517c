"""Handlers that use Flask: the request, the session, `g`, and functions before and after."""

from __future__ import annotations

import asyncio
import collections
import json
from collections.abc import Awaitable, Callable

import flask

from gws import WebSocket, WebSocketConnector
from tests.apps.base import app, note, start
from tests.apps.commands import Commands

torn: collections.Counter[str | None] = collections.Counter()


@app.teardown_appcontext
def tear_down(error: BaseException | None) -> None:
    torn[flask.g.get("key")] += 1


@app.teardown_request
def tear_down_request(error: BaseException | None) -> None:
    torn[flask.request.args.get("notes", "others") + " request"] += 1
    if error is not None:
        torn[flask.request.args["notes"] + " " + type(error).__name__] += 1


@app.get("/torn/<key>")
def read_torn(key: str) -> dict[str, int]:
    return {name: count for name, count in torn.items() if name and name.startswith(key)}


@app.before_request
def before() -> None:
    flask.g.before = flask.request.path


@app.get("/login/<name>")
def login(name: str) -> str:
    flask.session["name"] = name
    return "welcome"


@app.get("/named/<name>", endpoint="named")
def named(name: str) -> str:
    return name


def connect(ws: WebSocketConnector) -> str:
    flask.g.key = ws.query_params.get("notes")
    if "session" in ws.query_params:
        flask.session["count"] = flask.session.get("count", 0) + 1
    return f"{flask.g.before} {flask.session.get('name')} {flask.session.get('count')}"


commands = Commands()


def message(ws: WebSocketConnector, msg: str) -> str:
    return str(commands.run(msg, ws))


async def message_async(ws: WebSocketConnector, msg: str) -> str:
    await asyncio.sleep(0)
    return message(ws, msg)


@commands("raise")
def fail(ws: WebSocketConnector) -> None:
    flask.g.key = ws.query_params.get("notes")
    raise ValueError("a handler's own")


@commands("g")
def use_g(ws: WebSocketConnector) -> str:
    before = sorted(flask.g)
    flask.g.mine = "g"
    return json.dumps([before, flask.g.get("mine")])


@commands("tell")
def tell(ws: WebSocketConnector) -> str:
    flask.g.key = ws.query_params.get("notes")
    request = flask.request
    return json.dumps(
        [
            request.path,
            request.args.get("word"),
            request.headers["X-Signal"],
            request.cookies.get("cookie"),
            request.remote_addr,
            flask.session.get("name"),
            flask.current_app.name,
            flask.url_for("named", name="bruce"),
            dict(request.view_args or {}),
        ]
    )


def close(ws: WebSocketConnector) -> str | None:
    flask.g.key = ws.query_params.get("notes")
    note(ws, ws.close_code, flask.request.path, flask.session.get("name"))
    return flask.request.args.get("word")


def add_endpoint(path: str, handler: Callable[[WebSocketConnector, str], str | Awaitable[str]]) -> None:
    websocket = WebSocket(app, path)
    websocket.on("connect")(connect)
    websocket.on("message")(handler)
    websocket.on("close")(close)


add_endpoint("/sync/<seat>", message)
add_endpoint("/async/<seat>", message_async)


if __name__ == "__main__":
    start(app)
