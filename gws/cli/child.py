"""The process that `gws run` becomes, or starts: gevent has patched it before anything that could wait is imported."""

if __name__ == "__main__":
    from gevent import monkey

    monkey.patch_all()

import json
import os
import sys
from typing import Final, NamedTuple

import click
import gevent.socket

from ..servers import handover, patching
from ..servers.serve import serve_until_signalled, start_server_on
from ..servers.serve_options import ServeOptions
from .loading import announce, load_or_exit
from .run import CANNOT_START

MOST_CONNECTIONS: Final = 1_000_000
"""More than a process may have files open."""


class Order(NamedTuple):
    """What a child is to do; its one argument, as JSON."""

    app: str | None
    """The application's name, as for `loading.load`."""
    descriptor: int
    """Of the socket that listens."""
    url: str
    """Of the server."""
    cert: str | None
    key: str | None
    is_announced: bool
    """Whether to print the URLs."""


def main(order: Order) -> None:
    """Serve until SIGTERM, Ctrl-C or the end of the supervisor."""
    app = load_or_exit(order.app)
    patching.check()
    options: ServeOptions = {"certfile": order.cert, "keyfile": order.key}
    if handover.VARIABLE in os.environ:
        # Connections are counted, so that the requests among them can be waited for.
        options["spawn"] = MOST_CONNECTIONS
    listener = gevent.socket.socket(fileno=order.descriptor)
    listener.set_inheritable(False)
    try:
        server = start_server_on(listener, app, options)
    except SystemExit as error:
        click.echo(error.code, err=True)
        sys.exit(CANNOT_START)
    if order.is_announced:
        announce(app, order.url)
    handover.begin(os.getpid())
    serve_until_signalled(server)


if __name__ == "__main__":
    main(Order(*json.loads(sys.argv[1])))
