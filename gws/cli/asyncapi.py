"""`gws asyncapi`: what an application's WebSockets say and understand, as a document."""

from __future__ import annotations

import json

import click
from gevent import monkey

from ..application.asyncapi import describe
from .loading import load_or_exit


@click.command()
@click.argument("app", required=False, envvar="FLASK_APP")
@click.option("--title", help="Of the application; its name, if none is given.")
@click.option("--version", default="1.0.0", show_default=True, help="Of the application's messages.")
def asyncapi(app: str | None, title: str | None, version: str) -> None:
    """Print an AsyncAPI 3 document of the WebSockets of APP, which is named as for `gws run`."""
    monkey.patch_all()
    click.echo(json.dumps(describe(load_or_exit(app), title, version), indent=2))
