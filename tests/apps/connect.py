"""Connect handlers: they refuse, fail, wait, accept, and say something before their connection is open."""

from __future__ import annotations

import asyncio
import sys
import time

import flask
import gevent
from gevent.event import Event
from werkzeug.wrappers import Response

from gws import WebSocket, WebSocketConnector
from tests.apps.base import answer, app, note, start
from tests.apps.commands import Commands

room = WebSocket(app, "/room")
slow = WebSocket(app, "/slow", handshake_timeout=0.3)
slow_async = WebSocket(app, "/slow_async", handshake_timeout=0.3)
accepting = WebSocket(app, "/accepting", handshake_timeout=0.3)
private = WebSocket(app, "/private")
bare = WebSocket(app, "/bare")
listening = WebSocket(app, "/listening")
only_close = WebSocket(app, "/only_close")
login = WebSocket(app, "/login")


@app.before_request
def guard() -> Response | None:
    if flask.request.path == "/private":
        flask.abort(401)
    if flask.request.path == "/login":
        return flask.redirect("/elsewhere")
    return None


# One that does what its query asks for


@app.get("/room")
def page() -> str:
    return "the page of the room"


welcomes = Commands()


@room.on("connect")
def connect(ws: WebSocketConnector) -> object:
    return welcomes.run(ws.query_params.get("how") or "welcome", ws)


@welcomes("abort")
def abort(ws: WebSocketConnector) -> None:
    flask.abort(401)


@welcomes("value error")
def raise_value_error(ws: WebSocketConnector) -> None:
    raise ValueError("connect's own")


@welcomes("timeout")
def raise_timeout(ws: WebSocketConnector) -> None:
    raise gevent.Timeout(9)


@welcomes("system exit")
def exit_process(ws: WebSocketConnector) -> None:
    sys.exit("connect's own")


@welcomes("cancelled")
def raise_cancelled_error(ws: WebSocketConnector) -> None:
    raise asyncio.CancelledError


@welcomes("wrong type")
def return_a_number(ws: WebSocketConnector) -> int:
    return 5


@welcomes("say")
def say(ws: WebSocketConnector) -> str:
    ws.sync_send_to(ws.id, "one")
    ws.sync_broadcast("two")
    return "three"


sought = Event()
"""Set when somebody has tried to reach a connection whose connect handler runs."""


@welcomes("hide")
def hide(ws: WebSocketConnector) -> str:
    note(ws, ws.id)
    sought.wait(10)
    sought.clear()
    return "open"


@room.on("message")
def message(ws: WebSocketConnector, msg: str) -> str:
    if not msg.startswith("reach "):
        return msg
    id = msg.removeprefix("reach ")
    reached = ws.sync_send_to(id, "reached") or room.send_to(id, "reached")
    ws.sync_broadcast("to everybody")
    sought.set()
    return f"reached: {reached}"


@room.on("close")
def close(ws: WebSocketConnector) -> None:
    note(ws, "closed", ws.close_code)


# Those that take too long


@slow.on("connect")
def wait() -> None:
    time.sleep(20)


@slow_async.on("connect")
async def wait_async(ws: WebSocketConnector) -> None:
    try:
        await asyncio.sleep(20)
    except asyncio.CancelledError:
        note(ws, "cancelled")
        raise


# One that accepts


@accepting.on("connect")
def accept(ws: WebSocketConnector) -> str:
    ws.sync_send_to(ws.id, "before")
    ws.accept()
    ws.accept()
    how = ws.query_params.get("how")
    if how == "raise":
        raise ValueError("after accepting")
    if how == "abort":
        flask.abort(403)
    time.sleep(0.5)
    ws.sync_send_to(ws.id, "after")
    return "connected"


accepting.on("message")(answer)


@accepting.on("close")
def close_accepted(ws: WebSocketConnector) -> None:
    note(ws, "closed", ws.close_code)


# Those with one handler


@listening.on("message")
def listen(ws: WebSocketConnector, msg: str) -> None:
    note(ws, msg)


@only_close.on("close")
def say_bye(ws: WebSocketConnector) -> str:
    note(ws, "closed", ws.close_code)
    return "bye"


if __name__ == "__main__":
    start(app)
