"""`serve()`: gevent's HTTP server, with a handler that lets the application take a request's socket over."""

from __future__ import annotations

import logging
import os
import re
import signal
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import gevent
from flask import Flask
from gevent import monkey
from gevent.event import Event
from gevent.pywsgi import OldMessage, WSGIHandler, WSGIServer
from geventwebsocket.handler import WebSocketHandler as GeventWebSocketHandler

from . import going_away, node
from .backplane.contract import BackplaneError
from .settings import from_config
from .upgrade import ENVIRON_KEY, Upgrade, Upgraded

logger = logging.getLogger("gws")

_HEADER = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*([^\0-\x08\n-\x1f\x7f]*)\r?\n")
"""A line of a request's head (RFC 9112 §5): nothing before the colon but a token, and no line that goes on."""
MAX_HEADERS: Final = 100
MAX_HEADER_SIZE: Final = 64 * 1024
"""Bytes of one line."""

LAST_REQUEST: Final = 1.0
"""Seconds for a request to arrive on a connection that is there when the process is told to stop."""


def _check_body(headers: OldMessage) -> None:
    """Refuse a body whose end a proxy in front might see elsewhere (RFC 9112 §6.3, §11.2).

    Raises:
        ValueError: which pywsgi answers with 400.
    """
    lengths = headers.get_all("Content-Length", [])
    codings = headers.get_all("Transfer-Encoding", [])
    if len(lengths) + len(codings) > 1:
        raise ValueError("the request's body has more than one length")
    if not all(length.isascii() and length.isdigit() for length in lengths):
        raise ValueError("the length of the request's body is no number")
    if not all(coding.lower() == "chunked" for coding in codings):
        raise ValueError("the request's body has a transfer coding that is not spoken here")


