"""`gws publish`, `gws send` and `gws close`: what a `Publisher` does, from a shell."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import click

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


@click.command()
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


@click.command()
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


@click.command()
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
