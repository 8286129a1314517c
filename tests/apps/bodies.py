"""Views that read the bodies of requests, in every way and not at all, and one with a long answer."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import flask
from flask import request

from gws import WebSocket
from gws.servers import http_body
from tests.apps.base import app, start, value

http_body.PATIENCE = value("patience", http_body.PATIENCE)  # type: ignore[misc]
web_socket = WebSocket(app, "/web_socket")


@app.post("/read")
def read() -> str:
    return f"{len(request.get_data())} bytes"


@app.post("/lines")
def lines() -> dict[str, list[str]]:
    return {"lines": [line.decode() for line in request.environ["wsgi.input"]]}


def read_pieces(stream: Any) -> Iterator[bytes]:
    while piece := stream.read(1000):
        yield piece.upper()


@app.post("/upper")
def upper() -> flask.Response:
    headers = {"Content-Length": request.headers["Content-Length"]}
    return flask.Response(read_pieces(request.stream), headers=headers)


def read_late(stream: Any) -> Iterator[str | bytes]:
    yield ""
    yield "start "
    yield stream.read().upper()


@app.post("/late")
def late() -> flask.Response:
    pieces: Any = read_late(request.stream)
    return flask.Response(pieces, headers={"Content-Length": "11"})


def read_first(stream: Any) -> Iterator[bytes]:
    yield stream.read(3)


@app.post("/first")
def first() -> flask.Response:
    return flask.Response(read_first(request.stream), headers={"Content-Length": "3"})


@app.post("/unread")
def unread() -> str:
    return "not read"


@app.get("/much")
def much() -> str:
    return "x" * 20_000_000


@app.get("/secret")
def secret() -> str:
    return "smuggled"


if __name__ == "__main__":
    start(app)
