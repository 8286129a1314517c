"""What gws does when a gunicorn worker starts, also one of a class that knows nothing of gws."""

from __future__ import annotations

import os
import signal
import sys
from typing import TYPE_CHECKING, Final

import gevent
from gevent import monkey
from geventwebsocket.handler import WebSocketHandler

from ..cluster.process import process
from ..errors import ConfigurationError
from ..forks import Step, after_fork
from . import gunicorn_log, patching
from .pywsgi import UpgradeHandler
from .shutdown import shutdown

if TYPE_CHECKING:
    from gunicorn.workers.base import Worker
    from gunicorn.workers.ggevent import GeventWorker

RELOAD_INTERVAL: Final = 0.1
"""Seconds between looks whether `--reload` ends the worker; it does nothing that could be waited for."""

_is_awaited = False
_has_begun = False


def begin(worker: GeventWorker) -> None:
    """Begin in this worker, and wait for a first answer of each backplane, some seconds at most.

    Raises:
        SystemExit: there will never be one; the log says why. gunicorn then ends, rather than to try again for ever.
    """
    global _has_begun
    _has_begun = True
    gunicorn_log.join()
    # A worker that follows one that has died, or stands beside another, need not say it again.
    is_first = worker.age == 1
    if is_first:
        patching.check()
    if worker.cfg.reload:
        gevent.spawn(_end_when_reloaded, worker)
    try:
        # One whose application waits, or fails, while it is loaded has none.
        application = getattr(worker, "wsgi", None)
        process.start(worker.cfg.workers > 1, announce=is_first, application=application)
        process.wait_for_answer()
    except ConfigurationError as error:
        from gunicorn.arbiter import Arbiter

        worker.log.critical("%s", error)
        sys.exit(Arbiter.WORKER_BOOT_ERROR)


def _end_when_reloaded(worker: GeventWorker) -> None:
    """Close every connection when `--reload` ends the worker, which it does without a signal."""
    while worker.alive:
        gevent.sleep(RELOAD_INTERVAL)
    shutdown.close_all()


def await_worker() -> None:
    """Have `begin` called as soon as the hub runs, if this is a gunicorn worker then; say if it is one in vain."""
    global _is_awaited
    if not _is_awaited and "gunicorn.workers" in sys.modules:
        _is_awaited = True
        worker = find_worker()
        if worker is not None:
            _check_class(worker)
            gunicorn_log.join()
        gevent.spawn(_begin_in_worker)


def find_worker() -> Worker | None:
    """Return the worker that this process is.

    gunicorn tells an application nothing of it; yet it has the signals, also those that nobody else wants.
    """
    from gunicorn.workers.base import Worker

    worker = getattr(signal.getsignal(signal.SIGWINCH), "__self__", None)
    return worker if isinstance(worker, Worker) and worker.pid == os.getpid() else None


def _check_class(worker: Worker) -> None:
    """Log an error if a worker of this class serves no WebSocket, before anybody asks it to."""
    handler = getattr(worker, "wsgi_handler", None)
    if handler is None or not issubclass(handler, UpgradeHandler | WebSocketHandler):
        hangs = ""
        if type(worker).__name__ == "ThreadWorker" and monkey.is_module_patched("socket"):
            hangs = ", and a program that gevent has patched hangs in it"
        worker.log.error(
            "gunicorn's %s serves no WebSockets%s: run gunicorn -k gws.worker.Worker",
            type(worker).__name__,
            hangs,
        )


def _begin_in_worker() -> None:
    worker = find_worker()
    if worker is not None and hasattr(worker, "server_class") and not _has_begun:
        shutdown.install_signal_handlers()
        begin(worker)


@after_fork(Step.WORKER)
def _await_after_fork() -> None:
    """With `--preload` the application is loaded before the worker is there, and the hub may have run meanwhile."""
    global _is_awaited
    was_awaited, _is_awaited = _is_awaited, False
    if was_awaited:
        await_worker()
