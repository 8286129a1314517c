"""One worker of Flask-SocketIO on gevent: `python flask_socketio_fan_out.py HOST PORT QUEUE`; there are to be several.

The idiom is its documentation's: `emit` with `broadcast`, a message queue, and gunicorn with one worker. It has two
ways to WebSockets on gevent: gevent-websocket with its worker class, and, with FAN_OUT_SIMPLE in the environment,
simple-websocket with gunicorn's gevent worker.
"""

from gevent import monkey

monkey.patch_all()

import os
import sys

SIMPLE = "FAN_OUT_SIMPLE" in os.environ
if SIMPLE:
    sys.modules["geventwebsocket"] = None  # As if it were not installed, for that is how Engine.IO chooses.

from flask import Flask
from flask_socketio import SocketIO, emit

app = Flask(__name__)
socketio = SocketIO(app, message_queue=os.environ.get("FAN_OUT_QUEUE"))


@app.get("/")
def ready() -> str:
    return str(os.getpid())


@socketio.on("connect")
def connect() -> None:
    emit("message", f"hello {os.getpid()}")


@socketio.on("message")
def message(text: str) -> None:
    emit("message", text, broadcast=True)


if __name__ == "__main__":
    host, port, os.environ["FAN_OUT_QUEUE"] = sys.argv[1:]
    worker = "gevent" if SIMPLE else "geventwebsocket.gunicorn.workers.GeventWebSocketWorker"
    gunicorn = [sys.executable, "-m", "gunicorn", "--worker-class", worker, "--workers", "1"]
    directory = os.path.dirname(os.path.abspath(__file__))
    where = ["--log-level", "warning", "--chdir", directory, "--bind", f"{host}:{port}"]
    os.execv(sys.executable, [*gunicorn, *where, "flask_socketio_fan_out:app"])
