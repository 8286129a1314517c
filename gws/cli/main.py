"""The commands, each imported when it is called: `gws version` waits for no server, and `gws send` for no Flask."""

from __future__ import annotations

import importlib
import os
import sys
from typing import Final

import click

from ..backplane.urls import redact_all

COMMANDS: Final = {
    "run": "run",
    "connect": "connect",
    "bench": "bench",
    "doctor": "doctor",
    "routes": "routes",
    "asyncapi": "asyncapi",
    "publish": "remote",
    "send": "remote",
    "close": "remote",
    "version": "version",
}
"""The module of each command, which has a function of the command's name."""

_AS_FLASK_WS: Final = "from gws.cli.main import main; main(prog_name='flask ws')"


class _Commands(click.Group):
    """The table above as a click group; it shows no password of a command line that is wrong."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names, those first that people need first."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command; None if there is none of this name."""
        if cmd_name not in COMMANDS:
            return None
        command = getattr(importlib.import_module(f"{__package__}.{COMMANDS[cmd_name]}"), cmd_name)
        assert isinstance(command, click.Command)
        return command

    def invoke(self, ctx: click.Context) -> object:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except click.UsageError as error:
            raise click.UsageError(redact_all(error.format_message()), error.ctx) from None


@click.group(cls=_Commands)
def main() -> None:
    """Run, try, measure and check the WebSockets of a Flask application, and send to them from outside."""


@click.command(
    context_settings={
        "ignore_unknown_options": True,
        "allow_extra_args": True,
        "allow_interspersed_args": False,
    },
    add_help_option=False,
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
@click.pass_context
def flask_ws(ctx: click.Context, arguments: tuple[str, ...]) -> None:
    """WebSockets by gws: run, connect, bench, doctor, routes, asyncapi."""
    # A new program: this one has imported Flask and its plugins, and is too old to be patched for gevent.
    app = getattr(ctx.find_root().obj, "app_import_path", None)
    environment = os.environ | ({"FLASK_APP": app} if app else {})
    sys.stdout.flush()
    sys.stderr.flush()
    os.execve(sys.executable, [sys.executable, "-c", _AS_FLASK_WS, *arguments], environment)
