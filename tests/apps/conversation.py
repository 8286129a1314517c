"""What `tests.support.conversation` talks with; it prints how its connections end."""

from __future__ import annotations

import os
import time
from typing import Any

from gevent import monkey

from gws import WebSocket, WebSocketConnector
from tests.apps.base import app as app
from tests.apps.base import start
from tests.apps.commands import Commands

websocket = WebSocket(app, "/web_socket")
stuck = WebSocket(app, "/stuck")
commands = Commands()


@websocket.on("connect")
def connect(ws: WebSocketConnector) -> str | None:
    return f"welcome to {os.getpid()}" if "pid" in ws.query_params else None


@websocket.on("message")
def message(ws: WebSocketConnector, msg: str | bytes) -> Any:
    """Run a command; another message is an echo."""
    if isinstance(msg, bytes):
        return msg
    if msg.startswith("be busy until "):
        return be_busy(msg.removeprefix("be busy until "))
    return commands.run(msg, ws)


@commands("close me")
def close_as_asked(ws: WebSocketConnector) -> str:
    ws.close(4001, "as you wish")
    return "closing"


@commands("who am I?")
def tell_who(ws: WebSocketConnector) -> list[str | None]:
    return [ws.remote_addr, ws.headers["Host"], ws.id]


@commands("interrupt")
def interrupt(ws: WebSocketConnector) -> None:
    raise KeyboardInterrupt


def be_busy(file: str) -> str:
    """Keep the hub from running until there is a file of this name."""
    sleep = monkey.get_original("time", "sleep")
    print("busy", flush=True)
    while not os.path.exists(file):
        sleep(0.01)
    return "no longer busy"


@stuck.on("message")
def sleep_long() -> None:
    print("stuck", flush=True)
    time.sleep(60)


@websocket.on("close")
@stuck.on("close")
def close(ws: WebSocketConnector) -> None:
    # In one write, for two workers write to one file.
    print(f"closed {ws.close_code} {ws.close_reason}", flush=True)


@app.get("/hello")
def hello() -> str:
    return "hello"


if __name__ == "__main__":
    start(app)
