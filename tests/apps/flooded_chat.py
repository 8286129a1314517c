"""The chat, and what floods the backplane: with messages, and with rooms that come and go."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import gevent

from gws import WebSocket, WebSocketConnector
from tests.apps.base import start
from tests.apps.chat import app, chat, commands

churn = WebSocket(app, "/churn", ping_interval=None)


@churn.on("message")
async def come_and_go(ws: WebSocketConnector, msg: str) -> str:
    first, count = json.loads(msg)
    for number in range(first, first + count):
        ws.join(f"room {number}")
        if number % 10 == 0:
            # The engine has been told by then.
            await asyncio.sleep(0)
        ws.leave(f"room {number}")
    return f"{len(ws.rooms)} rooms"


@commands("offer")
def do_offer(ws: WebSocketConnector, text: str, rate: float, count: int) -> float:
    """Broadcast so many a second, and return the seconds that it took."""
    began = time.monotonic()
    sent = 0
    while sent < count:
        while sent < min((time.monotonic() - began) * rate, count):
            chat.broadcast(text, "flood")
            sent += 1
        gevent.sleep(0.001)
    return time.monotonic() - began


@commands("tell_rooms")
def do_tell_rooms(ws: WebSocketConnector, first: int, count: int) -> None:
    for number in range(first, first + count):
        churn.broadcast("anybody there?", f"room {number}")
        if number % 100 == 0:
            gevent.sleep(0.001)


@commands("channels")
def do_channels(ws: WebSocketConnector) -> int:
    """Return how many channels the node knows the next numbers of."""
    node: Any = chat._cluster().node
    return len(node._gaps._expected)


if __name__ == "__main__":
    start(app)
