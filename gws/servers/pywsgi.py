"""gevent's HTTP handler, which lets the application take a request's socket over.

Longer than other modules: pywsgi leaves to one class what it does not do.
"""

from __future__ import annotations

import errno
import logging
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from socket import SHUT_WR
from typing import TYPE_CHECKING, Any, Final

import gevent
from gevent.pywsgi import OldMessage, WSGIHandler
from geventwebsocket.handler import WebSocketHandler as GeventWebSocketHandler
from werkzeug.exceptions import HTTPException

from ..metrics import counters
from ..printable import printable
from . import http_head
from .access_log import MAX_LINE, write_line
from .http_body import PIECE_SIZE, Body, Patience, Turn
from .http_head import BadHeadError, LineTooLongError
from .shutdown import shutdown
from .upgrade import ENVIRON_KEY, Upgrade, Upgraded
from .upgrade_server import LAST_REQUEST, UpgradeServer

logger = logging.getLogger("gws.server")

LINGER: Final = 1.0
"""Seconds to read on behind the last answer, and the bytes of that."""
LINGER_SIZE: Final = 1024 * 1024


class UpgradeHandler(WSGIHandler):
    """What any pywsgi handler needs to serve gws; stands before that handler among the bases."""

    # Not in pywsgi's `__dict__`: with over 30 names an idle WebSocket would take 1.3 KB more.
    __slots__ = ("_head_deadline", "_is_conversing", "_patience", "_turn")

    server: UpgradeServer
    _head_deadline: gevent.Timeout | None
    _is_conversing: bool
    _turn: Turn
    _patience: Patience
    """With a client that does not read its answer."""
    wsgi_input: Any
    content_length: Any

    def handle(self) -> None:
        """Serve the requests of one TCP connection; one whose head is late ends it."""
        self._head_deadline = None
        self._is_conversing = False
        self._turn = Turn()
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

    def handle_one_request(self) -> Any:
        """Serve one request, of which nothing is left of the one before."""
        if self.requestline is not None:
            self._turn.end()
        self._patience = Patience()
        self.environ = self.wsgi_input = self.status = self._orig_status = None
        self.headers = OldMessage()
        self.response_headers = []
        self.response_length = self.code = self.time_finish = 0
        result = super().handle_one_request()
        if isinstance(result, tuple):
            self._cancel_head_deadline()
            self.status, answer = result
            self._sendall(answer)
            self.time_finish = time.time()
            self.log_request()
            self._linger()
            return None
        if self.environ is None or self.connection_upgraded or self.wsgi_input.is_complete:
            return result
        # Behind a body that has not been read to its end, nobody knows where a request begins.
        self._linger()
        return None

    def read_requestline(self) -> str:
        """Begin to read a request."""
        first = self.requestline is None
        seconds = self.server.handshake_timeout if first else self.server.keepalive_timeout
        if shutdown.is_stopping:
            seconds = min(seconds, LAST_REQUEST)
        self._head_deadline = self.server.waiting[gevent.getcurrent()] = gevent.Timeout.start_new(seconds)
        self.socket.settimeout(None)
        return super().read_requestline()

    def read_request(self, raw_requestline: str) -> Any:
        """Read the rest of the request's head.

        Raises:
            BadHeadError: it is bad.
            GreenletExit: the client is gone; pywsgi would print any other error.
        """
        # What is logged, whatever becomes of it.
        self.requestline = raw_requestline.rstrip()
        self.close_connection = True
        left = self.server.max_head_size - len(raw_requestline)
        if left < 0:
            raise LineTooLongError("the request line alone is over the bound of the head")
        line = http_head.parse_request_line(raw_requestline.encode("latin-1"))
        self.command, self.path, self.request_version = line
        try:
            self.headers = http_head.read_headers(self.rfile, left)
        except OSError as error:
            raise gevent.GreenletExit from error
        self.content_length = http_head.body_length(self.request_version, self.headers)
        self.close_connection = not http_head.is_kept(self.request_version, self.headers)
        self._cancel_head_deadline()
        return True

    def _handle_client_error(self, error: Exception) -> tuple[str, bytes]:
        """Answer a head that is none; nothing that follows it is a request."""
        status = error.status if isinstance(error, BadHeadError) else BadHeadError.status
        logger.info("%s: %s", self.client_address, error)
        return status, f"HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n".encode()

    def get_environ(self) -> dict[str, Any]:
        """Return the WSGI environment, with a body that is read as it is framed."""
        environ: dict[str, Any] = super().get_environ()
        asks = environ.get("HTTP_EXPECT", "").lower() == "100-continue" and self.request_version != "HTTP/1.0"
        self.wsgi_input = Body(
            self.rfile,
            self.content_length,
            self._turn,
            self.server.hurried,
            self._send_continue if asks else None,
        )
        environ["wsgi.input"] = self.wsgi_input
        # Also of an upgrade request, behind which pywsgi would give frames to whoever reads its body.
        environ["wsgi.input_terminated"] = True
        return environ

    def run_application(self) -> None:
        """Run the application; and if it has upgraded the connection, leave it to the conversation."""
        upgrade = Upgrade(self)
        environ = self.environ
        assert environ is not None
        environ[ENVIRON_KEY] = upgrade
        body = self.wsgi_input
        try:
            # Not gevent-websocket's own upgrade, which would send the 101 before the application is asked.
            WSGIHandler.run_application(self)
        except HTTPException as error:
            # Flask has answered it, other applications may not have.
            if error is not body.error:
                raise
            self._answer_bad_body(error)
        finally:
            # The environ would keep what keeps it.
            environ.pop(ENVIRON_KEY, None)
            if upgrade.conversation is not None:
                self._leave_to(upgrade.conversation)

    def _answer_bad_body(self, error: HTTPException) -> None:
        self.close_connection = True
        if not self.headers_sent:
            self.start_response(
                f"{error.code} {error.name}", [("Connection", "close"), ("Content-Length", "0")]
            )
            self.write(b"")

    def _send_continue(self) -> None:
        # Amid an answer it would be a part of that.
        if not self.headers_sent:
            self._sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
            self.response_length = 0

    def _sendall(self, data: bytes) -> None:
        """Send a part of the answer to a client that reads it at `LEAST_RATE` or faster."""
        left = memoryview(data)
        patience = self._patience
        while left:
            late = ConnectionResetError(errno.ECONNRESET, "the client does not read its answer")
            self._turn.end()
            self.socket.settimeout(max(patience.left, 0.001))
            began = time.monotonic()
            try:
                with self.server.hurried(late):
                    sent = self.socket.send(left[:PIECE_SIZE])
                left = left[sent:]
                patience.count(time.monotonic() - began, sent)
            except OSError as error:
                is_late = error is late or isinstance(error, TimeoutError)
                counters["slow_readers"] += is_late
                self.status = f"socket error: {error}"
                self.close_connection = True
                # A reset is what pywsgi logs no traceback of.
                raise (late if is_late else error) from None
        self.response_length += len(data)

    def _linger(self) -> None:
        """Let the client read its answer: to close a socket over unread bytes sends a reset, which overtakes it."""
        left = LINGER_SIZE
        with suppress(OSError), gevent.Timeout(LINGER, OSError()):
            self.socket.shutdown(SHUT_WR)
            while left > 0 and (data := self.socket.recv(PIECE_SIZE)):
                left -= len(data)
                self._turn.end()

    def _leave_to(self, conversation: Upgraded) -> None:
        """Give the conversation a greenlet of its own.

        It takes this one's place in the server's pool: gunicorn counts its connections there, and waits for them.
        """
        self._is_conversing = True
        del self._patience, self._turn
        greenlet = _ConversationGreenlet(self, conversation)
        pool: Any = self.server.pool
        if pool is not None:
            pool.discard(gevent.getcurrent())
            pool.add(greenlet)
        conversation.begin_in(greenlet)

    def end_conversation(self, close_code: int) -> None:
        """Log the end of the WebSocket."""
        self._is_conversing = False
        write_line(self, str(close_code))

    def log_request(self) -> None:
        """Write a line when the request is over; a WebSocket gets its own."""
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
        """Return the line for the access log, in which the client cannot write what it likes."""
        return printable(super().format_request(), MAX_LINE)

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
            close_code = self._conversation.close_code
            # Which holds its connection, and the connection this.
            del self._conversation
            self._handler.end_conversation(close_code)

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
