"""Handlers that return what may be sent, and what may not."""

from __future__ import annotations

import asyncio

import flask

from gws import WebSocket, WebSocketConnector
from tests.apps.base import app, note, start


class Shout(str):
    """A string, and something more."""

    __slots__ = ()


RESULTS: dict[str, object] = {
    "none": None,
    "str": "text",
    "empty": "",
    "unicode": "Bruce \u2713 \U0001f987 \0",
    "str subclass": Shout("HA"),
    "bytes": b"\0\xff",
    "empty bytes": b"",
    "dict": {"who": "gordon", "n": [1, None]},
    "list": [1, "two"],
    "empty dict": {},
    "empty list": [],
    "large": "x" * 300_000,
    "int": 1,
    "zero": 0,
    "bool": True,
    "false": False,
    "float": 1.5,
    "tuple": ("a",),
    "object": object(),
    "surrogate": "\ud800",
    "unserialisable": [object()],
    "response": flask.Response("no"),
    "bytearray": bytearray(b"x"),
}

sync = WebSocket(app, "/sync")
asynchronous = WebSocket(app, "/async")


@sync.on("message")
def message(msg: str) -> object:
    return RESULTS[msg]


@asynchronous.on("message")
async def message_async(msg: str) -> object:
    await asyncio.sleep(0)
    return RESULTS[msg]


@sync.on("close")
@asynchronous.on("close")
def close(ws: WebSocketConnector) -> None:
    note(ws, ws.close_code)


order = WebSocket(app, "/order/sync")


@order.on("message")
def send_in_order(ws: WebSocketConnector, msg: str) -> str:
    ws.sync_send_to(ws.id, f"{msg} 1")
    ws.sync_broadcast(f"{msg} 2")
    ws.sync_send_to(ws.id, b"3")
    order.send_to(ws.id, f"{msg} 4")
    order.broadcast(f"{msg} 5")
    return f"{msg} 6"


order_async = WebSocket(app, "/order/async")


@order_async.on("message")
async def send_in_order_async(ws: WebSocketConnector, msg: str) -> str:
    await ws.async_send_to(ws.id, f"{msg} 1")
    await ws.async_broadcast(f"{msg} 2")
    await asyncio.sleep(0)
    await ws.async_send_to(ws.id, b"3")
    ws.sync_send_to(ws.id, f"{msg} 4")
    ws.sync_broadcast(f"{msg} 5")
    return f"{msg} 6"


whoever = WebSocket(app, "/binary")


@whoever.on("message")
def say_type(msg: str | bytes) -> str:
    return type(msg).__name__


connected = WebSocket(app, "/connected")


@connected.on("connect")
def greet() -> dict[str, str]:
    return {"hello": "you"}


@connected.on("message")
def leave(ws: WebSocketConnector) -> None:
    ws.close()


@connected.on("close")
async def wave() -> bytes:
    return b"bye"


if __name__ == "__main__":
    start(app)
