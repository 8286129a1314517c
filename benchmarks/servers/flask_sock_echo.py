"""Echo with flask-sock on gevent: `python flask_sock_echo.py HOST PORT`.

The idiom is its documentation's: a route with a loop of `receive` and `send`, under gunicorn's gevent worker. No
pings, which is its default.
"""

import os
import sys

from flask import Flask
from flask_sock import Sock
from simple_websocket import Server

app = Flask(__name__)
sock = Sock(app)


@sock.route("/web_socket")
def echo(ws: Server) -> None:
    while True:
        ws.send(ws.receive())


if __name__ == "__main__":
    gunicorn = [sys.executable, "-m", "gunicorn", "--worker-class", "gevent", "--log-level", "warning"]
    directory = os.path.dirname(os.path.abspath(__file__))
    address = ":".join(sys.argv[1:3])
    os.execv(sys.executable, [*gunicorn, "--chdir", directory, "--bind", address, "flask_sock_echo:app"])
