"""An `async def` handler for messages that come many at a time."""

from __future__ import annotations

import asyncio
import contextvars

import flask

from gws import WebSocket, WebSocketConnector
from tests.apps.base import app, note, start
from tests.apps.commands import Commands

number = contextvars.ContextVar("number", default=0)
websocket = WebSocket(app, "/web_socket")
commands = Commands()


@websocket.on("message")
async def message(ws: WebSocketConnector, msg: str) -> str:
    leftover = "leftover" in flask.g
    flask.g.leftover = True
    note(ws, msg, leftover)
    if msg.startswith("large"):
        return msg * 20_000
    answer = commands.run(msg, ws)
    return str(answer if isinstance(answer, str) else await answer)


@commands("raise")
async def fail(ws: WebSocketConnector) -> None:
    raise ValueError("raised")


@commands("cancel")
async def cancel(ws: WebSocketConnector) -> None:
    task = asyncio.current_task()
    assert task
    task.cancel()
    await asyncio.sleep(1)


@commands("close")
async def leave(ws: WebSocketConnector) -> str:
    ws.close(4000, "enough")
    return "last words"


@commands("sleep")
async def sleep(ws: WebSocketConnector) -> str:
    await asyncio.sleep(0.05)
    return "sleep"


@commands("count")
async def count(ws: WebSocketConnector) -> str:
    number.set(number.get() + 1)
    return str(number.get())


@websocket.on("close")
async def close(ws: WebSocketConnector) -> None:
    note(ws, "closed", ws.close_code)


if __name__ == "__main__":
    start(app)
