"""The command line, `python -m gws`: what a `Publisher` does, from a shell, and which gws this is."""

from __future__ import annotations

import platform
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib import metadata

import click

from .. import compiled
from ..backplane.urls import redact_all
from ..cluster.publisher import Publisher
from ..errors import GwsError
from ..printable import printable

_url = click.option(
    "--url",
    required=True,
    envvar="GWS_BACKPLANE_URL",
    show_envvar=True,
    help="The backplane, as the application has it: redis://, rediss://, unix://, valkey:// or valkeys://.",
)
_endpoint = click.option(
    "--endpoint",
    required=True,
    help='The name of the WebSocket: its URL rule, such as "/rooms/<name>", if it was given no other.',
)


class _Group(click.Group):
    """Says what is wrong with a command line without the password in it, wherever that stands."""

    def invoke(self, ctx: click.Context) -> object:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except click.UsageError as error:
            raise click.UsageError(redact_all(error.format_message()), error.ctx) from None


@click.group(cls=_Group)
def main() -> None:
    """Send to the WebSockets of a running application, from outside of it; and say which gws this is."""


@main.command()
@_url
@_endpoint
@click.option("--room", help="The room whose members get it; without one, every connection does.")
@click.argument("text")
def publish(url: str, endpoint: str, room: str | None, text: str) -> None:
    """Send TEXT to all connections, or to a room's.

    "-" stands for what comes in on the standard input. Prints how many of the application's processes heard it; that
    none has the endpoint is an error.
    """
    with _publisher(url) as publisher:
        count = publisher.broadcast(endpoint, _read(text), room)
        if not count:
            _expect_endpoint(publisher, endpoint)
    click.echo(f"{count} {'node' if count == 1 else 'nodes'} heard it")


@main.command()
@_url
@_endpoint
@click.argument("connection_id", metavar="ID")
@click.argument("text")
def send(url: str, endpoint: str, connection_id: str, text: str) -> None:
    """Send TEXT to the connection whose ws.id is ID.

    "-" stands for what comes in on the standard input.
    """
    with _publisher(url) as publisher:
        _expect_endpoint(publisher, endpoint)
        _expect(publisher.send_to(endpoint, connection_id, _read(text)), connection_id)


@main.command()
@_url
@_endpoint
@click.option("--code", default=1000, show_default=True, help="The close code.")
@click.option("--reason", default="Connection closed", show_default=True, help="What it says to people.")
@click.argument("connection_id", metavar="ID")
def close(url: str, endpoint: str, code: int, reason: str, connection_id: str) -> None:
    """Close the connection whose ws.id is ID."""
    with _publisher(url) as publisher:
        _expect_endpoint(publisher, endpoint)
        _expect(publisher.close_connection(endpoint, connection_id, code, reason), connection_id)


@main.command()
def version() -> None:
    """Print what runs here: versions, and whether gws's hot modules are compiled."""
    state = "compiled" if compiled.is_compiled else f"not compiled: {compiled.why_not()}"
    click.echo(f"gws {metadata.version('gevent-gws')}, {state}")
    click.echo(f"Python {platform.python_version()} on {platform.platform()}")
    for package in ("gevent", "Flask", "Werkzeug", "websockets", "gevent-websocket", "gunicorn", "redis"):
        with suppress(metadata.PackageNotFoundError):
            click.echo(f"{package} {metadata.version(package)}")


@contextmanager
def _publisher(url: str) -> Iterator[Publisher]:
    """Return a publisher, whose errors are one line and exit code 1."""
    try:
        with Publisher(url) as publisher:
            yield publisher
    except (GwsError, ValueError) as error:
        raise click.ClickException(str(error)) from None


def _read(text: str) -> str:
    """Return the text, or all of the standard input as it is."""
    return sys.stdin.buffer.read().decode() if text == "-" else text


def _expect_endpoint(publisher: Publisher, endpoint: str) -> None:
    if publisher.nodes(endpoint):
        return
    known = ", ".join(map(printable, publisher.endpoints()))
    raise click.ClickException(
        f"no running process has the endpoint {printable(endpoint)}: "
        + (f"there are {known}" if known else "there is none at all on this server, in this namespace")
    )


def _expect(was_heard: bool, connection_id: str) -> None:
    if not was_heard:
        raise click.ClickException(f"no running process has the connection {connection_id}")
    click.echo("its node heard it")
