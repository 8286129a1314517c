"""The gunicorn worker: `gunicorn -k gws.worker.Worker app:app`."""

from __future__ import annotations

import functools

from .printable import printable
from .servers import gunicorn_log, gunicorn_start
from .servers.access_log import MAX_LINE
from .servers.pywsgi import UpgradeHandler
from .servers.shutdown import shutdown
from .servers.upgrade_server import UpgradeServer

try:
    from gunicorn.glogging import SafeAtoms
    from gunicorn.workers.ggevent import GeventPyWSGIWorker, PyWSGIHandler, PyWSGIServer
except ImportError as error:
    # gunicorn shows the traceback of this behind "class uri 'gws.worker.Worker' invalid or not found".
    raise ImportError(
        f"gws.worker needs gunicorn with what its gevent worker imports ({error}): pip install 'gevent-gws[gunicorn]'"
    ) from None


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


class Worker(GeventPyWSGIWorker):
    """gunicorn's gevent worker; being told to stop, it first closes every WebSocket with 1001."""

    wsgi_handler = WorkerHandler

    def run(self) -> None:
        """Serve; a browser's idle connection, which a stop waits for, lasts for gunicorn's `--keep-alive`."""
        gunicorn_start.begin(self)
        self.log.atoms_wrapper_class = PrintableAtoms
        self.server_class = functools.partial(WorkerServer, keepalive=self.cfg.keepalive)
        try:
            super().run()
        finally:
            # A KeyboardInterrupt of a handler's, or a master that is gone, ends `run` without a signal.
            shutdown.close_all()

    def load_wsgi(self) -> None:
        """Load the application, whose first lines in the log are gunicorn's too."""
        gunicorn_log.join()
        super().load_wsgi()

    def init_signals(self) -> None:
        """Put gws before gunicorn's own handling of SIGTERM, SIGQUIT and SIGINT."""
        super().init_signals()
        shutdown.install_signal_handlers()
