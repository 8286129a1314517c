"""Endpoints that speak subprotocols, must speak one, and speak none."""

from __future__ import annotations

from gws import WebSocket, WebSocketConnector
from tests.apps.base import app, start

NAMES = ["chat.v2", "chat.v1"]

chat = WebSocket(app, "/web_socket", subprotocols=NAMES)
strict = WebSocket(app, "/strict", subprotocols=NAMES, require_subprotocol=True)
none = WebSocket(app, "/none")


@chat.on("connect")
@strict.on("connect")
@none.on("connect")
def connect(ws: WebSocketConnector) -> str:
    return f"{ws.subprotocol}"


if __name__ == "__main__":
    start(app)
