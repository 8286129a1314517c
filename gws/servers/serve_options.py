"""The options of `gws.serve` and `app.start`, and the errors for unknown ones."""

from __future__ import annotations

import difflib
import logging
import ssl
from collections.abc import Iterable
from typing import Any, Final, TypedDict


class ServeOptions(TypedDict, total=False):
    """What `gws.serve` takes beside the application, the host and the port."""

    certfile: str | None
    """The file of the certificate, and of those between it and a trusted one, for TLS."""
    keyfile: str | None
    """The file of its private key; None if `certfile` holds that too."""
    ssl_context: ssl.SSLContext | None
    """In place of both, when a certificate is not all that there is to say."""
    log: Any
    """Where the access log goes, a `logging.Logger` or what has a `write`; None is nowhere. By default stderr."""
    error_log: Any
    """The same for what is written to `wsgi.errors`."""
    backlog: int
    """Connections that may wait to be accepted; 4 096 is what Linux grants by default (net.core.somaxconn)."""
    spawn: int
    """The most connections at once, of requests and WebSockets; who is one too many waits. By default any number."""
    environ: dict[str, Any] | None
    """What every request's WSGI environment has beside the request."""


OPTIONS: Final = tuple(ServeOptions.__annotations__)

_RELOADING: Final = "run `gws run --reload app:app`, which starts new code when a file changes"
_ONE_PROCESS: Final = (
    "this is one process; for several, run `gws run --workers 4 app:app`, or "
    "`gunicorn -k gws.worker.Worker -w 4 app:app`"
)
_GREENLETS: Final = "leave it out: every connection has a greenlet of its own"
_DEADLINE: Final = (
    'set app.config["GWS_HANDSHAKE_TIMEOUT"], the seconds for a client to send its next request'
)

_ELSEWHERE: Final = {
    "debug": f"set app.debug = True for Flask's part of it; for the other, {_RELOADING}",
    "use_reloader": _RELOADING,
    "reload": _RELOADING,
    "use_debugger": "put werkzeug.debug.DebuggedApplication around app.wsgi_app",
    "workers": _ONE_PROCESS,
    "processes": _ONE_PROCESS,
    "threaded": _GREENLETS,
    "threads": _GREENLETS,
    "url": 'give host="127.0.0.1" and port=8080',
    "_check_port": "leave it out: a port that is in use is always an error",
    "client_timeout": _DEADLINE,
    "keep_alive_timeout": _DEADLINE,
}
"""Options of Robyn's `app.start`, Flask's `app.run` and gunicorn, and what does the same here."""


def check_options(names: Iterable[str]) -> None:
    """Refuse options that there are not.

    Raises:
        TypeError: naming what to use instead, or the nearest one.
    """
    for name in names:
        if name in _ELSEWHERE:
            raise TypeError(f"gws.serve() and app.start() have no option {name!r}: {_ELSEWHERE[name]}")
        if name not in OPTIONS:
            known = ("host", "port", *OPTIONS)
            nearest = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {nearest[0]!r}?" if nearest else f"there are {', '.join(known)}"
            raise TypeError(f"gws.serve() and app.start() have no option {name!r}; {hint}")


def check_values(options: ServeOptions) -> None:
    """Refuse values that no request could be served with.

    Raises:
        TypeError, ValueError: saying what one is.
    """
    for name in ("backlog", "spawn"):
        if name in options:
            value = options[name]
            if isinstance(value, bool) or not isinstance(value, int):
                raise TypeError(f"{name} is a number of connections, not {value!r}")
            if value < 1:
                raise ValueError(f"{name} is a number of connections, 1 or more, not {value}")
    for name in ("log", "error_log"):
        log = options.get(name)
        if log is not None and not isinstance(log, logging.Logger) and not hasattr(log, "write"):
            raise TypeError(
                f"{name} is a logging.Logger, what has a write(), or None for no log, not {log!r}; "
                f'for a file write {name}=open("access.log", "a", buffering=1)'
            )
    environ = options.get("environ")
    if not isinstance(environ, dict | None):
        raise TypeError(f"environ is a dict, or None, not {environ!r}")


def check_address(host: object, port: object) -> None:
    """Refuse what cannot be a host and a port.

    Raises:
        TypeError, ValueError: saying what one is.
    """
    if not isinstance(host, str):
        raise TypeError(
            f'host is a name or an address, such as "127.0.0.1", or "" for every one, not {host!r}'
        )
    if isinstance(port, bool) or not isinstance(port, int):
        example = port if isinstance(port, str) and port.isdecimal() else 8080
        raise TypeError(
            f'port is a number, not {port!r}: write port={example}, or port=int(os.environ["PORT"])'
        )
    if not 0 <= port <= 65535:
        raise ValueError(f"port is a number from 1 to 65535, or 0 for one that is free, not {port}")
