"""What Flask does at each event: `g`, the context and its signals, for handlers and for the tasks that they leave."""

from __future__ import annotations

import asyncio
from typing import Any

import flask
from werkzeug.routing import BaseConverter

from gws import WebSocket
from tests.apps.base import app, start

pushed: list[int] = []
torn: list[str | None] = []
matched: list[str] = []
seen: list[list[Any]] = []
leftover: set[asyncio.Task[None]] = set()
go_on = asyncio.Event()


class Once(BaseConverter):
    """A converter that finds its database once for each value."""

    def to_python(self, value: str) -> str:
        """Return the value."""
        if value in matched:
            raise RuntimeError("no connection to the database")
        matched.append(value)
        return value


app.url_map.converters["once"] = Once
websocket = WebSocket(app, "/tasks")
silent = WebSocket(app, "/once/<once:name>")


@flask.appcontext_pushed.connect_via(app)
def greet(sender: flask.Flask, **more: Any) -> None:
    pushed.append(1)
    flask.g.greeted = "guido"


@app.teardown_appcontext
def tear_down(error: BaseException | None) -> None:
    torn.append(flask.g.get("mine"))


async def look_later() -> None:
    await go_on.wait()
    seen.append([flask.g.get("mine"), flask.g.get("greeted")])


@websocket.on("message")
async def message(msg: str) -> list[Any]:
    flask.g.mine = msg
    if msg == "leave a task":
        leftover.add(asyncio.ensure_future(look_later()))
    if msg == "go on":
        go_on.set()
        await asyncio.gather(*leftover)
    return [flask.g.greeted, seen]


@silent.on("message")
def answer(name: str) -> str:
    return name


@app.get("/counts")
def counts() -> dict[str, Any]:
    return {"torn": torn, "matched": matched}


if __name__ == "__main__":
    start(app)
