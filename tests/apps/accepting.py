"""A connect handler that accepts, waits, and fails."""

from __future__ import annotations

from gevent.event import Event

from gws import WebSocket, WebSocketConnector
from tests.apps.base import app, start

websocket = WebSocket(app, "/web_socket")
go_on = Event()


@websocket.on("connect")
def connect(ws: WebSocketConnector) -> None:
    ws.accept()
    go_on.wait()
    raise ValueError("and yet")


@app.get("/go_on")
def let_go_on() -> str:
    go_on.set()
    return ""


if __name__ == "__main__":
    start(app)
