"""Native threads that call everything that gws lets a thread call."""

from __future__ import annotations

import os
import time
from collections.abc import Callable

import flask
from flask.ctx import RequestContext
from flask.globals import request_ctx
from gevent import monkey

from gws import Publisher, WebSocket, WebSocketConnector
from gws.backplane.urls import MEMORY
from tests.apps.base import app, start

start_native_thread = monkey.get_original("_thread", "start_new_thread")
url = os.environ["GWS_BACKPLANE_URL"]
publisher = None if url == MEMORY else Publisher(url)
chat = WebSocket(app, "/chat", ping_interval=None)
late: list[WebSocket] = []
connectors: dict[str, WebSocketConnector] = {}


@chat.on("connect")
def connect(ws: WebSocketConnector) -> str:
    connectors[ws.id] = ws
    return ws.id


def publish(what: str, *arguments: object) -> object:
    return publisher and getattr(publisher, what)("/chat", *arguments)


def do_all(recipient: str) -> dict[str, object]:
    """Call everything, and return what it returns."""
    ws = next(iter(connectors.values()))
    calls: dict[str, Callable[[], object]] = {
        "broadcast": lambda: chat.broadcast("hello", exclude=[recipient]),
        "to nobody's room": lambda: chat.broadcast("hello", room="nobody's"),
        "send_to": lambda: chat.send_to(recipient, "for you"),
        "close_connection": lambda: chat.close_connection("nobody"),
        "connections": lambda: sorted(chat.connections()),
        "count": chat.count,
        "is_ready": lambda: chat.is_ready,
        "join": lambda: ws.join("ops"),
        "leave": lambda: ws.leave("sales"),
        "sync_broadcast": lambda: ws.sync_broadcast("hello", "sales"),
        "sync_send_to": lambda: ws.sync_send_to(recipient, "for you"),
        "Publisher.broadcast": lambda: publish("broadcast", "hello", "sales"),
        "Publisher.send_to": lambda: publish("send_to", recipient, "for you"),
        "Publisher.close_connection": lambda: publish("close_connection", "nobody"),
    }
    return {name: call() for name, call in calls.items()}


def first_use(contexts: list[RequestContext]) -> int:
    """Use an endpoint that was made after the start, with a view's context, which a thread may have been given."""
    with contexts.pop():
        return late[-1].count()


def in_threads(count: int, function: Callable[..., object], *arguments: object) -> list[object]:
    """Call a function in so many threads at once, and return what each returns."""
    done: list[object] = []
    for _ in range(count):
        start_native_thread(lambda: done.append(attempt(function, *arguments)), ())
    deadline = time.monotonic() + 30
    while len(done) < count:
        assert time.monotonic() < deadline, f"{count - len(done)} threads have not ended"
        time.sleep(0.01)
    return done


def attempt(function: Callable[..., object], *arguments: object) -> object:
    try:
        return function(*arguments)
    except Exception as error:  # noqa: BLE001
        return f"{type(error).__name__}: {error}"


@app.get("/all/<int:count>/<recipient>")
def all_in_threads(count: int, recipient: str) -> list[object]:
    return in_threads(count, do_all, recipient)


@app.get("/late/<int:count>")
def late_in_threads(count: int) -> list[object]:
    late.append(WebSocket(flask.Flask("late"), f"/late/{len(late)}"))
    return in_threads(count, first_use, [request_ctx.copy() for _ in range(count)])


if __name__ == "__main__":
    start(app)
