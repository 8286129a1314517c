"""Rooms of one process: joined, left and spoken to from handlers, views, greenlets and threads."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import flask
import gevent

from gws import WebSocket, WebSocketConnector
from gws.cluster.registry import registry
from tests.apps.base import app, note, start
from tests.apps.commands import Commands
from tests.apps.gate import make_gate

app.config["GWS_CLOSE_TIMEOUT"] = 1.0
chat = WebSocket(app, "/chat", handshake_timeout=2, max_outbox_size=1024 * 1024)
lobby = WebSocket(app, "/lobby")
short = WebSocket(app, "/short", handshake_timeout=0.3)
house = WebSocket(app, "/house/<floor>/<int:number>")
async_chat = WebSocket(app, "/async_chat")
members: dict[str, WebSocketConnector] = {}
go_on = make_gate(stays_open=False)


# Connecting: to the rooms of the query, and as the query says

welcomes = Commands()


@chat.on("connect")
@lobby.on("connect")
@short.on("connect")
@house.on("connect")
@async_chat.on("connect")
def connect(ws: WebSocketConnector) -> str:
    for room in ws.query_params.get_all("room") or []:
        ws.join(room)
    welcomes.run(ws.query_params.get("how") or "", ws)
    members[ws.id] = ws
    return ws.id


@welcomes("abort")
def abort(ws: WebSocketConnector) -> None:
    flask.abort(401)


@welcomes("raise")
def fail(ws: WebSocketConnector) -> None:
    raise ValueError("connect's own")


@welcomes("late")
def come_late(ws: WebSocketConnector) -> None:
    time.sleep(20)


@welcomes("wait")
def wait(ws: WebSocketConnector) -> None:
    ws.sync_broadcast("while it connects", "ops")
    note(ws, ws.id)
    go_on.wait()


@welcomes("accept")
def accept(ws: WebSocketConnector) -> None:
    ws.accept()
    note(ws, ws.id)
    go_on.wait()


# Messages: a command, and what it is for

commands = Commands()


@chat.on("message")
@lobby.on("message")
@short.on("message")
@house.on("message")
def obey(ws: WebSocketConnector, msg: str) -> list[str]:
    """Run a command; the answer is the command's own or, if it has none, the rooms."""
    what, _, argument = msg.partition(" ")
    answer = commands.run(what, ws, argument)
    return answer if isinstance(answer, list) else sorted(ws.rooms)


@commands("join")
def join_twice(ws: WebSocketConnector, room: str) -> None:
    ws.join(room)
    ws.join(room)


@commands("leave")
def leave_twice(ws: WebSocketConnector, room: str) -> None:
    ws.leave(room)
    ws.leave(room)


@commands("broadcast")
def broadcast(ws: WebSocketConnector, argument: str) -> None:
    room, text, include_self = json.loads(argument)
    ws.sync_broadcast(text, room, include_self=include_self)


@commands("wrong")
def name_no_rooms(ws: WebSocketConnector, argument: str) -> list[str]:
    """Return the complaints about what is no name of a room."""
    values: tuple[Any, ...] = (5, b"ops", ["ops"], "x" * 1025, "ü" * 513)
    calls: tuple[Callable[[Any], object], ...] = (ws.join, lambda room: ws.sync_broadcast("x", room))
    complaints = []
    for value in values:
        for call in calls:
            try:
                call(value)
            except (TypeError, ValueError) as error:
                complaints.append(type(error).__name__)
    return complaints


@commands("close")
def close_and_join(ws: WebSocketConnector, argument: str) -> None:
    ws.close()
    ws.join("too late")
    note(ws, "after close", sorted(ws.rooms))


@async_chat.on("message")
async def obey_async(ws: WebSocketConnector, msg: str) -> list[str]:
    what, _, argument = msg.partition(" ")
    if what == "join":
        ws.join(argument)
    elif what == "leave":
        ws.leave(argument)
    elif what == "broadcast":
        room, text, include_self = json.loads(argument)
        await ws.async_broadcast(text, room, include_self=include_self)
    return sorted(ws.rooms)


@chat.on("close")
@lobby.on("close")
@short.on("close")
@house.on("close")
@async_chat.on("close")
def close(ws: WebSocketConnector) -> None:
    members.pop(ws.id, None)
    if last_words := ws.query_params.get("last_words"):
        ws.sync_broadcast(last_words, "ops")
    ws.join("after the end")
    note(ws, "closed", sorted(ws.rooms))


# From outside of handlers


@app.get("/rooms")
def rooms() -> list[str]:
    return sorted(
        f"{endpoint.name} {room} {len(there)}" for (endpoint, room), there in registry._rooms.items()
    )


@app.post("/broadcast/<how>")
def broadcast_from(how: str) -> str:
    arguments = flask.request.get_json()
    if how == "view":
        chat.broadcast(*arguments)
    elif how == "greenlet":
        gevent.spawn(chat.broadcast, *arguments).join()
    else:
        gevent.get_hub().threadpool.apply(chat.broadcast, arguments)
    return ""


@app.post("/wrong")
def broadcast_wrongly() -> list[str]:
    """Return the complaints."""
    wrong: tuple[tuple[Any, ...], ...] = (
        ("x", 5),
        ("x", b"ops"),
        ("x", "x" * 1025),
        (5, "ops"),
        ("x", "ops", ["x"] * 256),
    )
    complaints = []
    for arguments in wrong:
        try:
            chat.broadcast(*arguments)
        except (TypeError, ValueError) as error:
            complaints.append(type(error).__name__)
    return complaints


@app.post("/from_thread/<id>/<what>/<room>")
def from_thread(id: str, what: str, room: str) -> str:
    gevent.get_hub().threadpool.apply(getattr(members[id], what), (room,))
    return ""


@app.post("/from_view/<id>/<what>/<room>")
def from_view(id: str, what: str, room: str) -> list[str]:
    ws = members[id]
    getattr(ws, what)(room)
    return sorted(ws.rooms)


@app.post("/kill/<id>")
def kill(id: str) -> str:
    members[id]._connection.abort()
    return ""


@app.post("/churn/<id>")
def churn(id: str) -> str:
    """Join and leave as many rooms as the request says."""
    ws = members[id]
    for number in range(flask.request.get_json()):
        ws.join(f"room {number}")
        ws.leave(f"room {number}")
        if number % 1000 == 0:
            gevent.sleep(0)
    return ""


if __name__ == "__main__":
    start(app)
