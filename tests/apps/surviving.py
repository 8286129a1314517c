"""What many tests attack, and what survives them all; `tests.support.case` looks at what it prints."""

from __future__ import annotations

import logging

import gevent

from gws import WebSocket, WebSocketConnector
from tests.apps.base import answer, app, start
from tests.apps.gate import make_gate

logging.basicConfig(level=logging.INFO)
app.config.setdefault("GWS_CLOSE_TIMEOUT", 1.0)
go_on = make_gate(stays_open=False)
broadcasting: list[gevent.Greenlet[[], None]] = []


def endpoint(path: str) -> WebSocket:
    """Return an endpoint that prints how its connections end."""
    websocket = WebSocket(app, path)

    @websocket.on("close")
    def close(ws: WebSocketConnector) -> None:
        print("closed", ws.query_params.get("tag"), ws.close_code, ws.close_reason, flush=True)

    return websocket


endpoint("/web_socket").on("message")(answer)
crowd = endpoint("/crowd")
waiting = endpoint("/waiting")
leaving = endpoint("/leaving")
counting = endpoint("/counting")
closing = endpoint("/closing")


@waiting.on("message")
def wait(ws: WebSocketConnector) -> str:
    print("waits", ws.query_params.get("tag"), flush=True)
    go_on.wait()
    return "waited"


@leaving.on("close")
def wait_to_leave(ws: WebSocketConnector) -> str:
    print("leaves", ws.query_params.get("tag"), flush=True)
    go_on.wait()
    print("closed", ws.query_params.get("tag"), ws.close_code, flush=True)
    return "left"


@counting.on("message")
def count(ws: WebSocketConnector, msg: str) -> str | None:
    if msg:
        return str(ws.state.get("count", 0))
    ws.state["count"] = ws.state.get("count", 0) + 1
    return None


@closing.on("message")
def close_now(ws: WebSocketConnector) -> str:
    ws.close(4000, "enough")
    return "last words"


@crowd.on("message")
def shout(ws: WebSocketConnector, msg: str) -> None:
    ws.sync_broadcast(msg)


@app.get("/broadcast/begin")
def begin() -> str:
    def send() -> None:
        number = 0
        while broadcasting:
            crowd.broadcast(str(number))
            number += 1
            gevent.sleep(0.001)
        crowd.broadcast("end")

    broadcasting.append(gevent.spawn(send))
    return ""


@app.get("/broadcast/end")
def end() -> str:
    broadcasting.pop().join()
    return ""


if __name__ == "__main__":
    start(app)
