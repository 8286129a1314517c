"""An application that reads the body of every request before it is handled."""

from __future__ import annotations

import flask

from gws import WebSocket
from tests.apps.base import answer, app, start

websocket = WebSocket(app, "/web_socket")
websocket.on("message")(answer)


@app.before_request
def read() -> None:
    flask.g.read = flask.request.get_data()


@websocket.on("connect")
def connect() -> str:
    return f"read {flask.g.read}"


if __name__ == "__main__":
    start(app)
