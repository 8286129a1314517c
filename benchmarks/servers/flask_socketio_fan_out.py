"""One worker of Flask-SocketIO on gevent: `python flask_socketio_fan_out.py HOST PORT QUEUE [simple]`.

The idiom is its documentation's: `emit` with `broadcast`, a message queue, and gunicorn with one worker, of which
there are to be several. WebSockets are those of gevent-websocket and its worker class, or with `simple` those of
simple-websocket and gunicorn's gevent worker; its documentation has both.
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


@socketio.on("connect")
def connect() -> None:
    emit("message", f"hello {os.getpid()}")


@socketio.on("message")
def message(text: str) -> None:
    emit("message", text, broadcast=True)


if __name__ == "__main__":
    host, port, os.environ["FAN_OUT_QUEUE"], *simple = sys.argv[1:]
    worker = "geventwebsocket.gunicorn.workers.GeventWebSocketWorker"
    if simple:
        worker, os.environ["FAN_OUT_SIMPLE"] = "gevent", "yes"
    gunicorn = [sys.executable, "-m", "gunicorn", "--worker-class", worker, "--workers", "1", "--log-level", "warning"]
    directory = os.path.dirname(os.path.abspath(__file__))
    where = ["--chdir", directory, "--bind", f"{host}:{port}", "flask_socketio_fan_out:app"]
    os.execv(sys.executable, [*gunicorn, *where])
