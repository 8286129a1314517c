"""A coroutine that goes on when its client has left."""

from __future__ import annotations

import asyncio

from gws import WebSocket, WebSocketConnector
from tests.apps.base import app, note, start

websocket = WebSocket(app, "/web_socket")


@websocket.on("message")
async def message(ws: WebSocketConnector) -> None:
    note(ws, "begun")
    await asyncio.sleep(0.2)
    note(ws, "ended", ws.close_code, await ws.async_send_to(ws.id, "nobody hears this"))


@websocket.on("close")
async def close(ws: WebSocketConnector) -> None:
    note(ws, "closed", ws.close_code)


if __name__ == "__main__":
    start(app)
