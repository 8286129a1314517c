"""Handlers that ask for query parameters by name and annotation."""

from __future__ import annotations

import enum
from typing import Literal

from flask import Blueprint

from gws import QueryParams, WebSocket, WebSocketConnector
from tests.apps.base import app, note, start


class Colour(enum.Enum):
    """What a client may paint with."""

    RED = "red"
    BLUE = 2


books = WebSocket(app, "/books")
"""Each event asks for something else."""


@books.on("connect")
def open_book(room: str = "lobby") -> str:
    return f"welcome to {room}"


@books.on("message")
def read(ws: WebSocketConnector, msg: str, page: int = 1, tags: list[str] = []) -> list[object]:  # noqa: B006
    tags.append(msg)
    return [page, tags]


@books.on("close")
def shut(ws: WebSocketConnector, *, notes: str, room: str | None) -> None:
    note(ws, notes == ws.query_params.get("notes"), room)


blueprint = Blueprint("shelf", __name__)
typed = WebSocket(blueprint, "/<name>")


@typed.on("message")
async def tell(  # type: ignore[no-untyped-def]
    msg: str,
    name: str,
    number: float,
    is_open: bool,
    colour: Colour,
    size: Literal["small", "large", 3],
    many: list[int],
    ids: list[str] | None,
    query_params: QueryParams,
    unannotated=7,
) -> list[object]:
    seen = query_params.get("number")
    return [msg, name, number, is_open, colour.name, size, many, ids, unannotated, seen]


app.register_blueprint(blueprint, url_prefix="/shelf")

if __name__ == "__main__":
    start(app)
