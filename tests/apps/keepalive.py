"""Endpoints that ping, each at a pace of its own."""

from __future__ import annotations

import time

from gws import WebSocket, WebSocketConnector
from tests.apps.base import answer, app, note, start

lively = WebSocket(app, "/lively", ping_interval=0.2, ping_timeout=0.2)
tolerant = WebSocket(app, "/tolerant", ping_interval=0.2, ping_timeout=5)
silent = WebSocket(app, "/silent", ping_interval=None, ping_timeout=0.1)
strict = WebSocket(app, "/strict", ping_interval=0.5, ping_timeout=0.1)
for websocket in lively, tolerant, silent, strict:
    websocket.on("message")(answer)


@lively.on("close")
@tolerant.on("close")
@silent.on("close")
@strict.on("close")
def close(ws: WebSocketConnector) -> None:
    note(ws, ws.close_code, ws.close_reason)


blocking = WebSocket(app, "/blocking", ping_interval=0.1, ping_timeout=0.1)


@blocking.on("message")
def wait_for_end(ws: WebSocketConnector) -> None:
    end = time.monotonic() + 10
    while ws.close_code is None and time.monotonic() < end:
        time.sleep(0.01)
    note(ws, ws.close_code, ws.close_reason)


if __name__ == "__main__":
    start(app)
