"""A client that floods, and handlers that only yield; how far they are can be asked."""

from __future__ import annotations

import asyncio

import gevent

from gws import WebSocket, WebSocketConnector
from tests.apps.base import app, start

handled = [0]
flood = WebSocket(app, "/flood")
counting = WebSocket(app, "/handled_so_far")


@flood.on("message")
def count() -> None:
    handled[0] += 1


@counting.on("message")
def tell() -> str:
    return str(handled[0])


@app.get("/handled")
def get_handled() -> str:
    return str(handled[0])


turns = [0]
spinning = WebSocket(app, "/spin")
greenlet_spinning = WebSocket(app, "/spin_greenlet")


@spinning.on("message")
async def spin(ws: WebSocketConnector) -> None:
    while ws.close_code is None:
        turns[0] += 1
        await asyncio.sleep(0)


@greenlet_spinning.on("message")
def spin_greenlet(ws: WebSocketConnector) -> None:
    while ws.close_code is None:
        turns[0] += 1
        gevent.sleep(0)


@app.get("/turns")
def get_turns() -> str:
    return str(turns[0])


if __name__ == "__main__":
    start(app)
