"""`gws.Server`: serves an application beside the code that goes on, such as a test."""

from __future__ import annotations

import threading
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final

import gevent

from ..cluster.process import process
from ..hub.io import forget_hub_io
from ..servers.serve import serve_until_stopped, start_server
from ..servers.serve_options import ServeOptions

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from ..servers.upgrade_server import UpgradeServer

STOP_TIMEOUT: Final = 10.0
"""Seconds for a stop, which takes 5 when a handler does not end."""


class Server:
    """Serve an application while the body of a `with` runs: `with gws.Server(app) as server: ...`.

    It runs in a thread of its own, with a hub of its own, so that the program need not be patched for gevent; in one
    that is, it runs in a greenlet. One at a time in a process: its end closes every WebSocket of the process with 1001.

    Args:
        app: a Flask application, or one wrapped in WSGI middleware.
        host: the name or address to listen on.
        port: the port to listen on; 0 is one that is free.
        options: those of `gws.serve`; the access log goes nowhere by default.

    Raises:
        TypeError, ValueError: from `with`, an unknown option, or an impossible address.
        RuntimeError: from `with`, the server cannot start; it says why.

    Attributes:
        host: as it was given.
        port: where it listens.
    """

    def __init__(
        self, app: Any, host: str = "127.0.0.1", port: int = 0, **options: Unpack[ServeOptions]
    ) -> None:
        self.host = host
        self.port = port
        self._app = app
        self._options: ServeOptions = {"log": None, **options}
        self._server: UpgradeServer | None = None
        self._error: Exception | None = None
        self._has_begun = threading.Event()
        self._thread = threading.Thread(target=self._run, name="gws.Server", daemon=True)

    def __enter__(self) -> Server:
        self._thread.start()
        self._has_begun.wait()
        if self._error is not None:
            raise self._error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.loop.run_callback_threadsafe(self._server.stop_requested.set)
        self._thread.join(STOP_TIMEOUT)

    def url(self, path: str = "/") -> str:
        """Return the address of a WebSocket, such as "ws://127.0.0.1:40123/chat"."""
        assert self._server is not None
        host = f"[{self.host}]" if ":" in self.host else self.host or "localhost"
        return f"{'wss' if self._server.ssl_enabled else 'ws'}://{host}:{self.port}{path}"

    def _run(self) -> None:
        try:
            server = start_server(self._app, self.host, self.port, self._options)
        except SystemExit as error:
            # What `serve` would say before it ends the program.
            self._error = RuntimeError(str(error))
        except Exception as error:  # noqa: BLE001 - raised where the server was asked for
            self._error = error
        else:
            self._server = server
            self.port = server.server_port or 0
            self._has_begun.set()
            serve_until_stopped(server)
        finally:
            # A start that failed may have begun with the backplanes.
            process.stop()
            self._has_begun.set()
            if not gevent.get_hub().loop.default:
                forget_hub_io()
