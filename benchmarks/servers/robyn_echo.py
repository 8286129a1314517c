"""Echo with Robyn 0.65, the release whose API gws has: `python robyn_echo.py HOST PORT [async]`.

The idiom is its documentation's: a WebSocket around the app and a handler that returns the answer, as `def`
or as `async def`. One process, one worker: its defaults. All three events must be registered, or it does
not start.
"""

import sys

from robyn import Robyn, WebSocket

app = Robyn(__file__)
websocket = WebSocket(app, "/web_socket")


def message(ws, msg):  # Robyn tells parameters by name, and passes them by position
    return msg


async def message_async(ws, msg):
    return msg


@websocket.on("connect")
def connect() -> None:
    """Send nothing: the load generator expects echoes alone."""


@websocket.on("close")
def close() -> None:
    """Send nothing."""


if __name__ == "__main__":
    websocket.on("message")(message_async if "async" in sys.argv[3:] else message)
    app.start(host=sys.argv[1], port=int(sys.argv[2]))
