"""Connections that end in every way."""

from __future__ import annotations

import time

import gevent

from gws import WebSocket, WebSocketConnector
from tests.apps.base import app, note, start
from tests.apps.commands import Commands

ws_by_key: dict[str | None, WebSocketConnector] = {}
room = WebSocket(app, "/room", close_timeout=0.5, max_message_size=1000)
patient = WebSocket(app, "/patient")
lively = WebSocket(app, "/lively", ping_interval=0.1, ping_timeout=0.1)


@room.on("connect")
@patient.on("connect")
def connect(ws: WebSocketConnector) -> str:
    ws_by_key[ws.query_params.get("notes")] = ws
    return "hello"


@room.on("close")
@patient.on("close")
@lively.on("close")
def close(ws: WebSocketConnector) -> str:
    print("closed", ws.close_code, ws.close_reason, flush=True)
    note(ws, ws.close_code, ws.close_reason)
    return "goodbye"


commands = Commands()


@room.on("message")
@patient.on("message")
def message(ws: WebSocketConnector, msg: str | bytes) -> object:
    """Run a command; another message is an echo."""
    if isinstance(msg, bytes):
        return msg
    if msg.startswith("sleep "):
        time.sleep(float(msg.removeprefix("sleep ")))
    if msg.startswith("close the one of "):
        ws_by_key[msg.removeprefix("close the one of ")].close(4004, "by another")
        return "closed it"
    return commands.run(msg, ws)


@commands("close")
def close_now(ws: WebSocketConnector) -> str:
    ws.close()
    return "closing"


@commands("close 4000")
def close_with_code(ws: WebSocketConnector) -> None:
    ws.close(4000, "enough")


@commands("close twice")
def close_twice(ws: WebSocketConnector) -> None:
    ws.close(4001, "first")
    ws.close(4002, "second")


@commands("close with 1006")
def close_with_a_code_that_may_not_be_sent(ws: WebSocketConnector) -> str:
    try:
        ws.close(1006)
    except ValueError as error:
        return str(error)
    return "no error"


@commands("close with a long reason")
def close_with_a_long_reason(ws: WebSocketConnector) -> str:
    try:
        ws.close(1000, "é" * 62)
    except ValueError as error:
        return str(error)
    return "no error"


@commands("close and wait")
def close_and_wait(ws: WebSocketConnector) -> str:
    ws.close()
    reachable = patient.send_to(ws.id, "?") or ws.sync_send_to(ws.id, "?")
    time.sleep(0.1)
    ws.sync_broadcast("heard by the others only")
    return f"reachable: {reachable}"


@commands("close from a thread")
def close_from_a_thread(ws: WebSocketConnector) -> None:
    gevent.get_hub().threadpool.spawn(ws.close, 4003, "from a thread").get()


@commands("raise")
def fail(ws: WebSocketConnector) -> None:
    raise ValueError("a handler's own")


dying = WebSocket(app, "/dying")


@dying.on("connect")
def close_in_connect(ws: WebSocketConnector) -> str:
    ws.close(4005, "not today")
    return "sorry"


@dying.on("message")
def note_message(ws: WebSocketConnector, msg: str) -> None:
    note(ws, "a message was handled", msg)


@dying.on("close")
def close_in_close(ws: WebSocketConnector) -> str:
    note(ws, ws.close_code, ws.close_reason)
    ws.close(4006, "too late")
    ws.sync_broadcast("nobody hears this")
    return f"open: {ws.sync_send_to(ws.id, 'not sent')}"


if __name__ == "__main__":
    start(app)
