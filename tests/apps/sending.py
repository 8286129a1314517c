"""`send_to` and `broadcast` from handlers, views, greenlets and threads."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import gevent
from gevent import monkey

from gws import WebSocket, WebSocketConnector, jsonify
from tests.apps.base import app, start
from tests.apps.commands import Commands

native_thread = monkey.get_original("_thread", "start_new_thread")

room = WebSocket(app, "/room")
elsewhere = WebSocket(app, "/elsewhere")
aroom = WebSocket(app, "/async/room")
members: dict[str, WebSocketConnector] = {}


@room.on("connect")
@elsewhere.on("connect")
@aroom.on("connect")
def greet(ws: WebSocketConnector) -> str:
    members[ws.id] = ws
    return ws.id


@room.on("close")
@elsewhere.on("close")
def leave(ws: WebSocketConnector) -> None:
    members.pop(ws.id, None)


commands = Commands()
async_commands = Commands()


@room.on("message")
@elsewhere.on("message")
def obey(ws: WebSocketConnector, msg: str) -> Any:
    """Run a command with what is behind its name; another message is an echo."""
    name, _, argument = msg.partition(" ")
    return commands.run(name, ws, argument)


@aroom.on("message")
async def obey_async(ws: WebSocketConnector, msg: str) -> Any:
    name, _, argument = msg.partition(" ")
    return await async_commands[name](ws, argument)


@commands("to")
def send_to(ws: WebSocketConnector, recipient: str) -> list[bool]:
    return [ws.sync_send_to(recipient, "for you"), room.send_to(recipient, "for you")]


@async_commands("to")
async def send_to_async(ws: WebSocketConnector, recipient: str) -> list[bool]:
    return [await ws.async_send_to(recipient, "for you"), ws.sync_send_to(recipient, "for you")]


@commands("to-odd")
def send_to_odd_id(ws: WebSocketConnector, argument: str) -> list[bool]:
    """Send to the value of an expression, which may be no string."""
    recipient: Any = eval(argument, {"ws": ws})
    return [ws.sync_send_to(recipient, "x"), room.send_to(recipient, "x")]


@async_commands("to-odd")
async def send_to_odd_id_async(ws: WebSocketConnector, argument: str) -> list[bool]:
    recipient: Any = eval(argument, {"ws": ws})
    return [await ws.async_send_to(recipient, "x")]


@commands("broadcast")
def broadcast(ws: WebSocketConnector, text: str) -> str:
    ws.sync_broadcast(text)
    return "done"


@async_commands("broadcast")
async def broadcast_async(ws: WebSocketConnector, text: str) -> str:
    await ws.async_broadcast(text)
    return "done"


@commands("wrong")
def send_what_cannot_be_sent(ws: WebSocketConnector, argument: str) -> list[str]:
    """Return the complaints."""
    own, theirs = functools.partial(ws.sync_send_to, ws.id), functools.partial(room.send_to, "")
    doors: tuple[Callable[[Any], object], ...] = (own, ws.sync_broadcast, room.broadcast, theirs)
    values: tuple[Any, ...] = (5, None, set())
    complaints = []
    for send in doors:
        for wrong in values:
            try:
                send(wrong)
            except TypeError as error:
                complaints.append(str(error))
    return complaints


# From outside of handlers


@app.get("/announce/<text>")
def announce(text: str) -> str:
    return jsonify(room.broadcast(text))  # type: ignore[func-returns-value]


@app.get("/whisper/<id>/<text>")
def whisper(id: str, text: str) -> str:
    return jsonify(room.send_to(id, text))


@app.get("/by_ws/<id>/<other>")
def by_ws(id: str, other: str) -> str:
    ws = members[id]
    ws.sync_broadcast("by ws, to all")
    return jsonify(ws.sync_send_to(other, "by ws, to one"))


@app.get("/from_greenlet/<id>")
def from_greenlet(id: str) -> str:
    def send() -> bool:
        room.broadcast("from a greenlet, to all")
        return room.send_to(id, "from a greenlet, to one")

    return jsonify(gevent.spawn(send).get())


@app.get("/from_pool/<id>")
def from_pool(id: str) -> str:
    def send() -> list[bool]:
        room.broadcast("from a pool, to all")
        one = room.send_to(id, "from a pool, to one")
        return [one, members[id].sync_send_to(id, "by ws"), room.send_to("no", "")]

    return jsonify(gevent.get_hub().threadpool.apply(send))


@app.get("/from_threads/<int:count>/<int:threads>")
def from_threads(count: int, threads: int) -> str:
    def send(thread: int) -> None:
        for number in range(count):
            room.broadcast(f"{thread} {number}")

    for thread in range(threads):
        native_thread(send, (thread,))
    return ""


@app.get("/later")
def later() -> str:
    gevent.spawn_later(0.01, room.broadcast, "from a timer")
    return ""


if __name__ == "__main__":
    start(app)
