"""Two applications in one process, with the same blueprint and with settings of their own."""

from __future__ import annotations

import flask
from werkzeug.middleware.dispatcher import DispatcherMiddleware

from gws import WebSocket
from tests.apps.base import app, start


def make_blueprint(name: str) -> flask.Blueprint:
    blueprint = flask.Blueprint("shared", __name__)
    websocket = WebSocket(blueprint, "/shared", name=name)

    @websocket.on("message")
    def message(msg: str) -> str:
        return f"{flask.current_app.name} {msg}"

    return blueprint


second = flask.Flask("second")
for each, size in (app, 10), (second, 20):
    each.config["GWS_MAX_MESSAGE_SIZE"] = size
    each.register_blueprint(make_blueprint(each.name))
app.wsgi_app = DispatcherMiddleware(app.wsgi_app, {"/second": second.wsgi_app})  # type: ignore[method-assign]

if __name__ == "__main__":
    start(app)
