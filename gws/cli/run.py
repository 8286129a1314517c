"""`gws run`: the application as production serves it, in one process or with gunicorn below, and reloaded."""

from __future__ import annotations

import errno
import json
import os
import socket
import sys
from importlib.util import find_spec
from typing import Final, NoReturn

import click

CANNOT_START: Final = 3
"""The exit code of a server that cannot start, as gunicorn and uvicorn have it."""
BACKLOG: Final = 4096
"""Connections that may wait to be accepted, as `gws.serve` has it."""

_FILE = click.Path(exists=True, dir_okay=False, resolve_path=True)


@click.command()
@click.argument("app", required=False, envvar="FLASK_APP")
@click.option(
    "--host", default="127.0.0.1", show_default=True, help="The address to listen on; 0.0.0.0 is every one."
)
@click.option(
    "-p", "--port", default=8080, show_default=True, type=click.IntRange(0, 65535), help="0: a free one."
)
@click.option(
    "-w", "--workers", default=1, show_default=True, type=click.IntRange(1), help="2 and more: gunicorn's."
)
@click.option("--reload", "is_reloaded", is_flag=True, help="Start anew when a Python file changes.")
@click.option("--cert", type=_FILE, help="The certificate's file, for TLS.")
@click.option("--key", type=_FILE, help="The file of its private key, if that is another.")
def run(
    app: str | None,
    host: str,
    port: int,
    workers: int,
    is_reloaded: bool,
    cert: str | None,
    key: str | None,
) -> None:
    """Serve APP, as production does.

    APP is what `flask --app` takes: a module, or module:name, or module:create_app(). Without it, $FLASK_APP, or
    wsgi.py or app.py of this folder. gevent patches the program before APP is imported, so APP need not.

    Exit codes: 0 when it was told to stop, 2 for a wrong option, 3 when it cannot start.
    """
    if key and not cert:
        raise click.UsageError("--key is the key of a certificate: give --cert too")
    if workers > 1 and find_spec("gunicorn") is None:
        _fail(
            f"--workers {workers} needs gunicorn: pip install 'gevent-gws[gunicorn]', or leave --workers out"
        )
    listener = listen(host, port)
    where = f"[{host}]" if ":" in host else host or "localhost"
    url = f"{'https' if cert else 'http'}://{where}:{listener.getsockname()[1]}"

    def command(is_announced: bool) -> list[str]:
        descriptor = listener.fileno()
        if workers == 1:
            order = [app, descriptor, url, cert, key, is_announced]
            return [sys.executable, "-m", "gws.cli.child", json.dumps(order)]
        tls = [*(["--certfile", cert] if cert else []), *(["--keyfile", key] if key else [])]
        return [
            *[sys.executable, "-m", "gunicorn", "-k", "gws.worker.Worker", "-w", str(workers), *tls],
            *["-b", f"fd://{descriptor}", "--access-logfile", "-"],
            f"gws.cli.loading:load_in_worker({app!r}, {url if is_announced else None!r})",
        ]

    if is_reloaded:
        from .supervisor import Supervisor

        sys.exit(Supervisor(command, listener.fileno(), app).run())
    listener.set_inheritable(True)
    os.execv(sys.executable, command(True))


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens; where there can be none, say why and end with exit code 3."""
    try:
        found = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        _fail(f"{host!r} is no address of this machine ({error.strerror}): change --host")
    family, kind, protocol, _, address = found[0]
    listener = socket.socket(family, kind, protocol)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(address)
        listener.listen(BACKLOG)
    except OSError as error:
        _fail(f"cannot listen on {host}:{port}: {error.strerror}; {_advice(error)}")
    return listener


def _advice(error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return "end the program that has the port, or give another --port"
    if error.errno == errno.EACCES:
        return "ports below 1024 are the system's: give another --port"
    return "change --host or --port"


def _fail(why: str) -> NoReturn:
    click.echo(f"gws: {why}", err=True)
    sys.exit(CANNOT_START)