class UpgradeHandler(WSGIHandler):
    """What any pywsgi handler needs to serve gws; stands before that handler among the bases."""

    server: UpgradeServer
    _head_deadline: gevent.Timeout | None = None
    _is_conversing = False

    def handle(self) -> None:
        """Serve the requests of one TCP connection; one whose head is late ends it."""
        try:
            super().handle()
        except gevent.Timeout as timeout:
            if timeout is not self._head_deadline:
                raise
            logger.info("%s sent no whole request head in time", self.client_address)
        except OSError as error:
            logger.debug("%s was gone before its answer: %s", self.client_address, error)
        finally:
            self._cancel_head_deadline()

    def read_requestline(self) -> str:
        """Begin to read a request."""
        first = self.requestline is None
        seconds = self.server.handshake_timeout if first else self.server.keepalive_timeout
        if going_away.has_begun():
            seconds = min(seconds, LAST_REQUEST)
        self._head_deadline = self.server.waiting[gevent.getcurrent()] = gevent.Timeout.start_new(seconds)
        return super().read_requestline()

    def read_request(self, raw_requestline: str) -> Any:
        """Read the rest of the request's head.

        Raises:
            ValueError: it is bad, which pywsgi answers with 400.
            GreenletExit: the client is gone; pywsgi would print any other error.
        """
        try:
            request = super().read_request(raw_requestline)
        except IndexError as error:
            # Of a version without a dot.
            raise ValueError(f"bad request head: {error!r}") from error
        except OSError as error:
            raise gevent.GreenletExit from error
        self._cancel_head_deadline()
        return request

    def MessageClass(self, rfile: Any, *_options: Any) -> OldMessage:
        """Read the headers, as strictly as RFC 9112 §5 has it and at a fifth of the time that Python's parser takes.

        Raises:
            ValueError: they are too many or too long, there is a line that is no header, or the client has closed
                before the blank line.
        """
        message = OldMessage()
        for _ in range(MAX_HEADERS + 1):
            line = rfile.readline(MAX_HEADER_SIZE)
            if line in (b"\r\n", b"\n"):
                _check_body(message)
                return message
            header = _HEADER.fullmatch(line)
            if header is None:
                raise ValueError("a line of the request's head is no header, or cut short")
            message[header[1].decode("latin-1")] = header[2].rstrip(b" \t").decode("latin-1")
        raise ValueError(f"the request's head has more than {MAX_HEADERS} lines")

    def run_application(self) -> None:
        """Run the application; and if it has upgraded the connection, leave it to the conversation."""
        upgrade = Upgrade(self)
        environ = self.environ
        assert environ is not None
        environ[ENVIRON_KEY] = upgrade
        if not environ["wsgi.input_terminated"]:
            # To an upgrade request pywsgi gives what follows it: frames, and a body without an end to whoever reads it.
            environ["wsgi.input"] = self.wsgi_input
            environ["wsgi.input_terminated"] = True
        try:
            # Not gevent-websocket's own upgrade, which would send the 101 before the application is asked.
            WSGIHandler.run_application(self)
        finally:
            # The environ would keep what keeps it.
            environ.pop(ENVIRON_KEY, None)
            if upgrade.conversation is not None:
                self._leave_to(upgrade.conversation)

    def _leave_to(self, conversation: Upgraded) -> None:
        """Give the conversation a greenlet of its own.

        It takes this one's place in the server's pool: gunicorn counts its connections there, and waits for them.
        """
        self._is_conversing = True
        greenlet = _ConversationGreenlet(self, conversation)
        pool: Any = self.server.pool
        if pool is not None:
            pool.discard(gevent.getcurrent())
            pool.add(greenlet)
        conversation.begin_in(greenlet)

    def end_conversation(self) -> None:
        """The request is over at last."""
        self._is_conversing = False
        self.time_finish = time.time()
        self.log_request()

    def log_request(self) -> None:
        """Write a line when the request, or the WebSocket, is over."""
        if not self._is_conversing:
            self.write_log()

    def write_log(self) -> None:
        """Write the line as the server's own handler does."""
        super().log_request()

    def start_response(self, status: str, headers: Any, exc_info: Any = None) -> Callable[[bytes], None]:
        """Take the application's response, which nobody hears after an upgrade."""
        if self.connection_upgraded:
            return self.write
        return WSGIHandler.start_response(self, status, headers, exc_info)

    def write(self, data: bytes) -> None:
        """Send a piece of the response, unless the connection is no longer HTTP's."""
        if not self.connection_upgraded:
            super().write(data)

    def format_request(self) -> str:
        """The line for the access log, in which the client cannot write what it likes."""
        line = super().format_request()
        if line.isprintable():
            return line
        return "".join(char if char.isprintable() else repr(char)[1:-1] for char in line)

    def _cancel_head_deadline(self) -> None:
        if self._head_deadline is not None:
            self._head_deadline.close()
            self._head_deadline = None
            del self.server.waiting[gevent.getcurrent()]


if TYPE_CHECKING:
    _Greenlet = gevent.Greenlet[[], None]
else:
    _Greenlet = gevent.Greenlet


class _ConversationGreenlet(_Greenlet):
    """A conversation's greenlet, which begins with its first message, or its end: it takes 7 KB once it has begun.

    Args:
        handler: of the request that the conversation began with.
        conversation: what it is to run.
    """

    spawning_stack_limit = 0
    """gevent would keep ten frames of where it was made."""

    def __init__(self, handler: UpgradeHandler, conversation: Upgraded) -> None:
        super().__init__()
        self._handler = handler
        self._conversation = conversation

    def _run(self) -> None:
        try:
            self._conversation.run()
        except BaseException:  # noqa: BLE001 - as pywsgi does with what an application raises
            self._handler.handle_error(*sys.exc_info())
        finally:
            # Which holds its connection, and the connection this.
            del self._conversation
            self._handler.end_conversation()

    def kill(self, exception: Any = gevent.GreenletExit, block: bool = True, timeout: Any = None) -> None:
        """End the conversation, also before it has begun."""
        if self.started or self.ready():
            super().kill(exception, block, timeout)
            return
        self._conversation.stop()
        if block:
            self.join(timeout)


