"""gws with several workers: `python gws_fan_out.py HOST PORT BACKPLANE WORKERS`.

The idiom is its guide's: `ws.sync_broadcast`, `ws.sync_send_to` and `ws.join`, under gunicorn.
"""

from gevent import monkey

monkey.patch_all()

import os
import sys

from flask import Flask

from gws import WebSocket, WebSocketConnector

UUID_SIZE = 36

app = Flask(__name__)
everyone = WebSocket(app, "/web_socket")
one = WebSocket(app, "/send_to")
rooms = WebSocket(app, "/rooms")


@app.get("/")
def ready() -> tuple[str, int]:
    """Which process this is, once it hears the others."""
    return str(os.getpid()), 200 if everyone.is_ready else 503


@everyone.on("connect")
@one.on("connect")
def connect(ws: WebSocketConnector) -> str:
    return f"hello {os.getpid()} {ws.id}"


@everyone.on("message")
def broadcast(ws: WebSocketConnector, msg: str) -> None:
    ws.sync_broadcast(msg)


@one.on("message")
def send(ws: WebSocketConnector, msg: str) -> None:
    ws.sync_send_to(msg[:UUID_SIZE], msg[UUID_SIZE:])


@rooms.on("message")
def join_and_leave(ws: WebSocketConnector, msg: str) -> str:
    """Return a room of its own each time."""
    room = f"{ws.id} {msg}"
    ws.join(room)
    ws.leave(room)
    return msg


if __name__ == "__main__":
    host, port, os.environ["GWS_BACKPLANE_URL"], workers = sys.argv[1:]
    gunicorn = [sys.executable, "-m", "gunicorn", "--worker-class", "gws.worker.Worker", "--workers", workers]
    directory = os.path.dirname(os.path.abspath(__file__))
    where = ["--log-level", "warning", "--chdir", directory, "--bind", f"{host}:{port}"]
    os.execv(sys.executable, [*gunicorn, *where, "gws_fan_out:app"])
