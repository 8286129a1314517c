"""gevent's HTTP server, with deadlines for its clients and an end that waits for none of them."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import gevent
from flask import Flask
from gevent.event import Event
from gevent.pywsgi import WSGIServer

from ..settings import from_final_config
from .shutdown import shutdown

logger = logging.getLogger("gws.server")

LAST_REQUEST: Final = 1.0
"""Seconds for a request to arrive, or to go on, on a connection that is there when the process is told to stop."""


class UpgradeServer(WSGIServer):
    """A pywsgi server that gives no client more than `GWS_HANDSHAKE_TIMEOUT` seconds to say what it wants.

    Args:
        keepalive: seconds for a next request to come on the same connection; as many, if not given.
    """

    def __init__(
        self, listener: Any, application: Any, keepalive: float | None = None, **options: Any
    ) -> None:
        super().__init__(listener, application=application, **options)
        settings = from_final_config(application.config if isinstance(application, Flask) else {}, {})
        self.handshake_timeout = settings.handshake_timeout
        self.max_head_size = settings.max_head_size
        self.keepalive_timeout = self.handshake_timeout if keepalive is None else keepalive
        self.waiting: dict[Any, BaseException] = {}
        """The greenlets that wait for a client to send or to read, and what ends the wait."""
        self._waited: dict[Any, BaseException] = {}
        """Those that did when a stop last looked."""
        self._last_request: Any = None
        self.stop_requested = Event()
        """Set when it is to stop, or has."""
        shutdown.add_server(self)

    @contextmanager
    def hurried(self, late: BaseException) -> Iterator[None]:
        """Wait for a client; when the server stops and it does nothing for `LAST_REQUEST` seconds, raise `late`."""
        greenlet = gevent.getcurrent()
        self.waiting[greenlet] = late
        try:
            yield
        finally:
            del self.waiting[greenlet]

    def close(self) -> None:
        """Accept nobody more; a client that does nothing for `LAST_REQUEST` seconds from now on is not waited for."""
        super().close()
        self.stop_requested.set()
        if self._last_request is None:
            self._waited = dict(self.waiting)
            self._last_request = gevent.get_hub().loop.timer(LAST_REQUEST, LAST_REQUEST, ref=False)
            self._last_request.start(self._end_waiting)

    def stop(self, timeout: float | None = None) -> None:
        """Accept nobody more, and end what goes on."""
        super().stop(timeout)
        if self._last_request is not None:
            self._last_request.close()

    def _end_waiting(self) -> None:
        # In the hub, as the deadlines themselves: a greenlet that has got what it waits for is not here any more.
        waited, self._waited = self._waited, dict(self.waiting)
        for greenlet, late in waited.items():
            if self.waiting.get(greenlet) is late:
                greenlet.throw(late)

    def wrap_socket_and_handle(self, client_socket: Any, address: Any) -> None:
        """Shake hands for TLS, in time, and serve."""
        late = self.waiting[gevent.getcurrent()] = TimeoutError("the TLS handshake took too long")
        try:
            with gevent.Timeout(self.handshake_timeout, late):
                # gevent sets both on the instance: `wrap_socket` takes no `self`.
                tls_socket = vars(self)["wrap_socket"](client_socket, **vars(self)["ssl_args"])
        except OSError as error:
            logger.info("%s: %s", address, error)
            return
        finally:
            del self.waiting[gevent.getcurrent()]
        handler = self.handler_class(tls_socket, address, self)
        try:
            handler.handle()
        finally:
            if not handler.connection_upgraded:
                tls_socket.close()
