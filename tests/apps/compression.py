"""Endpoints that compress for each connection, for all at once, and not at all."""

from __future__ import annotations

from typing import Any

from gws import Compression, WebSocket, WebSocketConnector
from tests.apps.base import answer, app, note, start
from tests.apps.gate import make_gate

app.config["GWS_COMPRESSION"] = True
websocket = WebSocket(app, "/web_socket", max_message_size=4_000_000)
forgetful = WebSocket(app, "/forgetful", compression=Compression(server_no_context_takeover=True))
plain = WebSocket(app, "/plain", compression=False)
websocket.on("message")(answer)
plain.on("message")(answer)


@websocket.on("connect")
def connect(ws: WebSocketConnector) -> str | None:
    return "hello " * 100 if "greet" in ws.query_params else None


@websocket.on("close")
def close(ws: WebSocketConnector) -> None:
    note(ws, ws.close_code)


@forgetful.on("message")
def shout(ws: WebSocketConnector, msg: str) -> None:
    ws.sync_broadcast(msg)


busy = WebSocket(app, "/busy")
kept: list[WebSocketConnector] = []
go_on = make_gate()


@busy.on("connect")
def keep(ws: WebSocketConnector) -> None:
    kept.append(ws)


@busy.on("message")
def wait() -> None:
    go_on.wait()


@app.get("/kept")
def kept_compressors() -> str:
    connections: list[Any] = [ws._connection for ws in kept]
    return str([connection._deflater for connection in connections])


if __name__ == "__main__":
    start(app)
