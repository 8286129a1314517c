"""`gws routes`: the WebSockets of an application."""

from __future__ import annotations

import dataclasses

import click
from gevent import monkey

from ..printable import printable
from ..settings import Settings, from_final_config
from .loading import Route, load_or_exit, routes_of

HEAD = ("rule", "name", "handlers", "settings that are not the defaults")


@click.command()
@click.argument("app", required=False, envvar="FLASK_APP")
def routes(app: str | None) -> None:
    """List the WebSockets of APP, which is named as for `gws run`.

    A name that differs from the rule is what other processes and a Publisher know the WebSocket by.
    """
    monkey.patch_all()
    found = routes_of(load_or_exit(app))
    if not found:
        raise click.ClickException("the application has no WebSocket: make one with gws.WebSocket(app, rule)")
    rows = [HEAD, *map(_row, found)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        click.echo("  ".join(map(str.ljust, row, widths)).rstrip())


def _row(route: Route) -> tuple[str, ...]:
    name = route.endpoint.name
    return (
        printable(route.rule),
        "=" if name == route.rule else printable(name),
        " ".join(route.events) or "none",
        printable(_differences(from_final_config(route.endpoint.config, route.endpoint.settings))) or "none",
    )


def _differences(settings: Settings) -> str:
    return ", ".join(
        f"{field.name}={getattr(settings, field.name)!r}"
        for field in dataclasses.fields(settings)
        if getattr(settings, field.name) != field.default
    )
