"""Dicts sent through every door; the application's provider counts what it writes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import flask
import gevent
from flask.json.provider import DefaultJSONProvider

from gws import WebSocket, WebSocketConnector
from tests.apps.base import app, start


class Counting(DefaultJSONProvider):
    """Writes JSON, and marks and counts what was to go through a door."""

    written = 0

    def dumps(self, obj: Any, **options: Any) -> str:
        if "door" in obj:
            Counting.written += 1
            return super().dumps(obj | {"written": "by the application"}, **options)
        return super().dumps(obj, **options)


app.json = Counting(app)
blueprint = flask.Blueprint("blueprint", __name__)


@app.get("/written")
def written() -> str:
    return str(Counting.written)


def add_endpoints(parent: flask.Flask | flask.Blueprint, path: str, async_path: str) -> None:
    """Add an endpoint with a `def` handler, and one with an `async def` handler."""
    websocket = WebSocket(parent, path)
    asynchronous = WebSocket(parent, async_path)

    @websocket.on("message")
    def send(ws: WebSocketConnector, msg: str) -> None:
        document = {"door": msg}
        doors: dict[str, Callable[[], object]] = {
            "send": lambda: ws.send(document),
            "send a list": lambda: ws.send([1, "two", None]),
            "send text": lambda: ws.send("text"),
            "send bytes": lambda: ws.send(b"bytes"),
            "sync_send_to": lambda: ws.sync_send_to(ws.id, document),
            "sync_broadcast": lambda: ws.sync_broadcast(document),
            "websocket.send_to": lambda: websocket.send_to(ws.id, document),
            "websocket.broadcast": lambda: websocket.broadcast(document),
            "a thread": lambda: gevent.get_hub().threadpool.apply(websocket.broadcast, (document,)),
        }
        doors[msg]()

    @asynchronous.on("message")
    async def send_async(ws: WebSocketConnector, msg: str) -> None:
        document = {"door": msg}
        if msg == "async_send":
            await ws.async_send(document)
        elif msg == "async_send_to":
            await ws.async_send_to(ws.id, document)
        elif msg == "async_broadcast":
            await ws.async_broadcast(document)
        else:
            ws.send(document)


add_endpoints(app, "/web_socket", "/async")
add_endpoints(blueprint, "/blueprint", "/blueprint/async")
app.register_blueprint(blueprint)

early = WebSocket(app, "/early")


@early.on("connect")
def connect(ws: WebSocketConnector) -> dict[str, str]:
    ws.send({"door": "connect"})
    ws.sync_broadcast({"door": "broadcast"})
    return {"door": "return"}


if __name__ == "__main__":
    start(app)
