"""What reads the heads of requests: two endpoints, and views that have been called, and that count cookies."""

from __future__ import annotations

import flask

from gws import WebSocket
from tests.apps.base import app, start

web_socket = WebSocket(app, "/web_socket")
speaking = WebSocket(app, "/speaking", subprotocols=["chat"], compression=True)


@app.get("/agent")
def agent() -> str:
    return "seen"


@app.get("/cookies")
def cookies() -> str:
    return str(len(flask.request.cookies))


if __name__ == "__main__":
    start(app)
