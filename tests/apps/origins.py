"""An endpoint for the pages of some origins only."""

from __future__ import annotations

from gws import WebSocket
from tests.apps.base import app, start

websocket = WebSocket(app, "/web_socket", allowed_origins=["https://*.example", "https://app.other"])


@websocket.on("connect")
def connect() -> str:
    print("connected", flush=True)
    return "hello"


if __name__ == "__main__":
    start(app)
