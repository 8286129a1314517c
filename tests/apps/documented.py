"""WebSockets with all that a document of them can say."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Literal

import msgspec
from flask import Blueprint

import gws
from gws import Socket, WebSocket, WebSocketConnector
from tests.apps.base import app, start


class Tree(msgspec.Struct, tag=True):
    """Something that holds more of its kind."""

    name: str
    children: list[Tree] = []


class Leaf(msgspec.Struct, tag=True):
    """The end of a branch."""

    colour: Literal["green", "red"]
    size: int | None = None


blueprint = Blueprint("garden", __name__)
garden = WebSocket(blueprint, "/<name>")


@garden.on("connect")
def enter(ws: WebSocketConnector, page: int = 1, tags: list[str] = [], token: str | None = None) -> str:  # noqa: B006
    """Come into the garden.

    <script>alert("a docstring is no page")</script>
    """
    return "welcome"


@garden.on("message")
async def grow(ws: WebSocketConnector, msg: Tree | Leaf) -> AsyncIterator[Leaf]:
    """Grow."""
    await asyncio.sleep(0)
    yield Leaf("green")


app.register_blueprint(blueprint, url_prefix="/gardens/<int:number>")

plain = WebSocket(app, "/plain", invalid_messages="close")


@plain.on("message")
def answer(msg: str, size: Literal["small", "large"]) -> dict[str, int] | None:
    return None


@app.websocket("/loop")
def receive(ws: Socket) -> bytes:
    """Receive what comes."""
    return b""


app.register_blueprint(gws.asyncapi("Gardens", "2.1", "What *grows* & how"), url_prefix="/docs")

if __name__ == "__main__":
    start(app)
