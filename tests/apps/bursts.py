"""Handlers that send very many messages, each once as `def` and once as `async def`."""

from __future__ import annotations

from gevent.event import Event

from gws import WebSocket, WebSocketConnector
from tests.apps.base import app, start

# To itself

itself = WebSocket(app, "/itself/def")
itself_async = WebSocket(app, "/itself/async")


@itself.on("message")
def send_to_itself(ws: WebSocketConnector) -> str:
    for number in range(50_000):
        assert ws.sync_send_to(ws.id, str(number))
    return "done"


@itself_async.on("message")
async def send_to_itself_async(ws: WebSocketConnector) -> str:
    for number in range(50_000):
        assert await ws.async_send_to(ws.id, str(number))
    return "done"


# To all: more than a loaded machine keeps a client from reading for, and less than the burst

OUTBOX_SIZE = 4 * 1024 * 1024
everybody = WebSocket(app, "/everybody/def", max_outbox_size=OUTBOX_SIZE)
everybody_async = WebSocket(app, "/everybody/async", max_outbox_size=OUTBOX_SIZE)


@everybody.on("message")
def broadcast(ws: WebSocketConnector) -> str:
    for number in range(100):
        ws.sync_broadcast(f"{number} " + "x" * 50_000)
    return "done"


@everybody_async.on("message")
async def broadcast_async(ws: WebSocketConnector) -> str:
    for number in range(100):
        await ws.async_broadcast(f"{number} " + "x" * 50_000)
    return "done"


# To another, until that one is heard

another = WebSocket(app, "/another/def", max_outbox_size=100_000_000)
another_async = WebSocket(app, "/another/async", max_outbox_size=100_000_000)
heard = Event()


@another.on("connect")
@another_async.on("connect")
def connect(ws: WebSocketConnector) -> str:
    return ws.id


@another.on("message")
def send_until_heard(ws: WebSocketConnector, msg: str) -> str | None:
    if msg == "I hear you":
        heard.set()
        return None
    for _ in range(200_000):
        ws.sync_send_to(msg, "x" * 100)
        if heard.is_set():
            break
    return f"heard: {heard.is_set()}"


@another_async.on("message")
async def send_until_heard_async(ws: WebSocketConnector, msg: str) -> str | None:
    if msg == "I hear you":
        heard.set()
        return None
    for _ in range(200_000):
        await ws.async_send_to(msg, "x" * 100)
        if heard.is_set():
            break
    return f"heard: {heard.is_set()}"


if __name__ == "__main__":
    start(app)
