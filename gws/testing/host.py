"""Where the servers of a test's clients run: in a thread with a hub, or in greenlets where gevent patches threads."""

from __future__ import annotations

import atexit
import concurrent.futures
import os
import sys
import threading
import time
import weakref
from collections.abc import Callable
from types import FrameType
from typing import Any, Final, TypeVar

import gevent
from flask import Flask

from ..cluster.process import process
from ..hub.io import forget_hub_io
from ..servers.serve import start_server
from ..servers.shutdown import shutdown
from ..servers.upgrade_server import UpgradeServer
from .whereabouts import describe, is_in_handler
from .wire import Wire

LOOK_TIMEOUT: Final = 0.25
"""Seconds in which a hub answers that no handler blocks."""
LAST_WORDS: Final = 1.0
"""Seconds for the close handlers of what is open when the process ends."""
LOOK_INTERVAL: Final = 0.005
"""Seconds between two looks whether they have run."""
STOP_TIMEOUT: Final = 5.0
"""Seconds for the thread to end, which says farewell to its backplanes too."""

T = TypeVar("T")


class Host:
    """Serves any number of applications, from the first client that connects to the end of the process.

    `gws.Server` serves one, and its end is that of all WebSockets; clients come and go, and a test may have several.
    """

    def __init__(self) -> None:
        self.process_id = os.getpid()
        self._wires: weakref.WeakSet[Wire] = weakref.WeakSet()
        self._loop: Any = None
        self._stop: Any = None
        """A watcher, which any thread may send to."""
        self._has_begun = threading.Event()
        self._thread = threading.Thread(target=self._run, name="gws.testing", daemon=True)
        self._thread.start()
        self._has_begun.wait()

    def add_wire(self, wire: Wire) -> None:
        """Have a connection of a client end with the process, if nobody has closed it."""
        self._wires.add(wire)

    def call(self, function: Callable[..., T], *arguments: object, timeout: float) -> T:
        """Call a function in a greenlet of the hub, and return what it returns. Any thread, any greenlet.

        Raises:
            TimeoutError: it has not ended after `timeout` seconds.
            Exception: whatever the function raises.
        """
        future: concurrent.futures.Future[T] = concurrent.futures.Future()
        self._loop.run_callback_threadsafe(gevent.spawn, _fulfil, future, function, arguments)
        try:
            return future.result(timeout)
        except concurrent.futures.TimeoutError:
            # On Python 3.10 it is another exception than the built-in one.
            raise TimeoutError(f"the server has not answered for {timeout:g} s") from None

    def serve(self, app: Flask, timeout: float) -> UpgradeServer:
        """Return a server of the application on a free port.

        Raises:
            RuntimeError: it cannot start; it says why.
            TimeoutError: it waits, such as for its backplane.
        """
        try:
            return self.call(_start, app, timeout=timeout)
        except TimeoutError as error:
            raise TimeoutError(
                f"no server for {app!r} within {timeout:g} s; it may wait for its backplane: see the log"
            ) from error

    def stop_serving(self, server: UpgradeServer) -> None:
        """Close a server's listener; its WebSockets go on. Any thread, any greenlet; does not wait."""
        if self.process_id == os.getpid():
            self._loop.run_callback_threadsafe(server.stop, 0)

    def frame(self) -> FrameType | None:
        """Return where the thread is; None where it is a greenlet."""
        return sys._current_frames().get(self._thread.ident or 0)

    def is_blocked(self) -> bool:
        """Return whether a handler keeps the hub from all else, as one of an earlier test may."""
        if not is_in_handler(self.frame()):
            return False
        try:
            self.call(int, timeout=LOOK_TIMEOUT)
        except TimeoutError:
            return True
        return False

    def describe_block(self) -> str:
        """Return which line of the application the thread is at; "" if it is at none."""
        where = describe(self.frame())
        return where and (
            f"a handler blocks the thread that serves, at {where}; end its wait, or patch the process for gevent "
            "(docs/testing.md)"
        )

    def stop(self) -> None:
        """End every WebSocket of the process, and the thread."""
        for wire in tuple(self._wires):
            # The server would wait for an answer to its Close, and nobody reads any more.
            wire.abort()
        if self.process_id == os.getpid() and not self.is_blocked():
            self._stop.send()
            self._thread.join(STOP_TIMEOUT)

    def _run(self) -> None:
        hub = gevent.get_hub()
        self._loop = hub.loop
        self._stop = hub.loop.async_()
        self._has_begun.set()
        # Without a watcher gevent would say that nothing can ever happen, while no client is served.
        hub.wait(self._stop)
        self._stop.close()
        for server in tuple(shutdown.servers):
            if server.loop is hub.loop:
                server.stop(0)
        # Not as a server's end, which has seconds for handlers that hang: a test has said already that they do.
        deadline = time.monotonic() + LAST_WORDS
        while shutdown.connections and time.monotonic() < deadline:
            gevent.sleep(LOOK_INTERVAL)
        process.stop()
        if not hub.loop.default:
            forget_hub_io()


def get_host() -> Host:
    """Return this process's; there is another one after a fork, and when a handler blocks the one that there was."""
    global _host
    if _host is not None and (_host.process_id != os.getpid() or _host.is_blocked()):
        # Nobody waits for its end.
        atexit.unregister(_host.stop)
        _host = None
    if _host is None:
        _host = Host()
        atexit.register(_host.stop)
    return _host


_host: Host | None = None


def _start(app: Flask) -> UpgradeServer:
    try:
        return start_server(app, "127.0.0.1", 0, {"log": None})
    except SystemExit as error:
        # What `serve` would say before it ends the program.
        raise RuntimeError(str(error)) from None


def _fulfil(
    future: concurrent.futures.Future[Any], function: Callable[..., Any], arguments: tuple[object, ...]
) -> None:
    try:
        future.set_result(function(*arguments))
    except Exception as error:  # noqa: BLE001 - raised where the call was made
        future.set_exception(error)
