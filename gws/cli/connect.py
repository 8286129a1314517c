"""`gws connect`: talks to a WebSocket from a terminal, or from a pipe."""

from __future__ import annotations

import os
import sys
from typing import Any

import click

from .session import Session
from .target import INTERRUPTED, handshake_options, make_target


@click.command()
@handshake_options
@click.option(
    "-x", "--execute", multiple=True, metavar="TEXT", help="Send TEXT, and read no input; repeatable."
)
@click.option(
    "-w",
    "--wait",
    default=1.0,
    show_default=True,
    help="Seconds to go on listening when all is sent, with -x or a pipe; inf: until the server closes.",
)
@click.option("--reconnect", is_flag=True, help="Connect again when the connection is lost.")
@click.option(
    "--template",
    "templates",
    multiple=True,
    metavar="NAME=TEXT",
    help='Make a command: /NAME words sends TEXT with "words" for $1; repeatable.',
)
def connect(
    execute: tuple[str, ...], wait: float, reconnect: bool, templates: tuple[str, ...], **options: Any
) -> None:
    """Talk to the WebSocket at URL.

    In a terminal, each line is a message, and /help lists commands such as /ping and /close. From a pipe, each line is
    a message as it stands, and each answer is a line. A program can tell by the exit code how it ended:

    \b
    0    closed with 1000, or by you
    1    no connection
    2    a wrong option
    3    the handshake was refused, by an HTTP status
    4    the server closed with another code than 1000
    5    the connection was lost
    130  Ctrl-C
    """  # noqa: D301 - click's mark, by which these lines stay lines
    if not wait >= 0:
        raise click.UsageError("--wait is a number of seconds, or inf")
    session = Session(make_target(**options), _parse(templates), list(execute), wait, reconnect)
    try:
        code = session.run()
    except KeyboardInterrupt:
        session.close()
        code = INTERRUPTED
    except BrokenPipeError:
        # Who reads the messages has had enough.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        session.close()
        code = 0
    sys.exit(code)


def _parse(templates: tuple[str, ...]) -> dict[str, str]:
    pairs = [template.partition("=") for template in templates]
    if not all(name and mark for name, mark, _ in pairs):
        raise click.UsageError("--template is written NAME=TEXT")
    return {name.removeprefix("/"): text for name, _, text in pairs}
