"""`gws.serve`: serves an application in this process until it is told to stop.

Not called `serve`: `gws.serve` is the function, whichever is imported first.
"""

from __future__ import annotations

import contextlib
import errno
import signal
import socket
import sys
from collections.abc import Iterator
from types import FrameType
from typing import TYPE_CHECKING, Any, Final

import gevent

from ..cluster.process import process
from ..errors import ConfigurationError
from ..forks import Step, after_fork
from . import handover, patching
from .pywsgi import WebSocketHandler
from .serve_options import ServeOptions, check_address, check_options, check_values
from .shutdown import shutdown
from .tls import make_context
from .upgrade_server import UpgradeServer

if TYPE_CHECKING:
    from typing_extensions import Unpack

BACKLOG: Final = 4096

_is_importing = False


def serve(app: Any, host: str = "127.0.0.1", port: int = 8080, **options: Unpack[ServeOptions]) -> None:
    """Serve an application until SIGTERM or Ctrl-C; then close every connection of the process with 1001 and return.

    Args:
        app: a Flask application, or one wrapped in WSGI middleware.
        host: the name or address to listen on; "" is every address.
        port: the port to listen on; 0 is one that is free.
        options: `certfile` and `keyfile`, or `ssl_context`, for TLS; `log`, `error_log`, `backlog`, `spawn` and
            `environ` as `gevent.pywsgi.WSGIServer` has them.

    Raises:
        TypeError, ValueError: an unknown option, or an impossible address.
        SystemExit: 1, with one line that says why the port, the certificate or the backplane cannot be used, or which
            two endpoints of two applications have the same name.
    """
    if _is_importing:
        print(
            f"gws: {_calling_line()} is passed over, since the application is only imported here: put it under "
            'if __name__ == "__main__"',
            file=sys.stderr,
        )
        return
    patching.check()
    server = start_server(app, host, port, options)
    scheme = "https" if server.ssl_enabled else "http"
    print(f"gws listens on {scheme}://{_shown(host, server.server_port)}", file=sys.stderr, flush=True)
    serve_until_signalled(server)


@contextlib.contextmanager
def importing() -> Iterator[None]:
    """Have calls of `serve` do nothing meanwhile: somebody else imports the application, and serves it or does not."""
    global _is_importing
    _is_importing = True
    try:
        yield
    finally:
        _is_importing = False


def serve_until_signalled(server: UpgradeServer) -> None:
    """Serve until SIGTERM or Ctrl-C, where this is the main thread's hub; then close every connection."""
    if gevent.get_hub().loop.default:
        _signal_watchers.extend(
            gevent.signal_handler(number, server.stop_requested.set)
            for number in (signal.SIGTERM, signal.SIGINT)
        )
    try:
        serve_until_stopped(server)
    finally:
        _ignore_signals()


def start_server(app: Any, host: str, port: int, options: ServeOptions) -> UpgradeServer:
    """Return a server that listens, in the caller's hub; arguments and errors are those of `serve`."""
    check_options(options)
    check_values(options)
    check_address(host, port)
    server = _prepare_server(app, (host, port), {"backlog": BACKLOG, **options})
    try:
        server.start()
    except OSError as error:
        sys.exit(f"gws cannot listen on {_shown(host, port)}: {_reason(error)}")
    shutdown.begin_serving()
    return server


def start_server_on(listener: socket.socket, app: Any, options: ServeOptions) -> UpgradeServer:
    """Return a server that accepts from a socket that listens already; errors are those of `serve`."""
    server = _prepare_server(app, listener, options)
    server.start()
    shutdown.begin_serving()
    return server


def _prepare_server(app: Any, where: Any, options: ServeOptions) -> UpgradeServer:
    try:
        server = _make_server(app, where, options)
        process.start(is_multiprocess=False, application=app)
        process.wait_for_answer()
    except ConfigurationError as error:
        sys.exit(f"gws: {error}")
    return server


def serve_until_stopped(server: UpgradeServer) -> None:
    """Wait until the server is told to stop; then close every connection of the process with 1001."""
    try:
        server.stop_requested.wait()
    finally:
        is_replaced = handover.look()
        shutdown.close_all().join()
        server.stop(timeout=handover.LAST_REQUESTS if is_replaced else 0)


def _make_server(app: Any, where: Any, options: ServeOptions) -> UpgradeServer:
    rest: dict[str, Any] = {**options}
    try:
        context = make_context(*(rest.pop(name, None) for name in ("certfile", "keyfile", "ssl_context")))
    except ValueError as error:
        sys.exit(f"gws: {error}")
    if context is not None:
        # To pywsgi, any argument that it does not know, and be it None, means TLS.
        rest["ssl_context"] = context
    return UpgradeServer(where, app, handler_class=WebSocketHandler, **rest)


def _shown(host: str, port: int | None) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host or '*'}:{port}"


def _reason(error: OSError) -> str:
    """Return why the address cannot be had, and which line to change."""
    where = _calling_line()
    # gevent has added the address to `strerror`.
    reason = error.args[1] if len(error.args) > 1 else str(error)
    if isinstance(error, socket.gaierror):
        return f"{reason}; host is a name or an address of this machine: change it in {where}"
    if error.errno == errno.EADDRINUSE:
        return f"{reason}; end the program that has the port, or change port in {where}"
    if error.errno == errno.EACCES:
        return f"{reason}; ports below 1024 are the system's: change port in {where}"
    return f"{reason}; change host or port in {where}"


def _calling_line() -> str:
    """Return the line of the program that calls gws; `gws.Server` calls it from a thread of its own."""
    frame: FrameType | None = sys._getframe()
    while frame is not None and _package_of(frame) in ("gws", "threading", "gevent"):
        frame = frame.f_back
    return "the call of gws" if frame is None else f"{frame.f_code.co_filename}, line {frame.f_lineno}"


def _package_of(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__")).partition(".")[0]


_signal_watchers: list[Any] = []


@after_fork(Step.SIGNALS)
def _ignore_signals() -> None:
    """Leave them to Python again; in a forked process too, which is not the server."""
    while _signal_watchers:
        _signal_watchers.pop().cancel()
