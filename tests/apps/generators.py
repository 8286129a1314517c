"""Handlers that yield what is sent."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import gevent
from gevent.queue import Queue

from gws import AsyncSocket, Socket, WebSocket, WebSocketConnector
from tests.apps.base import app, note, start

counting = WebSocket(app, "/def")
async_counting = WebSocket(app, "/async")
"""Each does what its message says, in every event."""


@counting.on("connect")
def begin() -> Iterator[str]:
    yield "welcome"
    gevent.sleep(0.01)
    yield "to gws"


@counting.on("message")
def count(ws: WebSocketConnector, msg: str) -> Iterator[Any]:
    if msg == "all":
        yield "text"
        yield None
        yield b"\x00"
        yield {"a": [1]}
        gevent.sleep(0.01)
        yield ""
    elif msg == "raise":
        yield "before"
        raise LookupError("on purpose")
    elif msg == "object":
        yield object()
    elif msg == "wait":
        yield from wait(ws)
    elif msg == "wait first":
        note(ws, "began")
        gevent.sleep(60)
        yield "to nobody"
    elif msg == "stubborn":
        yield from stubborn(ws)
    elif msg == "close":
        ws.close(4000, "done")
        yield "still said"
        gevent.sleep(60)
    elif msg == "for ever":
        number = 0
        try:
            while True:
                yield "x" * 1000
                number += 1
        finally:
            note(ws, number)
    else:
        yield msg


def wait(ws: WebSocketConnector) -> Iterator[str]:
    """Wait for an upstream that never answers."""
    yield "waiting"
    try:
        Queue().get()
    finally:
        note(ws, "upstream closed")
        gevent.sleep(0.01)
        note(ws, "and waited for")


def stubborn(ws: WebSocketConnector) -> Iterator[str]:
    """Go on, whatever is raised."""
    yield "waiting"
    try:
        gevent.sleep(60)
    except BaseException:  # noqa: BLE001 - as somebody writes who should not
        note(ws, "goes on")
    yield "to nobody"
    note(ws, "never")


@counting.on("close")
def end(ws: WebSocketConnector) -> Iterator[str]:
    note(ws, "closed", ws.close_code)
    yield "good"
    gevent.sleep(0.01)
    yield "bye"


@async_counting.on("connect")
async def async_begin() -> AsyncIterator[str]:
    yield "welcome"
    await asyncio.sleep(0.01)
    yield "to gws"


@async_counting.on("message")
async def async_count(ws: WebSocketConnector, msg: str) -> AsyncIterator[Any]:
    if msg == "all":
        yield "text"
        yield None
        yield b"\x00"
        yield {"a": [1]}
        await asyncio.sleep(0.01)
        yield ""
    elif msg == "raise":
        yield "before"
        raise LookupError("on purpose")
    elif msg == "object":
        yield object()
    elif msg == "wait":
        yield "waiting"
        try:
            await asyncio.sleep(60)
        finally:
            note(ws, "upstream closed")
            await asyncio.sleep(0.01)
            note(ws, "and waited for")
    elif msg == "wait first":
        note(ws, "began")
        await asyncio.sleep(60)
        yield "to nobody"
    elif msg == "stubborn":
        yield "waiting"
        try:
            await asyncio.sleep(60)
        except BaseException:  # noqa: BLE001 - as somebody writes who should not
            note(ws, "goes on")
        yield "to nobody"
        note(ws, "never")
    elif msg == "close":
        ws.close(4000, "done")
        yield "still said"
        await asyncio.sleep(60)
    elif msg == "for ever":
        number = 0
        try:
            while True:
                yield "x" * 1000
                number += 1
        finally:
            note(ws, number)
    else:
        yield msg


@async_counting.on("close")
async def async_end(ws: WebSocketConnector) -> AsyncIterator[str]:
    note(ws, "closed", ws.close_code)
    yield "good"
    await asyncio.sleep(0.01)
    yield "bye"


@app.websocket("/loop/def")
def loop(ws: Socket) -> Iterator[str]:
    for message in ws:
        yield f"{message!s}!"
        if message == "wait":
            yield from wait(ws)


@app.websocket("/loop/async")
async def async_loop(ws: AsyncSocket) -> AsyncIterator[str]:
    async for message in ws:
        yield f"{message!s}!"
        if message == "wait":
            yield "waiting"
            try:
                await asyncio.sleep(60)
            finally:
                note(ws, "upstream closed")
                await asyncio.sleep(0.01)
                note(ws, "and waited for")


if __name__ == "__main__":
    start(app)
