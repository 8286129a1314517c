"""The gunicorn worker: `gunicorn -k gws.worker.Worker app:app`."""

from __future__ import annotations

import signal
import socket
import time
from types import FrameType
from typing import Final

import gevent
from gevent.event import Event
from gevent.pool import Pool

from .printable import printable
from .servers import gunicorn_log, gunicorn_start, handover
from .servers.access_log import MAX_LINE
from .servers.pywsgi import UpgradeHandler
from .servers.shutdown import shutdown
from .servers.upgrade_server import UpgradeServer

try:
    from gunicorn.glogging import SafeAtoms
    from gunicorn.http.wsgi import base_environ
    from gunicorn.sock import ssl_context
    from gunicorn.workers.ggevent import VERSION, GeventWorker, PyWSGIHandler, PyWSGIServer
except ImportError as error:
    # gunicorn shows the traceback of this behind "class uri 'gws.worker.Worker' invalid or not found".
    raise ImportError(
        f"gws.worker needs gunicorn with what its gevent worker imports ({error}): pip install 'gevent-gws[gunicorn]'"
    ) from None


HEARTBEAT: Final = 1.0
"""Seconds between two signs of life to gunicorn's master."""


class PrintableAtoms(SafeAtoms):
    """What the access log may say of a request, in which the client cannot write what it likes."""

    def __init__(self, atoms: dict[str, object]) -> None:
        super().__init__(
            {
                name: printable(value, MAX_LINE) if isinstance(value, str) else value
                for name, value in atoms.items()
            }
        )


class WorkerHandler(UpgradeHandler, PyWSGIHandler):
    """gunicorn's handler, with its access log, and gws's upgrade."""

    def write_log(self) -> None:
        """Write the line; of a request that is none, its first line is all that is known."""
        environ = self.environ
        if environ is None:
            self.environ = {
                "REQUEST_METHOD": "-",
                "RAW_URI": self.requestline or "-",
                "SERVER_PROTOCOL": "-",
                "REMOTE_ADDR": self.client_address[0] if isinstance(self.client_address, tuple) else "-",
            }
        try:
            super().write_log()
        finally:
            self.environ = environ


class WorkerServer(UpgradeServer, PyWSGIServer):
    """gunicorn's server, with gws's deadlines."""


class Worker(GeventWorker):
    """gunicorn's gevent worker; being told to stop, it first closes every WebSocket with 1001."""

    wsgi_handler = WorkerHandler

    def run(self) -> None:
        """Serve until the worker is to stop, close every WebSocket, and wait for plain requests as gunicorn does.

        gunicorn's own looks once a second whether it is to stop, and once a second whether all is over.
        """
        gunicorn_start.begin(self)
        self.log.atoms_wrapper_class = PrintableAtoms
        pools = [Pool(self.worker_connections) for _ in self.sockets]
        servers = [self._serve(listener, pool) for listener, pool in zip(self.sockets, pools, strict=True)]
        handover.begin(self.ppid)
        try:
            while self.alive:
                self.notify()
                self._is_told.wait(HEARTBEAT)
        finally:
            # Also when a KeyboardInterrupt of a handler's, or a master that is gone, ends it.
            began = time.monotonic()
            handover.look()
            self._wait_for(shutdown.close_all(), None)
        if not self._wait_for(gevent.spawn(_join, pools), began + self.cfg.graceful_timeout):
            self.log.warning("Worker graceful timeout (pid:%s)", self.pid)
        for server in servers:
            server.stop(timeout=1)

    def _serve(self, listener: socket.socket, pool: Pool) -> WorkerServer:
        """Serve who connects there, each in a greenlet of the pool."""
        listener.setblocking(True)
        environ = {**base_environ(self.cfg), "wsgi.multithread": True, "SERVER_SOFTWARE": VERSION}
        options = {"ssl_context": ssl_context(self.cfg)} if self.cfg.is_ssl else {}
        server = WorkerServer(
            listener,
            self.wsgi,
            # A browser's idle connection, which a stop waits for.
            keepalive=self.cfg.keepalive,
            spawn=pool,
            log=self.log,
            handler_class=self.wsgi_handler,
            environ=environ,
            **options,
        )
        server.start()
        return server

    def _wait_for(self, greenlet: gevent.Greenlet[..., None], end: float | None) -> bool:
        """Wait for a greenlet until then; the master, meanwhile, is told that the worker lives."""
        while not greenlet.ready():
            left = HEARTBEAT if end is None else min(HEARTBEAT, end - time.monotonic())
            if left <= 0:
                return False
            self.tmp.notify()
            greenlet.join(left)
        return True

    def load_wsgi(self) -> None:
        """Load the application, whose first lines in the log are gunicorn's too."""
        gunicorn_log.join()
        super().load_wsgi()

    def init_signals(self) -> None:
        """Put gws before gunicorn's own handling of SIGQUIT and SIGINT, which ends `run` at once."""
        self._is_told = Event()
        super().init_signals()
        shutdown.install_signal_handlers()
        signal.signal(signal.SIGTERM, self.handle_exit)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Have `run` end, at once."""
        super().handle_exit(sig, frame)
        self._is_told.set()


def _join(pools: list[Pool]) -> None:
    for pool in pools:
        pool.join()
