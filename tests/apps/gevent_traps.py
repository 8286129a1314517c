"""An application that lets strangers at its greenlets, and at the insides of gws."""

from __future__ import annotations

import types
from typing import Any

import gevent
from gevent import monkey
from gevent.event import Event

from gws import WebSocket, WebSocketConnector
from tests.apps.base import app, start

websocket = WebSocket(app, "/web_socket")
lively = WebSocket(app, "/lively", ping_interval=0.1)
hub = gevent.get_hub()
greenlets: dict[str, Any] = {}
"""Those of the connections, by the tags of these."""
connectors: dict[str, WebSocketConnector] = {}


def tag_of(ws: WebSocketConnector) -> str:
    return ws.query_params.get("tag") or ""


@websocket.on("connect")
@lively.on("connect")
def connect(ws: WebSocketConnector) -> None:
    tag = tag_of(ws)
    greenlets[tag] = gevent.getcurrent()
    connectors[tag] = ws
    if "hesitate" in ws.query_params:
        print("hesitates", tag, flush=True)
        Event().wait()


@websocket.on("message")
def message(ws: WebSocketConnector, msg: str) -> str:
    tag = tag_of(ws)
    greenlets[tag] = gevent.getcurrent()
    if msg == "wait":
        print("waits", tag, flush=True)
        Event().wait()
    return msg


@websocket.on("close")
@lively.on("close")
def close(ws: WebSocketConnector) -> str:
    tag = tag_of(ws)
    greenlets[tag] = gevent.getcurrent()
    connectors.pop(tag, None)
    if "linger" in ws.query_params:
        print("lingers", tag, flush=True)
        try:
            Event().wait()
        finally:
            print("closed", tag, ws.close_code, flush=True)
    greenlets.pop(tag, None)
    print("closed", tag, ws.close_code, flush=True)
    return "bye"


# Strangers


class StrangeError(Exception):
    """One that only a stranger raises."""


class StrangeBaseError(BaseException):
    """One that few catch."""


@app.get("/switch/<tag>")
def switch(tag: str) -> str:
    for _ in range(100):
        hub.loop.run_callback(greenlets[tag].switch, "from a stranger")
        gevent.sleep(0)
    return ""


@app.get("/kill/<tag>/<kind>")
def kill(tag: str, kind: str) -> str:
    kinds = {
        "GreenletExit": gevent.GreenletExit,
        "Exception": StrangeError,
        "BaseException": StrangeBaseError,
        "Timeout": gevent.Timeout(1),
    }
    greenlets[tag].kill(kinds[kind], block=False)
    return ""


@app.get("/keep/<tag>")
def keep(tag: str) -> str:
    """Keep a greenlet for longer than its connection lives."""
    greenlets["kept"] = greenlets[tag]
    return ""


# Faults in gws


def take_setting(connection: Any, name: str) -> None:
    """Have a connection find that it lacks a setting."""
    settings = connection.settings
    known = {known: getattr(settings, known) for known in settings.__slots__ if known != name}
    connection.settings = types.SimpleNamespace(**known)


@app.get("/sabotage/<tag>/<what>")
def sabotage(tag: str, what: str) -> str:
    connection: Any = connectors[tag]._connection
    if what == "reading":
        connection._reader.messages = None
    else:
        take_setting(connection, "ping_timeout")
    return ""


unlucky = WebSocket(app, "/unlucky")


@unlucky.on("connect")
def have_opening_fail(ws: WebSocketConnector) -> None:
    take_setting(ws._connection, ws.query_params.get("without") or "")


# A crowd

crowd = WebSocket(app, "/crowd")
threads: list[list[str]] = []
"""For each thread that sends, what is not empty when it is to stop."""


@crowd.on("message")
def shout(ws: WebSocketConnector, msg: str) -> None:
    ws.sync_broadcast(msg)


@crowd.on("close")
def leave(ws: WebSocketConnector) -> None:
    print("left", ws.close_code, flush=True)


@app.get("/broadcast_from_callback")
def broadcast_from_callback() -> str:
    hub.loop.run_callback(crowd.broadcast, "from a callback")
    return ""


@app.get("/threads/begin")
def begin() -> str:
    sleep = monkey.get_original("time", "sleep")
    stop: list[str] = []
    threads.append(stop)

    def send() -> None:
        number = 0
        while not stop:
            crowd.broadcast(str(number))
            number += 1
            sleep(0.0002)
        crowd.broadcast("end")

    monkey.get_original("_thread", "start_new_thread")(send, ())
    return ""


@app.get("/threads/end")
def end() -> str:
    threads.pop().append("stop")
    return ""


if __name__ == "__main__":
    start(app)
