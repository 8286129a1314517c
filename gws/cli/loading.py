"""Finds a Flask application by its name, as `flask --app` does, and says which WebSockets it has."""

from __future__ import annotations

import os
import sys
import traceback
from typing import NamedTuple

import click
from flask import Flask
from flask.cli import ScriptInfo

from ..application.websocket import websockets_of
from ..cluster.endpoint import Endpoint
from ..cluster.names import declared
from ..printable import printable
from ..servers.gunicorn_start import find_worker
from ..servers.serve import importing
from .run import CANNOT_START


class Route(NamedTuple):
    """A WebSocket of an application, as its URL map has it."""

    rule: str
    """With the prefix of its blueprint."""
    view: str
    """What `flask.url_for` takes."""
    endpoint: Endpoint
    events: list[str]
    """For which it has handlers."""


def load(name: str | None) -> Flask:
    """Return an application.

    Args:
        name: `module`, `module:app`, `module:create_app`, `module:create_app('argument')` or a file in place of the
            module; None looks for `wsgi.py` and `app.py`.

    Raises:
        click.UsageError: there is none of this name; it says why.
        Exception: whatever the module raises when it is imported.
    """
    # An `app.run()` or `app.start()` that no `if __name__ == "__main__"` protects does nothing.
    os.environ["FLASK_RUN_FROM_CLI"] = "true"
    try:
        with importing():
            return ScriptInfo(name, set_debug_flag=False).load_app()
    finally:
        del os.environ["FLASK_RUN_FROM_CLI"]


def load_or_exit(name: str | None) -> Flask:
    """Return an application; where it cannot be had, show why and end with exit code 3."""
    try:
        return load(name)
    except click.UsageError as error:
        click.echo(f"gws: {error.format_message()}", err=True)
    except Exception:  # noqa: BLE001 - whatever the application raises is shown
        traceback.print_exc()
        click.echo(f"gws: {printable(name or 'the application')} cannot be imported: see above", err=True)
    sys.exit(CANNOT_START)


def load_in_worker(name: str | None, url: str | None) -> Flask:
    """Return an application in a gunicorn worker, the first of which says where it is.

    Args:
        name: as for `load`.
        url: of the server; None says nothing.
    """
    app = load(name)
    worker = find_worker()
    if url is not None and (worker is None or worker.age == 1):
        announce(app, url)
    return app


def announce(app: Flask, url: str) -> None:
    """Print where the application and its WebSockets are."""
    lines = [f"gws listens on {url}"]
    lines += [f"  {url.replace('http', 'ws', 1)}{printable(route.rule)}" for route in routes_of(app)]
    click.echo("\n".join(lines), err=True)


def routes_of(app: Flask) -> list[Route]:
    """Return the WebSockets that gws serves, sorted by URL rule."""
    endpoints = declared(app)
    return sorted(
        Route(rule.rule, rule.endpoint, endpoints[websocket.name], list(websocket.handlers))
        for rule, websocket in websockets_of(app)
        if websocket.name in endpoints
    )
