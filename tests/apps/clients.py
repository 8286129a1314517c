"""Endpoints for clients of other people: for messages as large as may be, and for long pings."""

from __future__ import annotations

import time

from gws import WebSocket, WebSocketConnector
from tests.apps.base import app, note, start, value

LARGEST = value("largest", 1024 * 1024)
websocket = WebSocket(
    app, "/web_socket", max_message_size=LARGEST, max_outbox_size=LARGEST + 1024 * 1024, compression=True
)
pinged = WebSocket(app, "/pinged", ping_interval=0.1, ping_timeout=1)


@app.get("/page")
def page() -> str:
    return "<!doctype html>"


@websocket.on("message")
def message(ws: WebSocketConnector, msg: str | bytes) -> str | bytes | None:
    if msg == "close me":
        ws.close(4001, "as you wish")
        return None
    return msg


@websocket.on("close")
def close(ws: WebSocketConnector) -> None:
    note(ws, ws.close_code, ws.close_reason)


@pinged.on("message")
def outlive_pings(ws: WebSocketConnector) -> str:
    # Who answers none is lost before.
    end = time.monotonic() + 1.4
    while ws.close_code is None and time.monotonic() < end:
        time.sleep(0.01)
    return "alive"


if __name__ == "__main__":
    start(app)
