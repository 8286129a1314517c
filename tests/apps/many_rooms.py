"""Connections in very many rooms, and how long the hub is busy with them."""

from __future__ import annotations

import json
import time

import gevent
from gevent import monkey

from gws import WebSocket, WebSocketConnector
from gws.cluster.registry import registry
from gws.errors import TooManyRoomsError
from tests.apps.base import app, start, value
from tests.apps.gate import make_gate

native_thread = monkey.get_original("_thread", "start_new_thread")
chat = WebSocket(app, "/chat", ping_interval=None)
few = WebSocket(app, "/few", max_rooms=2)
members: dict[str, WebSocketConnector] = {}
go_on = make_gate()
if value("goes_on", False):
    go_on.set()


@chat.on("connect")
@few.on("connect")
def connect(ws: WebSocketConnector) -> str:
    members[ws.id] = ws
    return ws.id


def join_all(ws: WebSocketConnector, count: int) -> None:
    for number in range(count):
        ws.join(f"room {number}")


@chat.on("message")
async def obey(ws: WebSocketConnector, msg: str) -> dict[str, int]:
    what, count = json.loads(msg)
    assert what == "join"
    # In a coroutine it waits for nobody.
    join_all(ws, count)
    return {"rooms": len(ws.rooms)}


@chat.on("close")
def wait() -> None:
    go_on.wait()


@few.on("message")
def obey_few(ws: WebSocketConnector, msg: str) -> str | list[str]:
    what, room = json.loads(msg)
    try:
        getattr(ws, what)(room)
    except TooManyRoomsError as error:
        return str(error)
    return sorted(ws.rooms)


@app.get("/registered")
def registered() -> dict[str, int]:
    return {"rooms": len(registry._rooms)}


longest = [0.0]
"""Seconds for which callbacks and greenlets have kept the hub's thread busy, at most, before it looked for others."""


def watch() -> None:
    while True:
        began = time.thread_time()
        gevent.sleep(0.0005)
        longest[0] = max(longest[0], time.thread_time() - began)


gevent.spawn(watch)


@app.get("/busy")
def busy() -> dict[str, float]:
    before, longest[0] = longest[0], 0.0
    return {"longest": before}


@app.get("/overshoot/<id>/<int:count>")
def overshoot(id: str, count: int) -> str:
    """Have another thread join rooms, while the hub takes nothing."""
    done: list[bool] = []

    def join() -> None:
        join_all(members[id], count)
        done.append(True)

    native_thread(join, ())
    sleep = monkey.get_original("time", "sleep")
    while not done:
        sleep(0.001)
    return ""


@app.get("/end/<id>/<room>")
def end(id: str, room: str) -> dict[str, int]:
    """Close a connection, and look in the same turn of the hub, when most of its rooms have not been left yet."""
    ws = members[id]
    ws.close(4000, "enough")
    outbox = ws._connection.outbox
    heard = outbox.size
    chat.broadcast("too late", room=room)
    return {
        "rooms": len(ws.rooms),
        "count": chat.count(room),
        "left": len(registry._rooms),
        "queued": outbox.size - heard,
    }


if __name__ == "__main__":
    start(app)
