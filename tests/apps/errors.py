"""Handlers in which whatever can go wrong goes wrong."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import flask
import gevent

from gws import WebSocket, WebSocketConnector
from tests.apps.base import app, note, start
from tests.apps.commands import Commands

misbehaviour = Commands()


class UnprintableError(Exception):
    """One that nobody can write down."""

    def __str__(self) -> str:
        raise ValueError("no")


@misbehaviour("value error")
def raise_value_error() -> None:
    raise ValueError("a handler's own")


@misbehaviour("system exit")
def raise_system_exit() -> None:
    raise SystemExit(3)


misbehaviour("sys.exit")(sys.exit)


@misbehaviour("timeout")
def raise_timeout() -> None:
    raise gevent.Timeout(1)


@misbehaviour("expired")
def let_a_timeout_expire() -> None:
    with gevent.Timeout(0.01):
        gevent.sleep(10)


@misbehaviour("abort")
def abort() -> None:
    flask.abort(403)


@misbehaviour("generator exit")
def raise_generator_exit() -> None:
    raise GeneratorExit


@misbehaviour("cancelled")
def raise_cancelled_error() -> None:
    raise asyncio.CancelledError


@misbehaviour("base exception")
def raise_base_exception() -> None:
    raise BaseException("of no known kind")


@misbehaviour("deep")
def call_itself() -> None:
    call_itself()


@misbehaviour("unprintable")
def raise_unprintable() -> None:
    raise UnprintableError


@misbehaviour("wrong result")
def return_a_number() -> int:
    return 5


@misbehaviour("greenlet exit")
def raise_greenlet_exit() -> None:
    raise gevent.GreenletExit


@misbehaviour("killed")
def kill_itself() -> None:
    gevent.getcurrent().throw(gevent.GreenletExit)


@misbehaviour("kill by another")
def be_killed() -> None:
    gevent.spawn(gevent.kill, gevent.getcurrent(), RuntimeError("thrown by another greenlet"))
    gevent.sleep(10)


@misbehaviour("stray timeout")
def leave_a_timeout() -> str:
    gevent.Timeout(0.05).start()
    return "stray timeout"


@misbehaviour("kill me later")
def be_killed_later() -> str:
    gevent.spawn_later(0.05, gevent.kill, gevent.getcurrent())
    return "kill me later"


sync = WebSocket(app, "/sync")
asynchronous = WebSocket(app, "/async")


@sync.on("message")
def message(msg: str) -> Any:
    return misbehaviour.run(msg)


@asynchronous.on("message")
async def message_async(msg: str) -> Any:
    await asyncio.sleep(0)
    return misbehaviour.run(msg)


@sync.on("close")
@asynchronous.on("close")
def close(ws: WebSocketConnector) -> str:
    note(ws, ws.close_code, ws.close_reason)
    return "bye"


bad_close = WebSocket(app, "/bad_close", close_timeout=60)


@bad_close.on("message")
def close_or_raise(ws: WebSocketConnector, msg: str) -> None:
    if msg == "raise":
        raise ValueError("the message handler's")
    ws.close()


@bad_close.on("close")
def raise_in_close(ws: WebSocketConnector) -> Any:
    note(ws, ws.close_code)
    return misbehaviour.run(ws.query_params.get("how") or "")


wrong_signature = WebSocket(app, "/wrong_signature")


@wrong_signature.on("message")
def call_with_too_few_arguments() -> None:
    def take_two(a: int, b: int) -> None: ...

    take_two(1)  # type: ignore[call-arg]


if __name__ == "__main__":
    start(app)
