"""Broadcast with gws: `python gws_broadcast.py HOST PORT`. The idiom is its guide's: `ws.sync_broadcast`."""

from gevent import monkey

monkey.patch_all()

import sys

from flask import Flask

import gws
from gws import WebSocket, WebSocketConnector

app = Flask(__name__)
websocket = WebSocket(app, "/web_socket")


@websocket.on("message")
def message(ws: WebSocketConnector, msg: str) -> None:
    ws.sync_broadcast(msg)


if __name__ == "__main__":
    gws.serve(app, host=sys.argv[1], port=int(sys.argv[2]))
