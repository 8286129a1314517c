"""An application that reads every body, logs slowly, and hears of exceptions with one of its own."""

from __future__ import annotations

import logging
from typing import Any

import flask
import gevent

from gws import WebSocket, WebSocketConnector
from tests.apps.base import app, note, start
from tests.apps.commands import Commands


class SlowLog(logging.Handler):
    """Takes its time for each record."""

    def emit(self, record: logging.LogRecord) -> None:
        gevent.sleep(0.2)


logging.getLogger("gws").addHandler(SlowLog())


@app.before_request
def read_the_body() -> None:
    flask.request.get_data()


@flask.got_request_exception.connect_via(app)
def fail_to_hear(sender: flask.Flask, **more: Any) -> None:
    raise RuntimeError("a receiver's own")


websocket = WebSocket(app, "/web_socket")
large = WebSocket(app, "/large", ping_interval=0.05, ping_timeout=10)
commands = Commands()


@websocket.on("connect")
def connect(ws: WebSocketConnector) -> None:
    if "accept" in ws.query_params:
        ws.accept()
        raise ValueError("after accept")


@websocket.on("message")
def message(ws: WebSocketConnector, msg: str) -> str:
    commands.run(msg, ws)
    return flask.request.get_data().decode() + str(ws.query_params.get("name"))


@commands("log")
def log(ws: WebSocketConnector) -> None:
    logging.getLogger("gws").warning("slowly")


@commands("rename")
def rename(ws: WebSocketConnector) -> None:
    ws.id = "mine"  # type: ignore[misc]


@commands("raise")
def fail(ws: WebSocketConnector) -> None:
    flask.g.leftover = True
    raise ValueError("raised")


@websocket.on("close")
def close(ws: WebSocketConnector) -> None:
    note(ws, ws.close_code, "leftover" in flask.g)


@large.on("connect")
def send_a_snapshot(ws: WebSocketConnector) -> str | None:
    if "snapshot" not in ws.query_params:
        return None
    for number in range(8):
        ws.sync_send_to(ws.id, str(number) * 500_000)
    return "end"


@large.on("message")
def send_much() -> bytes:
    return b"x" * 16_000_000


if __name__ == "__main__":
    start(app)
