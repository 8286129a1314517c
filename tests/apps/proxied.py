"""The conversation's application, and what tells how a request looks that came through a proxy."""

from __future__ import annotations

import flask

from gws import WebSocket, WebSocketConnector
from tests.apps.base import answer, start
from tests.apps.conversation import app


@app.get("/seen")
def see_request() -> list[str | None]:
    return [flask.request.remote_addr, flask.request.host_url]


seen = WebSocket(app, "/seen/ws")


@seen.on("connect")
def see(ws: WebSocketConnector) -> list[str | None]:
    return [ws.remote_addr, flask.request.host_url]


members = WebSocket(app, "/members")


@members.on("connect")
def refuse() -> None:
    flask.abort(401)


@app.post("/length")
def length() -> str:
    return str(len(flask.request.data))


WebSocket(app, "/lively", ping_interval=0.1).on("message")(answer)
WebSocket(app, "/silent", ping_interval=None).on("message")(answer)


if __name__ == "__main__":
    start(app)
