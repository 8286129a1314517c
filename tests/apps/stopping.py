"""Handlers that take long while the server stops, a view that stops it, and a start that takes long."""

from __future__ import annotations

import gc
import os
import signal
import socket
import time

import gevent
from gevent.pywsgi import WSGIServer

from gws import WebSocket, WebSocketConnector
from gws.servers.shutdown import shutdown
from tests.apps.base import app, start, value

connecting = WebSocket(app, "/connecting")
closing = WebSocket(app, "/closing")
hesitating = WebSocket(app, "/hesitating")
silent = WebSocket(app, "/silent")


@connecting.on("connect")
def connect(ws: WebSocketConnector) -> None:
    if "accept" in ws.query_params:
        ws.accept()
    print("connecting", flush=True)
    take_long()


@connecting.on("close")
def fail() -> None:
    raise AssertionError("its connect handler has not finished")


@closing.on("close")
def close() -> None:
    take_long()


@hesitating.on("connect")
def hesitate() -> None:
    print("connecting", flush=True)
    time.sleep(1)


def take_long() -> None:
    try:
        time.sleep(60)
    finally:
        print("broken off", flush=True)


@app.get("/stop")
def stop() -> str:
    """Have the server stop, and return which of its servers still accept connections."""
    os.kill(os.getpid(), signal.SIGTERM)
    while not shutdown.is_stopping:
        gevent.sleep(0.001)
    servers = [found for found in gc.get_objects() if issubclass(type(found), WSGIServer)]
    return str([server.started for server in servers])


@app.get("/slow/<float:seconds>")
def slow(seconds: float) -> str:
    print("answering", flush=True)
    time.sleep(seconds)
    return "answered"


_getfqdn = socket.getfqdn


def getfqdn(name: str = "") -> str:
    """Look up the server's own name as a slow name service does, while gevent's server waits for it."""
    print("resolving", flush=True)
    time.sleep(1)
    return _getfqdn(name)


if value("has_slow_names", False):
    gevent.socket.getfqdn = socket.getfqdn = getfqdn


if __name__ == "__main__":
    start(app)
