"""Handlers whose messages, and answers, are of a type."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Literal, TypedDict

import msgspec
import pydantic

from gws import AsyncSocket, Socket, WebSocket, WebSocketConnector
from tests.apps.base import app, start


class Say(msgspec.Struct, tag=True):
    """Somebody says something."""

    text: str
    times: int = 1


class Join(msgspec.Struct, tag=True):
    """Somebody enters a room."""

    room: str


class Said(msgspec.Struct, tag=True):
    """What everybody is told."""

    text: str
    by: str | None = None


@dataclass
class Point:
    """A place."""

    x: int
    y: int = 0


class Order(TypedDict):
    """What somebody wants."""

    item: str
    count: int


class Model(pydantic.BaseModel):
    """One of pydantic's."""

    number: int
    kind: Literal["model"] = "model"


class Other(pydantic.BaseModel):
    """Another one."""

    name: str
    kind: Literal["other"]


struct = WebSocket(app, "/struct")


@struct.on("message")
def say(ws: WebSocketConnector, msg: Say, loud: bool = False) -> Said:
    text = msg.text * msg.times
    return Said(text.upper() if loud else text)


async_struct = WebSocket(app, "/async_struct")


@async_struct.on("message")
async def async_say(msg: Say) -> Said:
    return Said(msg.text * msg.times)


union = WebSocket(app, "/union")


@union.on("message")
def either(ws: WebSocketConnector, msg: Say | Join) -> Said:
    return Said(type(msg).__name__)


several = WebSocket(app, "/several")


@several.on("message", type=Join)
def join(ws: WebSocketConnector, msg: Join) -> None:
    ws.join(msg.room)
    ws.sync_broadcast(Said(f"{msg.room} entered"), room=msg.room)


@several.on("message", type=Say)
async def say_to_rooms(ws: WebSocketConnector, msg: Say) -> AsyncIterator[Said]:
    for _ in range(msg.times):
        yield Said(msg.text, by=str(sorted(ws.rooms)))


dataclass_ = WebSocket(app, "/dataclass")


@dataclass_.on("message")
def move(msg: Point) -> Point:
    return Point(msg.y, msg.x)


typed_dict = WebSocket(app, "/typed_dict")


@typed_dict.on("message")
def order(msg: Order) -> list[Any]:
    return [msg["item"]] * msg["count"]


numbers = WebSocket(app, "/numbers")


@numbers.on("message")
def add(msg: list[int]) -> dict[str, int]:
    return {"sum": sum(msg)}


model = WebSocket(app, "/model")


@model.on("message")
def double(ws: WebSocketConnector, msg: Model) -> Model:
    ws.send(msg)
    return Model(number=2 * msg.number)


models = WebSocket(app, "/models")


@models.on("message", type=Model)
def one_model(msg: Model) -> str:
    return f"model {msg.number}"


@models.on("message", type=Other)
def other_model(msg: Other) -> str:
    return f"other {msg.name}"


packed = WebSocket(app, "/packed", codec="msgpack")


@packed.on("message")
def unpack(ws: WebSocketConnector, msg: Say | Join) -> Any:
    ws.sync_broadcast(Said(type(msg).__name__))
    return {"as": [1, None]}


packed_model = WebSocket(app, "/packed_model", codec="msgpack")


@packed_model.on("message")
def unpack_model(msg: Model) -> Model:
    return msg


strict = WebSocket(app, "/strict", invalid_messages="close")


@strict.on("message")
def exactly(msg: Say) -> str:
    return msg.text


@app.websocket("/loop")
def loop(ws: Socket) -> None:
    while True:
        try:
            message = ws.receive_as(Say | Join)
        except ValueError as error:
            ws.send(f"{error}: {error.detail}")  # type: ignore[attr-defined]
        else:
            ws.send(Said(type(message).__name__))


@app.websocket("/async_loop")
async def async_loop(ws: AsyncSocket) -> None:
    while True:
        await ws.send(Said((await ws.receive_as(Say)).text))


@app.get("/tell")
def tell() -> str:
    struct.broadcast(Said("from a view"))
    struct.broadcast(Point(1))
    return ""


if __name__ == "__main__":
    start(app)
