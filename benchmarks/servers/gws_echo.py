"""Echo with gws: `python gws_echo.py HOST PORT [async] [teardown] [loop | loads | typed]`.

The idiom is its README's: a Flask application, a WebSocket around it and a handler that returns the answer,
as `def` or as `async def`, with a teardown function, such as Flask-SQLAlchemy's, or without; as a handler that
receives; or with a message of JSON, by hand or of a type. Everything else is gws's default: keepalive, limits, one
process.
"""

from __future__ import annotations

from gevent import monkey

monkey.patch_all()

import json
import sys

from flask import Flask

import gws
from gws import WebSocket, WebSocketConnector

app = Flask(__name__)


def message(ws: WebSocketConnector, msg: str) -> str:
    return msg


async def message_async(ws: WebSocketConnector, msg: str) -> str:
    return msg


def receive(ws: gws.Socket) -> None:
    for message in ws:
        ws.send(message)


async def receive_async(ws: gws.AsyncSocket) -> None:
    async for message in ws:
        await ws.send(message)


def message_by_hand(ws: WebSocketConnector, msg: str) -> str:
    return json.dumps(json.loads(msg), separators=(",", ":"))


def give_back(error: BaseException | None) -> None:
    """Do nothing, as Flask-SQLAlchemy does when there was no query."""


if __name__ == "__main__":
    if "teardown" in sys.argv[3:]:
        app.teardown_appcontext(give_back)
    if "loop" in sys.argv[3:]:
        gws.websocket(app, "/web_socket")(receive_async if "async" in sys.argv[3:] else receive)
    elif "typed" in sys.argv[3:]:
        import msgspec

        Say = msgspec.defstruct("Say", [("room", str), ("text", str)], tag=True)
        WebSocket(app, "/web_socket").on("message", type=Say)(lambda msg: msg)
    elif "loads" in sys.argv[3:]:
        WebSocket(app, "/web_socket").on("message")(message_by_hand)
    else:
        WebSocket(app, "/web_socket").on("message")(message_async if "async" in sys.argv[3:] else message)
    gws.serve(app, host=sys.argv[1], port=int(sys.argv[2]))
