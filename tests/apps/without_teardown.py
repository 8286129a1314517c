"""Nobody who is told of teardowns: handlers that leave something in `g`, or fail, where others listen."""

from __future__ import annotations

import logging

import flask

from gws import WebSocket
from tests.apps.base import app, start


class Handler(logging.Handler):
    """Prints the errors of records."""

    def emit(self, record: logging.LogRecord) -> None:
        if record.exc_info:
            print("app.logger:", record.getMessage(), record.exc_info[1], flush=True)


app.logger.addHandler(Handler())


@flask.got_request_exception.connect_via(app)
def tell(sender: flask.Flask, exception: BaseException) -> None:
    print("signal:", sender.name, exception, flask.request.path, flush=True)


remembering = WebSocket(app, "/g")


@remembering.on("message")
def remember(msg: str) -> list[str]:
    before = sorted(flask.g)
    flask.g.mine = msg
    return before


failing = WebSocket(app, "/failing")


@failing.on("message")
def fail() -> None:
    raise ValueError("mine")


if __name__ == "__main__":
    start(app)
