"""Ends every connection in order when the process is told to stop (RFC 6455 §7.4.1, code 1001)."""

from __future__ import annotations

import functools
import gc
import signal
import weakref
from collections.abc import Callable
from types import FrameType
from typing import Any, Final

import gevent
from gevent import monkey
from gevent.event import Event
from gevent.pywsgi import WSGIServer

from ..cluster.process import process
from ..cluster.registry import registry
from ..connection.connection import Connection
from ..forks import Step, after_fork
from ..protocol.frames import GOING_AWAY

_close_at_once: Callable[[int], None] = monkey.get_original("os", "close")
"""gevent's own waits for the hub, which a forked process may never run."""

GRACE: Final = 3.0
"""Seconds for handlers to end and for peers to answer the Close; then they are cut off. With `LAST_WORDS` it is
under the 5 seconds in which a stopping process is expected to be gone."""
LAST_WORDS: Final = 1.0
"""Seconds for the close handlers of those that were cut off."""

_servers: weakref.WeakSet[WSGIServer] = weakref.WeakSet()
_live: set[Connection] = set()
_connecting: dict[Connection, Any] = {}
"""The greenlets that run the connect handlers of some of them."""
_all_gone = Event()
_begun = False
_installed = False
_told: set[Callable[[int, FrameType | None], object]] = set()
"""The handlers that are going to be called, or have been."""


def has_begun() -> bool:
    """Return whether the process is stopping, and takes no more connections."""
    return _begun


def begin_serving() -> None:
    """Take connections, also after an earlier stop in the same process."""
    global _begun
    _begun = False


def add_server(server: WSGIServer) -> None:
    """Have a stop close this server's listener before anything else: clients that come later find another worker."""
    _servers.add(server)


def enter(connection: Connection) -> None:
    """Count a connection, whose connect handler the calling greenlet is about to run, among those to end."""
    _live.add(connection)
    _connecting[connection] = gevent.getcurrent()
    _all_gone.clear()


def has_connected(connection: Connection) -> None:
    """Note that the connect handler has ended, however it did."""
    _connecting.pop(connection, None)


def leave(connection: Connection) -> None:
    """Note that a connection is over."""
    _live.discard(connection)
    if not _live:
        _all_gone.set()


def close_all() -> None:
    """Accept nobody more, and close every connection with 1001; then leave the other nodes.

    Takes `GRACE` and `LAST_WORDS` at most, and what `Process.stop` takes.
    """
    global _begun
    _begun = True
    for server in tuple(_servers) or _find_servers():
        if not server.started:
            # It resolves its address yet, and is closed by whoever has started it.
            continue
        if server.loop is gevent.get_hub().loop:
            server.close()
        else:
            server.loop.run_callback_threadsafe(server.close)
    for connection in tuple(_live):
        connection.io.call(connection.close, GOING_AWAY, "going away")
    for seconds in (GRACE, LAST_WORDS):
        if _live and not _all_gone.wait(seconds):
            for connection in tuple(_live):
                connection.io.call(connection.abort)
            for connection, greenlet in tuple(_connecting.items()):
                connection.io.call(gevent.kill, greenlet)
    process.stop()


def _find_servers() -> list[WSGIServer]:
    """Those that a gunicorn worker which is not gws's keeps to itself, when no WebSocket has come before the stop."""
    return [found for found in gc.get_objects() if issubclass(type(found), WSGIServer)]


def install_signal_handlers() -> None:
    """Do so before whatever handles SIGTERM, SIGQUIT and SIGINT now; once in a process, in its main thread."""
    global _installed
    if _installed or not gevent.get_hub().loop.default:
        return
    _installed = True
    for number in (signal.SIGTERM, signal.SIGQUIT, signal.SIGINT):
        previous = signal.getsignal(number)
        if callable(previous):
            signal.signal(number, functools.partial(_on_signal, previous))


def _on_signal(
    previous: Callable[[int, FrameType | None], object], number: int, frame: FrameType | None
) -> None:
    # gunicorn's master passes on the Ctrl-C that its worker has had already.
    if previous in _told:
        return
    _told.add(previous)
    # A signal handler may not wait.
    gevent.spawn(_close_all_then, previous, number)


def _close_all_then(previous: Callable[[int, FrameType | None], object], number: int) -> None:
    close_all()
    previous(number, None)


@after_fork(Step.CONNECTIONS)
def _abandon() -> None:
    """In a forked process: clients, listeners and the order to stop are the parent's."""
    global _installed
    for server in _servers:
        server.stop_accepting()
        # A server that does not listen yet, or no more, has no socket.
        listener = getattr(server, "socket", None)
        if listener is not None and listener.fileno() >= 0:
            # While this process has it, no other one can listen there, and who connects is let in and never served.
            _close_at_once(listener.detach())
    for connection in _live:
        connection.forget_after_fork()
    registry.clear()
    _servers.clear()
    _live.clear()
    _connecting.clear()
    _all_gone.set()
    if _installed:
        _installed = False
        for number in (signal.SIGTERM, signal.SIGQUIT, signal.SIGINT):
            signal.signal(number, signal.SIG_DFL)
