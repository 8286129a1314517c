"""Handlers that receive their messages themselves, `def` and `async def`: Robyn's own examples, and what Flask adds."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from typing import Any

import gevent
from flask import Blueprint, abort, g, session

import gws
from gws import AsyncSocket, Socket, WebSocketDisconnect
from tests.apps.base import app, note, start

# As Robyn's documentation has them


@app.websocket("/callbacks")
async def callbacks(websocket):  # type: ignore[no-untyped-def]
    try:
        while True:
            msg = await websocket.receive_text()
            await websocket.send_text(f"Echo: {msg}")
    except WebSocketDisconnect as end:
        note(websocket, "ended", end.code, end.reason)


@callbacks.on_connect
def welcome(websocket):  # type: ignore[no-untyped-def]
    return f"Welcome, {websocket.id}!"


@callbacks.on_close
def goodbye(websocket):  # type: ignore[no-untyped-def]
    note(websocket, "closed", websocket.close_code)
    return "Goodbye!"


@app.websocket("/mixed")
async def mixed(websocket):  # type: ignore[no-untyped-def]
    while True:
        msg = await websocket.receive()
        if isinstance(msg, str):
            await websocket.send_text(f"Got text: {msg}")
        else:
            await websocket.send_bytes(msg)


@app.websocket("/api")
async def api(websocket):  # type: ignore[no-untyped-def]
    while True:
        data = await websocket.receive_json()
        await websocket.send_json({"status": "ok", "result": data})


@app.websocket("/chat")
async def chat(websocket):  # type: ignore[no-untyped-def]
    while True:
        msg = await websocket.receive_text()
        await websocket.broadcast(f"User {websocket.id}: {msg}")
        await websocket.send_text("Your message was sent")


@app.websocket("/stream")
async def stream(websocket):  # type: ignore[no-untyped-def]
    while True:
        await websocket.broadcast(await websocket.receive_bytes())


@app.websocket("/gordon")
async def gordon(websocket):  # type: ignore[no-untyped-def]
    name = websocket.query_params.get("name")
    if name == "gordon" and websocket.query_params.get("role") == "commissioner":
        await websocket.broadcast("Gordon authorized!")
    while True:
        await websocket.send_text(f"Hello {name}: {await websocket.receive_text()}")


@app.websocket("/easy")
async def easy(websocket, room: str = "default", page: int = 1):  # type: ignore[no-untyped-def]
    while True:
        msg = await websocket.receive_text()
        await websocket.send_text(f"room={room} page={page} msg={msg}")


@easy.on_connect
def easy_connect(websocket, room: str = "default"):  # type: ignore[no-untyped-def]
    return f"connected to {room}"


@easy.on_close
def easy_close(websocket, room: str = "default"):  # type: ignore[no-untyped-def]
    return f"left {room}"


@app.websocket("/quit")
async def quit_(websocket):  # type: ignore[no-untyped-def]
    while True:
        msg = await websocket.receive_text()
        if msg == "quit":
            await websocket.close()
            break
        await websocket.send_text(f"Got: {msg}")


app.inject(robin="here")


@app.websocket("/empty")
async def empty(websocket, global_dependencies, router_dependencies):  # type: ignore[no-untyped-def]
    await websocket.send_json([global_dependencies, router_dependencies])
    while await websocket.receive_text():
        await websocket.send_text("")


@empty.on_connect
async def empty_connect(websocket, router_dependencies, global_dependencies):  # type: ignore[no-untyped-def]
    await websocket.send_json([global_dependencies, router_dependencies])
    return ""


empty.inject(bat="mobile")
app.inject_global(signal="lit")
app.inject(late="too")

# What each kind of function has

blueprint = Blueprint("rooms", __name__)


@gws.websocket(blueprint, "/<name>/sync", max_message_size=1_000_000)
def sync(socket: Socket, name: str, greeting: str = "hello") -> str:
    socket.join(name)
    socket.send(f"{greeting} {name}")
    for message in socket:
        if message == "json":
            socket.send_json(socket.receive_json())
        elif message == "bytes":
            socket.send_bytes(socket.receive_bytes() * 2)
        elif message == "room":
            socket.broadcast("to the room", room=name)
        elif message == "state":
            socket.send_text(f"{socket.state.get('by')} {sorted(socket.rooms)}")
        elif message == "return":
            return "the last word"
        elif message == "raise":
            raise LookupError("on purpose")
        elif message == "other greenlet":
            socket.send(gevent.spawn(receive_elsewhere, socket).get())
        else:
            socket.send(message)
    note(socket, "ended", socket.close_code)
    return "to nobody"


def receive_elsewhere(socket: Socket) -> str:
    try:
        return str(socket.receive())
    except RuntimeError as error:
        return str(error)


@sync.on_connect
async def sync_connect(socket: AsyncSocket) -> None:
    socket.state["by"] = "an async connect"
    if "early" in socket.query_params:
        try:
            await socket.receive()
        except RuntimeError as error:
            await socket.send(str(error))


@sync.on_close
async def sync_close(socket: AsyncSocket) -> None:
    note(socket, "closed", socket.state["by"], await socket.send("too late"))


app.register_blueprint(blueprint, url_prefix="/rooms")


@app.websocket("/patient")
def patient(ws: Socket) -> None:
    """Wait for so many seconds as the client says, and say what has come."""
    while True:
        seconds = float(ws.receive_text())
        try:
            ws.send(["came", ws.receive(timeout=seconds)])
        except TimeoutError as error:
            ws.send(["late", str(error)])


@app.websocket("/async_patient")
async def async_patient(ws: AsyncSocket) -> None:
    while True:
        seconds = float(await ws.receive_text())
        try:
            await ws.send(["came", await ws.receive(timeout=seconds)])
        except TimeoutError as error:
            await ws.send(["late", str(error)])


@app.websocket("/ticks")
def ticks(ws: Socket) -> None:
    """Never receive, and send until the client has gone."""
    try:
        while True:
            ws.send("tick")
            gevent.sleep(0.01)
    except WebSocketDisconnect as end:
        note(ws, "disconnected", end.code)
        raise


@app.websocket("/async_ticks", close_timeout=0.5)
async def async_ticks(ws: AsyncSocket) -> None:
    try:
        while True:
            await ws.send("tick")
            await asyncio.sleep(0.01)
    except WebSocketDisconnect as end:
        note(ws, "disconnected", end.code)
        raise


@app.websocket("/tasks")
async def tasks(ws: AsyncSocket) -> None:
    """Receive in one task and send in another; what both raise at the end is no error."""

    async def read() -> None:
        async for message in ws:
            await queue.put(message)
        raise WebSocketDisconnect(ws.close_code or 0)

    async def write() -> None:
        while True:
            await ws.send(await queue.get())

    queue: asyncio.Queue[Any] = asyncio.Queue()
    if sys.version_info >= (3, 11):
        async with asyncio.TaskGroup() as group:
            group.create_task(read())
            group.create_task(write())
    else:
        writer = asyncio.ensure_future(write())
        try:
            await read()
        finally:
            writer.cancel()


@app.websocket("/two_receivers")
async def two_receivers(ws: AsyncSocket) -> None:
    first = asyncio.ensure_future(ws.receive())
    await asyncio.sleep(0)
    try:
        await ws.receive()
    except RuntimeError as error:
        await ws.send(str(error))
    # One that is cancelled takes no message along.
    first.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await first
    await ws.send("ready")
    await ws.send(await ws.receive())


@app.websocket("/late")
async def late(ws: AsyncSocket) -> None:
    """Receive when the client has sent all that it may."""
    await ws.send("go")
    await asyncio.sleep(0.5)
    sizes = 0
    async for message in ws:
        sizes += len(message)
        if message == "end":
            await ws.send(sizes if sizes is None else [sizes])


@app.websocket("/sync_late")
def sync_late(ws: Socket) -> None:
    ws.send("go")
    gevent.sleep(0.5)
    sizes = 0
    for message in ws:
        sizes += len(message)
        if message == "end":
            ws.send([sizes])


@app.websocket("/floods")
async def floods(ws: AsyncSocket) -> None:
    """Send more than the client reads."""
    await ws.receive()
    for number in range(4000):
        await ws.send(f"{number} " + "x" * 10_000)
    await ws.receive()


@app.websocket("/login")
async def login(ws: AsyncSocket) -> None:
    g.count = 0
    async for _ in ws:
        g.count += 1
        await ws.send([session.get("user"), g.count])


@login.on_connect
def check_login(ws: Socket) -> None:
    if "user" not in ws.query_params:
        abort(401)
    session["user"] = ws.query_params.get("user")


@app.websocket("/deaf")
async def deaf(ws: AsyncSocket) -> None:
    """Never receive."""
    try:
        await asyncio.sleep(60)
    finally:
        note(ws, "broken off")


@app.websocket("/endless")
def endless(ws: Socket) -> None:
    """Catch everything, and go on."""
    try:
        while True:
            with contextlib.suppress(Exception):
                ws.send(ws.receive())
    finally:
        note(ws, "ended")


@app.websocket("/async_endless")
async def async_endless(ws: AsyncSocket) -> None:
    try:
        while True:
            with contextlib.suppress(Exception):
                await ws.send(await ws.receive())
    finally:
        note(ws, "ended")


@app.websocket("/firehose")
def firehose(ws: Socket) -> None:
    """Send without a pause to a client that reads as fast."""
    while True:
        ws.send("x" * 50)


@app.websocket("/async_firehose")
async def async_firehose(ws: AsyncSocket) -> None:
    while True:
        await ws.send("x" * 50)


@app.websocket("/endless_sends")
def endless_sends(ws: Socket) -> None:
    try:
        while True:
            with contextlib.suppress(Exception):
                ws.send("x")
                gevent.sleep(0.001)
    finally:
        note(ws, "ended")


@app.websocket("/async_endless_sends")
async def async_endless_sends(ws: AsyncSocket) -> None:
    try:
        while True:
            with contextlib.suppress(Exception):
                await ws.send("x")
                await asyncio.sleep(0.001)
    finally:
        note(ws, "ended")


@app.websocket("/backlog")
async def backlog(ws: AsyncSocket) -> None:
    """Receive in two tasks what has come meanwhile; each message is answered, by whichever has it."""

    async def answer(number: int) -> None:
        while True:
            try:
                message = await ws.receive()
            except RuntimeError:
                await asyncio.sleep(0)
            else:
                await ws.send(message)
            await asyncio.sleep(0)

    await ws.send("go")
    await asyncio.sleep(0.3)
    await asyncio.gather(answer(1), answer(2))


@app.websocket("/mistakes")
def mistakes(ws: Socket) -> None:
    try:
        ws.send_text(ws.receive_bytes())  # type: ignore[arg-type]
    except TypeError as error:
        ws.send(str(error))
    ws.receive_text()


if __name__ == "__main__":
    start(app)
