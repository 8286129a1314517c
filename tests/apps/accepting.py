"""A connect handler that accepts, waits, and fails."""

from __future__ import annotations

from gws import WebSocket, WebSocketConnector
from tests.apps.base import app, start
from tests.apps.gate import make_gate

websocket = WebSocket(app, "/web_socket")
go_on = make_gate()


@websocket.on("connect")
def connect(ws: WebSocketConnector) -> None:
    ws.accept()
    go_on.wait()
    raise ValueError("and yet")


if __name__ == "__main__":
    start(app)
