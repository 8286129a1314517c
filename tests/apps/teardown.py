"""A teardown function that waits, and one that fails where a handler asks for it."""

from __future__ import annotations

import asyncio
import contextvars
from typing import Any

import flask
import gevent

from gws import WebSocket
from tests.apps.base import app, start

count = contextvars.ContextVar("count", default=0)
websocket = WebSocket(app, "/web_socket")
tasks: set[asyncio.Task[Any] | None] = set()
torn: list[list[str | None]] = []


@app.teardown_appcontext
def tear_down(error: BaseException | None) -> None:
    # As a database's driver does, which gives its connection back.
    gevent.sleep(0.001)
    torn.append([flask.g.pop("mine", None), repr(error)])
    if flask.g.get("fails"):
        raise RuntimeError("no connection to the database")


@websocket.on("message")
async def message(msg: str) -> list[Any]:
    await asyncio.sleep(0)
    count.set(count.get() + 1)
    tasks.add(asyncio.current_task())
    before = sorted(flask.g)
    flask.g.mine = msg
    if msg == "raise":
        raise ValueError("a handler's own")
    return [msg, count.get(), before, len(tasks), flask.request.path]


@app.get("/torn")
def read_torn() -> list[list[str | None]]:
    return torn


failing = WebSocket(app, "/failing")


@failing.on("message")
def answer_and_fail(msg: str) -> str:
    flask.g.fails = msg == "fail"
    return msg


@failing.on("close")
def fail() -> None:
    flask.g.fails = True


if __name__ == "__main__":
    start(app)
