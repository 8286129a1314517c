"""Endpoints that send more than their clients read, and handlers that take their time."""

from __future__ import annotations

import asyncio
import time

import gevent
from gevent.event import Event

from gws import WebSocket, WebSocketConnector
from tests.apps.base import app, note, start, value

OUTBOX_SIZE = 200_000
CLOSE_TIMEOUT = value("close_timeout", 0.5)

feed = WebSocket(app, "/feed", close_timeout=CLOSE_TIMEOUT, max_outbox_size=OUTBOX_SIZE)
patient = WebSocket(app, "/patient", max_outbox_size=OUTBOX_SIZE)
patient_async = WebSocket(app, "/patient_async", max_outbox_size=OUTBOX_SIZE)
impatient = WebSocket(
    app, "/impatient", max_outbox_size=OUTBOX_SIZE, ping_timeout=0.3, close_timeout=CLOSE_TIMEOUT
)
impatient_async = WebSocket(
    app, "/impatient_async", max_outbox_size=OUTBOX_SIZE, ping_timeout=0.3, close_timeout=CLOSE_TIMEOUT
)
rash = WebSocket(app, "/rash", max_outbox_size=OUTBOX_SIZE)
limited = WebSocket(app, "/limited", max_outbox_size=OUTBOX_SIZE)
pusher = WebSocket(app, "/pusher", close_timeout=CLOSE_TIMEOUT, max_outbox_size=OUTBOX_SIZE)


contended = WebSocket(app, "/contended", max_outbox_size=20_000_000, ping_timeout=0.5, close_timeout=5)


@contended.on("message")
def send_from_two_greenlets(ws: WebSocketConnector, msg: str) -> None:
    gevent.spawn_later(0.2, lambda: note(ws, "the second one is done", ws.send("short")))
    ws.send("x" * int(msg))


@feed.on("close")
@impatient.on("close")
@impatient_async.on("close")
@rash.on("close")
@pusher.on("close")
def close(ws: WebSocketConnector) -> None:
    note(ws, ws.close_code, ws.close_reason)


@feed.on("message")
def flood(ws: WebSocketConnector, msg: str) -> str:
    longest = 0.0
    for number in range(int(msg)):
        began = time.monotonic()
        ws.sync_broadcast(f"{number} " + "x" * 10_000)
        longest = max(longest, time.monotonic() - began)
    return f"longest {longest < 0.4}"


def note_progress(ws: WebSocketConnector, number: int) -> None:
    if number % 100 == 0:
        note(ws, number)


@patient.on("message")
@impatient.on("message")
def flood_itself(ws: WebSocketConnector, msg: str) -> str:
    for number in range(int(msg)):
        ws.sync_send_to(ws.id, f"{number} " + "x" * 10_000)
        note_progress(ws, number)
    return "done"


@patient_async.on("message")
@impatient_async.on("message")
async def flood_itself_async(ws: WebSocketConnector, msg: str) -> str:
    for number in range(int(msg)):
        await ws.async_send_to(ws.id, f"{number} " + "x" * 10_000)
        note_progress(ws, number)
    return "done"


@rash.on("message")
async def flood_without_waiting(ws: WebSocketConnector, msg: str) -> None:
    for _ in range(int(msg)):
        ws.sync_send_to(ws.id, "x" * 10_000)


@limited.on("message")
def flood_for_a_while(ws: WebSocketConnector, msg: str) -> str:
    try:
        with gevent.Timeout(0.2):
            for _ in range(int(msg)):
                ws.sync_send_to(ws.id, "x" * 10_000)
    except gevent.Timeout:
        note(ws, "timed out")
    return "done"


@app.get("/push/<int:count>")
def push(count: int) -> str:
    for _ in range(count):
        pusher.broadcast("x" * 10_000)
    return ""


# A client that reads while the hub is busy

hasty = WebSocket(app, "/hasty", ping_timeout=0.5)


def be_busy() -> None:
    end = time.perf_counter() + 0.0005
    while time.perf_counter() < end:
        pass


@hasty.on("message")
async def send_while_busy(ws: WebSocketConnector, msg: str) -> str:
    for _ in range(100):
        gevent.get_hub().loop.run_callback(be_busy)
    await ws.async_send_to(ws.id, "x" * int(msg))
    return "done"


# Handlers that take their time

busy = WebSocket(app, "/busy")
gate = Event()


@busy.on("message")
def wait_at_gate(msg: str) -> str:
    gate.wait(30)
    return str(len(msg))


@app.get("/open")
def open_gate() -> str:
    gate.set()
    return ""


sleepy = WebSocket(app, "/sleepy")


@sleepy.on("message")
def sleep(msg: str) -> str:
    time.sleep(float(msg))
    return "slept"


ordered = WebSocket(app, "/ordered/def")
ordered_async = WebSocket(app, "/ordered/async")
running: list[str] = []
"""The messages that are handled now: one at most."""


@ordered.on("message")
def take_turns(msg: str) -> str:
    running.append(msg)
    assert running == [msg]
    time.sleep(0.05 if msg == "slow" else 0)
    return running.pop()


@ordered_async.on("message")
async def take_turns_async(msg: str) -> str:
    running.append(msg)
    assert running == [msg]
    await asyncio.sleep(0.05 if msg == "slow" else 0)
    return running.pop()


if __name__ == "__main__":
    start(app)
