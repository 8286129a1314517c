"""A connect handler that waits until it may go on."""

from __future__ import annotations

from gws import WebSocket, WebSocketConnector
from tests.apps.base import app, start
from tests.apps.gate import make_gate

go_on = make_gate()
waiting = WebSocket(app, "/waiting")


@waiting.on("connect")
def connect() -> str:
    print("connect began", flush=True)
    go_on.wait()
    return "welcome"


@waiting.on("close")
def close(ws: WebSocketConnector) -> None:
    print("closed", ws.close_code, flush=True)


if __name__ == "__main__":
    start(app)
