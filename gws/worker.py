"""The gunicorn worker: `gunicorn -k gws.worker.Worker app:app`."""

from __future__ import annotations

import functools

from gunicorn.workers.ggevent import GeventPyWSGIWorker, PyWSGIHandler, PyWSGIServer

from . import going_away, worker_start
from .server import UpgradeHandler, UpgradeServer


class WorkerHandler(UpgradeHandler, PyWSGIHandler):
    """gunicorn's handler, with its access log, and gws's upgrade."""


class WorkerServer(UpgradeServer, PyWSGIServer):
    """gunicorn's server, with gws's deadlines."""


class Worker(GeventPyWSGIWorker):
    """gunicorn's gevent worker; being told to stop, it first closes every WebSocket with 1001."""

    wsgi_handler = WorkerHandler

    def run(self) -> None:
        """Serve; a browser's idle connection, which a stop waits for, lasts for gunicorn's `--keep-alive`."""
        worker_start.begin(self)
        self.server_class = functools.partial(WorkerServer, keepalive=self.cfg.keepalive)
        try:
            super().run()
        finally:
            # A KeyboardInterrupt of a handler's, or a master that is gone, ends `run` without a signal.
            going_away.close_all()

    def init_signals(self) -> None:
        """Put gws before gunicorn's own handling of SIGTERM, SIGQUIT and SIGINT."""
        super().init_signals()
        going_away.install_signal_handlers()
