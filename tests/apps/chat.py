"""A chat that any number of processes serve; `tests.support.cluster_client.Client` talks with it."""

from __future__ import annotations

import dataclasses
import json
import logging
import os
import time
from typing import Any

import flask
import gevent

from gws import WebSocket, WebSocketConnector
from gws.cluster.process import Phase, process
from gws.metrics import counters
from tests.apps.base import app as app
from tests.apps.base import start
from tests.apps.commands import Commands

logging.basicConfig(format="%(process)d %(message)s")
chat = WebSocket(app, "/chat", ping_interval=None)
commands = Commands()


@chat.on("connect")
def connect(ws: WebSocketConnector) -> dict[str, Any]:
    for room in ws.query_params.get_all("room") or []:
        ws.join(room)
    return {"answer": [ws.id, os.getpid()]}


@chat.on("message")
def obey(ws: WebSocketConnector, msg: str) -> dict[str, Any]:
    command, *arguments = json.loads(msg)
    return {"answer": commands[command](ws, *arguments)}


@commands("broadcast")
def do_broadcast(
    ws: WebSocketConnector, text: str, room: str | None = None, include_self: bool = True
) -> None:
    ws.sync_broadcast(text, room, include_self)


@app.get("/broadcast_behind_the_stop")
def broadcast_behind_the_stop() -> str:
    print("waits for the stop in", os.getpid(), flush=True)
    while process.phase is not Phase.OVER:
        gevent.sleep(0.01)
    chat.broadcast("behind the stop")
    return "sent"


@commands("burst")
def do_burst(ws: WebSocketConnector, name: str, count: int) -> None:
    for number in range(count):
        ws.sync_broadcast(f"{name} {number}")


@commands("join")
def do_join(ws: WebSocketConnector, room: str) -> None:
    ws.join(room)


@commands("leave")
def do_leave(ws: WebSocketConnector, room: str) -> None:
    ws.leave(room)


@commands("send_to")
def do_send_to(ws: WebSocketConnector, recipient: str, text: str) -> bool:
    return ws.sync_send_to(recipient, text)


@commands("close")
def do_close(ws: WebSocketConnector, recipient: str, code: int, reason: str) -> bool:
    return chat.close_connection(recipient, code, reason)


@commands("count")
def do_count(ws: WebSocketConnector, room: str | None = None) -> list[float]:
    """Return the count, and the seconds that it took."""
    began = time.monotonic()
    return [chat.count(room), time.monotonic() - began]


@commands("connections")
def do_connections(ws: WebSocketConnector, room: str | None = None) -> list[str]:
    return chat.connections(room)


@commands("state")
def do_state(ws: WebSocketConnector) -> dict[str, Any]:
    """Return whether the process is ready, and its counters of the backplane, without that word."""
    found = {
        name.removeprefix("backplane_"): count for name, count in counters.items() if "backplane" in name
    }
    return {"ready": chat.is_ready, **found}


@dataclasses.dataclass
class Stream:
    """Messages that are broadcast until somebody ends it."""

    sent: int = 0
    goes_on: bool = True


streams: dict[str, Stream] = {}


@commands("stream")
def do_stream(ws: WebSocketConnector, name: str, interval: float) -> None:
    stream = streams[name] = Stream()

    def run() -> None:
        while stream.goes_on:
            chat.broadcast(f"{name} {stream.sent}")
            stream.sent += 1
            gevent.sleep(interval)

    gevent.spawn(run)


@commands("end_stream")
def do_end_stream(ws: WebSocketConnector, name: str) -> int:
    streams[name].goes_on = False
    return streams[name].sent


@app.get("/broadcast/<text>")
def broadcast(text: str) -> str:
    chat.broadcast(text, flask.request.args.get("room"))
    return "done"


@app.get("/send_to/<recipient>/<text>")
def send_to(recipient: str, text: str) -> dict[str, bool]:
    return {"queued": chat.send_to(recipient, text)}


if __name__ == "__main__":
    start(app)
