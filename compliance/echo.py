"""The server under test, which returns every message: `python -m compliance.echo`, or `create_app` for gunicorn."""

# Monkey patching comes before what it patches is imported.
# ruff: noqa: E402

from gevent import monkey

monkey.patch_all()

import sys
from typing import Final

from flask import Flask

import gws

MAX_MESSAGE_SIZE: Final = 16 * 1024 * 1024 + 1024
"""Bytes: cases 9.1.6 and 9.2.6 send 16 MiB."""


def create_app(*, compression: bool) -> Flask:
    """Return the application, with its WebSocket at "/".

    Args:
        compression: whether to agree to permessage-deflate (RFC 7692).
    """
    app = Flask(__name__)
    websocket = gws.WebSocket(app, "/", max_message_size=MAX_MESSAGE_SIZE, compression=compression)

    @websocket.on("message")
    def echo(msg: str | bytes) -> str | bytes:
        return msg

    return app


if __name__ == "__main__":
    gws.serve(create_app(compression="--compression" in sys.argv), port=0)
