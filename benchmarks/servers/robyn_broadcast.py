"""Broadcast with Robyn 0.65: `python robyn_broadcast.py HOST PORT`.

The idiom is its documentation's: `sync_broadcast` in a `def`. All three events must be registered, or it does not
start.
"""

import sys

from robyn import Robyn, WebSocket

app = Robyn(__file__)
websocket = WebSocket(app, "/web_socket")


@websocket.on("message")
def message(ws, msg):  # Robyn tells parameters by name, and passes them by position
    ws.sync_broadcast(msg)


@websocket.on("connect")
def connect() -> None:
    """Send nothing: the load generator expects its own messages alone."""


@websocket.on("close")
def close() -> None:
    """Send nothing."""


if __name__ == "__main__":
    app.start(host=sys.argv[1], port=int(sys.argv[2]))
