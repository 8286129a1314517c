"""Handshakes that an application answers with an error, with something of its own, or never."""

from __future__ import annotations

import asyncio

import flask
import gevent
from gevent.event import Event

from gws import WebSocket
from tests.apps.base import app, start

ERRORS: dict[str, type[BaseException]] = {"ValueError": ValueError, "gevent.Timeout": gevent.Timeout}
websocket = WebSocket(app, "/web_socket")


@app.before_request
def check() -> None:
    if name := flask.request.args.get("raise"):
        raise ERRORS[name](5)
    if "long" in flask.request.args:
        flask.abort(flask.Response("no", "400 " + "\xe4" * 200))


@app.route("/old", websocket=True)
def talk_to_gevent_websocket() -> str:
    """Talk as an application did before it had gws."""
    theirs = flask.request.environ["wsgi.websocket"]
    theirs.send("you said " + theirs.receive())
    return ""


forever = WebSocket(app, "/forever")
later = WebSocket(app, "/later")


@forever.on("connect")
def connect() -> None:
    Event().wait()


@later.on("connect")
async def connect_later() -> None:
    await asyncio.sleep(3600)


if __name__ == "__main__":
    start(app)
