"""Closes every connection cleanly when the process is told to stop (RFC 6455 §7.4.1), with 1001 or `Shutdown.close`."""

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
from ..protocol.frames import GOING_AWAY, Close

_close_at_once: Callable[[int], None] = monkey.get_original("os", "close")
"""gevent's own waits for the hub, which a forked process may never run."""

GRACE: Final = 3.0
"""Seconds for handlers to end and for peers to answer the Close; then they are cut off. With `LAST_WORDS` it is
under the 5 seconds in which a stopping process is expected to be gone."""
LAST_WORDS: Final = 1.0
"""Seconds for the close handlers of those that were cut off."""
_SIGNALS: Final = (signal.SIGTERM, signal.SIGQUIT, signal.SIGINT)

SignalHandler = Callable[[int, FrameType | None], object]


class Shutdown:
    """The servers and connections of this process, and their end. There is one: `shutdown`."""

    def __init__(self) -> None:
        self.is_stopping = False
        """Whether the process takes no more connections."""
        self.close = Close(GOING_AWAY, "going away")
        """What the clients are told by a stop that begins from now on."""
        self.connections: set[Connection] = set()
        self.servers: weakref.WeakSet[WSGIServer] = weakref.WeakSet()
        self._connecting: dict[Connection, Any] = {}
        """The greenlets that run the connect handlers of some of them."""
        self._all_gone = Event()
        self._has_signals = False
        """Whether the signals that stop a process come here first."""
        self._closing: gevent.Greenlet[[], None] | None = None
        """What closes them, once somebody has said so."""
        self._told: set[SignalHandler] = set()
        """The handlers of the server that are going to be called, or have been."""

    def begin_serving(self) -> None:
        """Take connections, also after an earlier stop in the same process."""
        self.is_stopping = False
        self._closing = None

    def add_server(self, server: WSGIServer) -> None:
        """Have a stop close this server's listener before anything else: who comes later finds another worker."""
        self.servers.add(server)

    def enter(self, connection: Connection) -> None:
        """Count a connection, whose connect handler the calling greenlet is about to run, among those to close."""
        self.connections.add(connection)
        self._connecting[connection] = gevent.getcurrent()
        self._all_gone.clear()

    def has_connected(self, connection: Connection) -> None:
        """Note that the connect handler has ended, however it did."""
        self._connecting.pop(connection, None)

    def leave(self, connection: Connection) -> None:
        """Note that a connection is over."""
        self.connections.discard(connection)
        if not self.connections:
            self._all_gone.set()

    def close_all(self) -> gevent.Greenlet[[], None]:
        """Accept nobody more, and close every connection with `close`; then leave the other nodes.

        Returns:
            What does so, to wait for; the same one when it is said again. It takes `GRACE` and `LAST_WORDS` at most,
            and what `Process.stop` takes.
        """
        if self._closing is None:
            self._closing = gevent.spawn(self._close_all)
        return self._closing

    def _close_all(self) -> None:
        self.is_stopping = True
        for server in tuple(self.servers) or _find_servers():
            if not server.started:
                # It resolves its address yet, and is closed by whoever has started it.
                continue
            if server.loop is gevent.get_hub().loop:
                server.close()
            else:
                server.loop.run_callback_threadsafe(server.close)
        for connection in tuple(self.connections):
            connection.io.call(connection.close, *self.close)
        for seconds in (GRACE, LAST_WORDS):
            if self.connections and not self._all_gone.wait(seconds):
                for connection in tuple(self.connections):
                    connection.io.call(connection.abort)
                for connection, greenlet in tuple(self._connecting.items()):
                    connection.io.call(gevent.kill, greenlet)
        process.stop()

    def install_signal_handlers(self) -> None:
        """Come before whatever handles SIGTERM, SIGQUIT and SIGINT now; once in a process, in its main thread."""
        if self._has_signals or not gevent.get_hub().loop.default:
            return
        self._has_signals = True
        for number in _SIGNALS:
            previous = signal.getsignal(number)
            if callable(previous):
                signal.signal(number, functools.partial(self._on_signal, previous))

    def forget_after_fork(self) -> None:
        """Leave clients, listeners and the order to stop to the process that this one was forked from."""
        for server in self.servers:
            server.stop_accepting()
            # A server that does not listen yet, or no more, has no socket.
            listener = getattr(server, "socket", None)
            if listener is not None and listener.fileno() >= 0:
                # While this process has it, no other one can listen there, and who connects is let in and never served.
                _close_at_once(listener.detach())
        for connection in self.connections:
            connection.forget_after_fork()
        registry.clear()
        self.servers.clear()
        self.connections.clear()
        self._connecting.clear()
        self._all_gone.set()
        if self._has_signals:
            self._has_signals = False
            for number in _SIGNALS:
                signal.signal(number, signal.SIG_DFL)

    def _on_signal(self, previous: SignalHandler, number: int, frame: FrameType | None) -> None:
        # gunicorn's master passes on the Ctrl-C that its worker has had already.
        if previous in self._told:
            return
        self._told.add(previous)
        # A signal handler may not wait.
        gevent.spawn(self._close_all_then, previous, number)

    def _close_all_then(self, previous: SignalHandler, number: int) -> None:
        self.close_all().join()
        previous(number, None)


def _find_servers() -> list[WSGIServer]:
    """Those that a gunicorn worker which is not gws's keeps to itself, when no WebSocket has come before the stop."""
    return [found for found in gc.get_objects() if issubclass(type(found), WSGIServer)]


shutdown = Shutdown()
after_fork(Step.CONNECTIONS)(shutdown.forget_after_fork)
