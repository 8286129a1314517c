"""No teardown function, but somebody who hears Flask's signal of teardowns."""

from __future__ import annotations

from typing import Any

import flask

from gws import WebSocket
from tests.apps.base import app, start

websocket = WebSocket(app, "/web_socket")
torn: list[str | None] = []


@flask.appcontext_tearing_down.connect_via(app)
def tear_down(sender: flask.Flask, **more: Any) -> None:
    torn.append(flask.g.pop("mine", None))


@websocket.on("message")
def message(msg: str) -> list[str | None]:
    flask.g.mine = msg
    return [one for one in torn if one]


if __name__ == "__main__":
    start(app)
