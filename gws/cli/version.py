"""`gws version`: which gws this is, and what it stands on."""

from __future__ import annotations

import platform
from contextlib import suppress
from importlib import metadata
from typing import Final

import click

from .. import compiled

PACKAGES: Final = ("gevent", "Flask", "Werkzeug", "websockets", "gevent-websocket", "gunicorn", "redis")


@click.command()
def version() -> None:
    """Print what runs here: versions, and whether gws's hot modules are compiled."""
    for line in describe():
        click.echo(line)


def describe() -> list[str]:
    """Return the versions, a line each."""
    state = "compiled" if compiled.is_compiled else f"not compiled: {compiled.why_not()}"
    lines = [
        f"gws {metadata.version('gevent-gws')}, {state}",
        f"Python {platform.python_version()} on {platform.platform()}",
    ]
    for package in PACKAGES:
        with suppress(metadata.PackageNotFoundError):
            lines.append(f"{package} {metadata.version(package)}")
    return lines
