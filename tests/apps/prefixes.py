"""Blueprints in blueprints, whose prefixes have variables."""

from __future__ import annotations

import flask

from gws import WebSocket
from tests.apps.base import app, start

outer = flask.Blueprint("outer", __name__)
inner = flask.Blueprint("inner", __name__, url_prefix="/<kind>")
room = WebSocket(inner, "/<name>")


@room.on("message")
def message(kind: str, name: str, city: str, lang: str = "none") -> list[str]:
    return [lang, city, kind, name]


outer.register_blueprint(inner, url_prefix="/<city>/<kind>")
app.register_blueprint(outer, url_prefix="/<lang>")

twice = flask.Blueprint("twice", __name__)
here = WebSocket(twice, "/here/<name>")


@here.on("message")
def message_here(name: str, lang: str = "none") -> list[str]:
    return [lang, name]


app.register_blueprint(twice, url_prefix="/<lang>")
app.register_blueprint(twice, url_prefix="/plain", name="again")


if __name__ == "__main__":
    start(app)
