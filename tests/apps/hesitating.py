"""A connect handler that waits until it may go on."""

from __future__ import annotations

from gevent.event import Event

from gws import WebSocket, WebSocketConnector
from tests.apps.base import app, start

go_on = Event()
waiting = WebSocket(app, "/waiting")


@waiting.on("connect")
def connect() -> str:
    print("connect began", flush=True)
    go_on.wait()
    return "welcome"


@waiting.on("close")
def close(ws: WebSocketConnector) -> None:
    print("closed", ws.close_code, flush=True)


@app.get("/go_on")
def let_go_on() -> str:
    go_on.set()
    return ""


if __name__ == "__main__":
    start(app)
