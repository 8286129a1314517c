"""Views that fork the process in which clients are connected."""

from __future__ import annotations

import multiprocessing
import os
import time

from gws import WebSocket, WebSocketConnector
from tests.apps.base import app, start

fork = multiprocessing.get_context("fork")
chat = WebSocket(app, "/chat", ping_interval=None)


@chat.on("connect")
def connect() -> str:
    return str(os.getpid())


@chat.on("message")
def message(ws: WebSocketConnector, msg: str) -> None:
    ws.sync_broadcast(msg)


@chat.on("close")
def close() -> None:
    print("closed in", os.getpid(), flush=True)


@app.get("/count")
def count() -> str:
    return str(chat.count())


def broadcast_and_count() -> None:
    # The hub runs here too, for long enough for all that it does at intervals.
    time.sleep(3)
    chat.broadcast("from the child")
    time.sleep(0.1)
    print("the child counts", chat.count(), flush=True)


@app.get("/fork")
def fork_one() -> str:
    child = fork.Process(target=broadcast_and_count)
    child.start()
    return str(child.pid)


def stay(there: int) -> None:
    """Say through a pipe that the child runs, and stay."""
    os.write(there, b"x")
    time.sleep(60)


@app.get("/stay")
def have_one_stay() -> str:
    here, there = os.pipe()
    if not (child := os.fork()):
        stay(there)
    os.read(here, 1)
    return str(child)


@app.get("/terminate")
def terminate() -> str:
    here, there = os.pipe()
    child = fork.Process(target=stay, args=(there,))
    child.start()
    os.read(here, 1)
    child.terminate()
    child.join(10)
    return str(child.exitcode)


if __name__ == "__main__":
    start(app)
