"""An endpoint all of whose clients are in one room, with a backplane of its own."""

from __future__ import annotations

from gws import WebSocket, WebSocketConnector
from tests.apps.base import app, start, value

backplane: str | None = value("backplane", None)
chat = WebSocket(app, "/chat", backplane=backplane)


@chat.on("connect")
def connect(ws: WebSocketConnector) -> str:
    ws.join("ops")
    return ws.id


if __name__ == "__main__":
    start(app)
