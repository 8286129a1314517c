"""Who is connected, asked from everywhere: handlers, views, greenlets, threads, loops and the hub's callbacks."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from typing import Any

import flask
import gevent
from gevent.event import AsyncResult

from gws import WebSocket, WebSocketConnector
from tests.apps.base import app, start

chat = WebSocket(app, "/chat", ping_interval=None)
lobby = WebSocket(app, "/lobby", ping_interval=None)


@chat.on("connect")
@lobby.on("connect")
def connect(ws: WebSocketConnector) -> str:
    for room in ws.query_params.get_all("room") or []:
        ws.join(room)
    return ws.id


def look(room: str | None) -> list[Any]:
    """Return who is there, how many they are, and the seconds that both took."""
    began = time.monotonic()
    return [sorted(chat.connections(room)), chat.count(room), time.monotonic() - began]


async def look_async(room: str | None) -> list[Any]:
    began = time.monotonic()
    return [
        sorted(await chat.async_connections(room)),
        await chat.async_count(room),
        time.monotonic() - began,
    ]


@chat.on("message")
def message(msg: str) -> list[Any]:
    return look(json.loads(msg))


@lobby.on("message")
async def message_async(msg: str) -> Any:
    how, room = json.loads(msg)
    if how == "thread":
        return await asyncio.to_thread(look, room)
    if how == "directly":
        return complain(room)
    if how == "impatient":
        try:
            return await asyncio.wait_for(chat.async_count(room), 0.2)
        except asyncio.TimeoutError:
            return "late"
    return await look_async(room)


# Where it may not be asked so


def complain(room: str | None) -> list[Any]:
    """Return the complaints, or the answers."""
    asks: tuple[Callable[[str | None], object], ...] = (chat.connections, chat.count)
    complaints: list[Any] = []
    for ask in asks:
        try:
            complaints.append(ask(room))
        except Exception as error:  # noqa: BLE001
            complaints.append(f"{type(error).__name__}: {error}")
    return complaints


async def complain_async() -> list[Any]:
    # While others of this native thread have the hub.
    await asyncio.sleep(0.01)
    return complain(None)


def complain_in_callback() -> list[Any]:
    done: AsyncResult[list[Any]] = AsyncResult()
    gevent.get_hub().loop.run_callback(lambda: done.set(complain(None)))
    return list(done.get() or [])


@app.get("/complaints/<how>")
def complaints(how: str) -> list[Any]:
    if how == "callback":
        return complain_in_callback()
    if how == "asyncio":
        return asyncio.run(complain_async())
    assert how == "asyncio in a thread"
    return list(gevent.get_hub().threadpool.apply(asyncio.run, (complain_async(),)))


@app.get("/wrong")
def wrong() -> list[str]:
    """Return the complaints about what is no name of a room."""
    asks: tuple[Callable[[Any], object], ...] = (chat.connections, chat.count)
    values: tuple[Any, ...] = (5, b"ops", "x" * 1025)
    complaints = []
    for ask in asks:
        for room in values:
            try:
                ask(room)
            except (TypeError, ValueError) as error:
                complaints.append(type(error).__name__)
    return complaints


# Where it may


@app.get("/beside")
def beside() -> list[Any]:
    """Look while another greenlet runs a loop."""
    waiting = gevent.spawn(asyncio.run, asyncio.sleep(0.3))
    gevent.sleep(0.05)
    try:
        return look(None)
    finally:
        waiting.get()


@app.get("/look/<how>")
def view(how: str) -> Any:
    room = flask.request.args.get("room")
    if how == "asyncio":
        return asyncio.run(look_async(room))
    if how == "asyncio in a thread":
        return gevent.get_hub().threadpool.apply(asyncio.run, (look_async(room),))
    if how == "thread":
        return gevent.get_hub().threadpool.apply(look, (room,))
    if how == "greenlet":
        return gevent.spawn(look, room).get()
    return look(room)


@app.get("/send_to/<recipient>")
def send_to(recipient: str) -> str:
    return str(chat.send_to(recipient, "hello"))


if __name__ == "__main__":
    start(app)
