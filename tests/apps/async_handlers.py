"""`async def` handlers, each with something that asyncio has, or that a coroutine must not do."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import flask
import gevent
import httpx

from gws import WebSocket, WebSocketConnector
from gws.aio import get_loop
from tests.apps.base import app, note, start

COMMANDS: dict[str, Callable[[WebSocketConnector], Awaitable[Any]]] = {}


def command(
    function: Callable[[WebSocketConnector], Awaitable[Any]],
) -> Callable[[WebSocketConnector], Awaitable[Any]]:
    """Let a client call the function by its name."""
    COMMANDS[function.__name__] = function
    return function


websocket = WebSocket(app, "/web_socket")


@websocket.on("connect")
async def connect() -> str:
    await asyncio.sleep(0.001)
    return "connected"


@websocket.on("message")
async def message(ws: WebSocketConnector, msg: str) -> Any:
    return await COMMANDS[msg](ws)


@websocket.on("close")
async def close(ws: WebSocketConnector) -> str:
    await asyncio.sleep(0.001)
    note(ws, ws.close_code)
    return "bye"


# What a coroutine may await


@command
async def sleep(ws: WebSocketConnector) -> str:
    await asyncio.sleep(0.01)
    return "slept"


@command
async def wait_for_never(ws: WebSocketConnector) -> str:
    with contextlib.suppress(asyncio.TimeoutError):
        await asyncio.wait_for(asyncio.Event().wait(), 0.01)
        return "not timed out"
    return "timed out"


async def work(number: int, done: list[int]) -> int:
    """Take the longer the smaller the number is."""
    await asyncio.sleep(0.01 * (3 - number))
    done.append(number)
    return number


@command
async def gather(ws: WebSocketConnector) -> list[int]:
    return await asyncio.gather(*(work(number, []) for number in range(3)))


if sys.version_info >= (3, 11):

    @command
    async def timeout(ws: WebSocketConnector) -> str:
        try:
            async with asyncio.timeout(0.01):
                await asyncio.Event().wait()
        except TimeoutError:
            return "timed out"
        return "not timed out"

    @command
    async def task_group(ws: WebSocketConnector) -> list[int]:
        done: list[int] = []
        async with asyncio.TaskGroup() as group:
            for number in range(3):
                group.create_task(work(number, done))
        return done

    @command
    async def group_error(ws: WebSocketConnector) -> None:
        async def fail() -> None:
            raise ValueError("inside a group")

        async with asyncio.TaskGroup() as group:
            group.create_task(fail())


async def answer_in_capitals(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write((await reader.readline()).upper())
    await writer.drain()
    writer.close()


@command
async def stream(ws: WebSocketConnector) -> str:
    server = await asyncio.start_server(answer_in_capitals, "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    writer.write(b"through a stream\n")
    answer = await reader.readline()
    writer.close()
    await writer.wait_closed()
    server.close()
    return answer.decode().strip()


@command
async def queue(ws: WebSocketConnector) -> list[int]:
    items: asyncio.Queue[int] = asyncio.Queue(1)

    async def produce() -> None:
        for number in range(3):
            await items.put(number)

    task = asyncio.create_task(produce())
    found = [await items.get() for _ in range(3)]
    await task
    return found


@command
async def executor(ws: WebSocketConnector) -> str:
    return await asyncio.get_running_loop().run_in_executor(None, lambda: str(sum(range(10))))


@command
async def to_thread(ws: WebSocketConnector) -> str:
    return str(await asyncio.to_thread(time.sleep, 0.01))  # type: ignore[func-returns-value]


@command
async def background(ws: WebSocketConnector) -> str:
    async def later() -> None:
        await asyncio.sleep(0.05)
        await ws.async_send_to(ws.id, "from a task that outlived its handler")

    ws.state["task"] = asyncio.create_task(later())
    return "returned"


@command
async def loop_is_the_same(ws: WebSocketConnector) -> str:
    loop = asyncio.get_running_loop()
    return str(ws.state.setdefault("loop", loop) is loop)


# What it must not do, and how it fails


@command
async def block(ws: WebSocketConnector) -> None:
    gevent.sleep(0.01)


@command
async def block_after_suspension(ws: WebSocketConnector) -> None:
    await asyncio.sleep(0.001)
    time.sleep(0.01)


@command
async def block_and_go_on(ws: WebSocketConnector) -> str:
    with contextlib.suppress(Exception):
        time.sleep(0.01)
    await asyncio.sleep(0)
    return "went on"


@command
async def cancelled(ws: WebSocketConnector) -> None:
    task = asyncio.create_task(asyncio.sleep(10))
    await asyncio.sleep(0)
    task.cancel()
    await task


@command
async def cancel_itself(ws: WebSocketConnector) -> None:
    task = asyncio.current_task()
    assert task
    task.cancel()
    await asyncio.sleep(10)


async def nap(ws: WebSocketConnector) -> str:
    await asyncio.sleep(0.01)
    return "slept"


@command
async def asyncio_run(ws: WebSocketConnector) -> str:
    coroutine = nap(ws)
    try:
        return asyncio.run(coroutine)
    except RuntimeError as error:
        coroutine.close()
        return str(error)


# Endpoints beside it

plain = WebSocket(app, "/plain")


@plain.on("message")
def run_or_send(ws: WebSocketConnector, msg: str) -> str:
    if msg == "asyncio.run":
        return asyncio.run(nap(ws))
    call: Any = ws.async_send_to(ws.id, "x") if msg == "async_send_to" else ws.async_broadcast("x")
    try:
        call.send(None)
    except RuntimeError as error:
        return str(error)
    return "sent"


mixed = WebSocket(app, "/mixed")


@mixed.on("connect")
def mixed_connect() -> str:
    return "def"


@mixed.on("message")
async def mixed_message() -> str:
    return "async def"


@mixed.on("close")
def mixed_close() -> str:
    return "def again"


hidden = WebSocket(app, "/hidden")


@hidden.on("message")
def return_a_coroutine(ws: WebSocketConnector) -> Awaitable[str]:
    """Return what a decorator that knows nothing of coroutines would."""
    return nap(ws)


@app.get("/async_view")
async def async_view() -> str:
    await asyncio.sleep(0.05)
    return "from an async view"


http = WebSocket(app, "/http")
http_clients: dict[str, httpx.AsyncClient] = {}
http_sessions: dict[str, aiohttp.ClientSession] = {}


@http.on("message")
async def fetch(ws: WebSocketConnector, msg: str) -> str:
    """Fetch a page with a client that is kept from message to message."""
    url = f"http://127.0.0.1:{flask.request.environ['SERVER_PORT']}/async_view"
    if msg == "httpx":
        if ws.id not in http_clients:
            http_clients[ws.id] = httpx.AsyncClient()
        return (await http_clients[ws.id].get(url)).text
    if ws.id not in http_sessions:
        http_sessions[ws.id] = aiohttp.ClientSession()
    async with http_sessions[ws.id].get(url) as response:
        return await response.text()


@http.on("close")
async def forget(ws: WebSocketConnector) -> None:
    await http_clients.pop(ws.id).aclose()
    await http_sessions.pop(ws.id).close()


@app.get("/tasks")
def tasks() -> list[int]:
    loop = get_loop()
    return [len(asyncio.all_tasks(loop)), len(loop._timers)]


timing_out = WebSocket(app, "/timing_out")


async def time_out() -> int:
    with contextlib.suppress(asyncio.TimeoutError):
        await asyncio.wait_for(asyncio.sleep(60), 0.001)
        return 0
    return 1


@timing_out.on("message")
async def time_out_many_times(msg: str) -> str:
    return str(sum(await asyncio.gather(*(time_out() for _ in range(int(msg))))))


if __name__ == "__main__":
    start(app)
