"""Two applications with the same URL rule, and a third that hands requests on to them."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import flask
from werkzeug.middleware.dispatcher import DispatcherMiddleware

from gws import WebSocket, WebSocketConnector
from tests.apps.base import app, start, value

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication


def serve(chat: WebSocket) -> None:
    """Give an endpoint handlers that call its methods."""

    @chat.on("connect")
    def connect(ws: WebSocketConnector) -> dict[str, Any]:
        ws.join("ops")
        return {"answer": [ws.id, os.getpid()]}

    @chat.on("message")
    def obey(msg: str) -> dict[str, Any]:
        what, *arguments = json.loads(msg)
        return {"answer": getattr(chat, what)(*arguments)}


def make(import_name: str, **settings: Any) -> flask.Flask:
    """Return an application with such an endpoint."""
    made = flask.Flask(import_name)
    serve(WebSocket(made, "/chat", ping_interval=None, **settings))
    return made


def mount(**apps: WSGIApplication) -> None:
    """Have the third application hand on by the first part of the path."""
    mounts = {f"/{path}": made for path, made in apps.items()}
    app.wsgi_app = DispatcherMiddleware(app.wsgi_app, mounts)  # type: ignore[method-assign]


if value("are_mounted", False):
    backplane: str | None = value("backplane", None)
    mount(one=make("one", backplane=backplane), two=make("two", name="second chat", backplane=backplane))


if __name__ == "__main__":
    start(app)
