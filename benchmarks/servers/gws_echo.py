"""Echo with gws: `python gws_echo.py HOST PORT [async] [teardown]`.

The idiom is its README's: a Flask application, a WebSocket around it and a handler that returns the answer,
as `def` or as `async def`, with a teardown function, such as Flask-SQLAlchemy's, or without. Everything else is
gws's default: keepalive, limits, one process.
"""

from gevent import monkey

monkey.patch_all()

import sys

from flask import Flask

import gws
from gws import WebSocket, WebSocketConnector

app = Flask(__name__)
websocket = WebSocket(app, "/web_socket")


def message(ws: WebSocketConnector, msg: str) -> str:
    return msg


async def message_async(ws: WebSocketConnector, msg: str) -> str:
    return msg


def give_back(error: BaseException | None) -> None:
    """Do nothing, as Flask-SQLAlchemy does when there was no query."""


if __name__ == "__main__":
    if "teardown" in sys.argv[3:]:
        app.teardown_appcontext(give_back)
    websocket.on("message")(message_async if "async" in sys.argv[3:] else message)
    gws.serve(app, host=sys.argv[1], port=int(sys.argv[2]))