class WebSocketHandler(UpgradeHandler, GeventWebSocketHandler):
    """gevent-websocket's handler, which waits for the application before it upgrades."""

    def write_log(self) -> None:
        """Write a line for a WebSocket too, which gevent-websocket's handler does not."""
        WSGIHandler.log_request(self)


class UpgradeServer(WSGIServer):
    """A pywsgi server that gives no client more than `GWS_HANDSHAKE_TIMEOUT` seconds to say what it wants.

    Args:
        keepalive: seconds for a next request to come on the same connection; as many, if not given.
    """

    def __init__(
        self, listener: Any, application: Any, keepalive: float | None = None, **options: Any
    ) -> None:
        super().__init__(listener, application=application, **options)
        config = application.config if isinstance(application, Flask) else {}
        self.handshake_timeout = from_config(config, {}).handshake_timeout
        self.keepalive_timeout = self.handshake_timeout if keepalive is None else keepalive
        self.waiting: dict[Any, BaseException] = {}
        """The greenlets that wait for a client to say what it wants, and what ends the wait."""
        self._last_request: Any = None
        self.told = Event()
        """Set when it is to stop, or has."""
        going_away.add_server(self)

    def close(self) -> None:
        """Accept nobody more; who has not asked for anything `LAST_REQUEST` seconds later is not waited for."""
        super().close()
        self.told.set()
        if self._last_request is None:
            self._last_request = gevent.get_hub().loop.timer(LAST_REQUEST)
            self._last_request.start(self._end_waiting)

    def _end_waiting(self) -> None:
        self._last_request.close()
        # In the hub, as the deadlines themselves: a greenlet that has got its request by then is not here any more.
        for greenlet, late in tuple(self.waiting.items()):
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


def serve(app: Any, host: str = "127.0.0.1", port: int = 8080, **options: Any) -> None:
    """Serve an application until SIGTERM or Ctrl-C; then close every connection of the process with 1001 and return.

    Args:
        app: a Flask application, or one wrapped in WSGI middleware.
        host: the name or address to listen on; "" is every address.
        port: the port to listen on; 0 is one that is free.
        options: those of `gevent.pywsgi.WSGIServer`: `certfile` and `keyfile` or `ssl_context` for TLS, `log`,
            `error_log`, `backlog`, `environ`.

    Raises:
        SystemExit: 1, with one line that says why the port or the backplane cannot be had.
    """
    if not monkey.is_module_patched("socket"):
        logger.warning(
            "the standard library is not patched for gevent: a handler that waits (time.sleep, requests, a database) "
            "stops every connection. Begin your program with `from gevent import monkey; monkey.patch_all()`"
        )
    try:
        node.begin(is_multiprocess=False)
        node.check()
    except BackplaneError as error:
        sys.exit(f"gws: {error}")
    server = UpgradeServer(
        (host, port), app, **{"handler_class": WebSocketHandler, "backlog": 4096, **options}
    )
    try:
        server.start()
    except OSError as error:
        sys.exit(
            f"gws cannot listen on {host or '*'}:{port}: {os.strerror(error.errno) if error.errno else error}"
        )
    scheme = "https" if server.ssl_enabled else "http"
    print(f"gws listens on {scheme}://{host or '*'}:{server.server_port}", file=sys.stderr, flush=True)
    _serve_until_told(server)


_signal_watchers: list[Any] = []


def _serve_until_told(server: UpgradeServer) -> None:
    going_away.begin_serving()
    if gevent.get_hub().loop.default:
        _signal_watchers.extend(
            gevent.signal_handler(number, server.told.set) for number in (signal.SIGTERM, signal.SIGINT)
        )
    try:
        server.told.wait()
    finally:
        going_away.close_all()
        server.stop(timeout=0)
        _ignore_signals()


def _ignore_signals() -> None:
    """Leave them to Python again; in a forked process too, which is not the server."""
    while _signal_watchers:
        _signal_watchers.pop().cancel()


os.register_at_fork(after_in_child=_ignore_signals)
