"""Takes a request's socket away from the HTTP server: what each way to run a Flask application needs for that.

gws's own handler (`gws.servers.pywsgi`) leaves itself in the WSGI environ. gevent-websocket's has sent the 101 before
the application runs, and leaves a WebSocket object of its own. Any other server has nothing to give.
"""

from __future__ import annotations

import contextvars
import io
import ssl
from collections.abc import Iterable, Iterator
from typing import Any, Final, Protocol

import gevent
import gevent.ssl
from flask import Response, current_app
from flask.ctx import RequestContext
from flask.globals import request_ctx
from gevent import monkey
from gevent.pywsgi import Input
from geventwebsocket.handler import Client
from geventwebsocket.websocket import WebSocket as GeventWebSocket
from werkzeug.wsgi import ClosingIterator

from ..errors import HandshakeRefusedError
from . import access_log
from .shutdown import shutdown

ENVIRON_KEY: Final = "gws.upgrade"
"""Where gws's own HTTP handler leaves its `Upgrade`."""

_Socket = monkey.get_original("socket", "socket")

EMPTY_INPUT: Final = Input(io.BufferedReader(io.BytesIO()), 0)
"""A request's body that has nothing in it."""


class Upgraded(Protocol):
    """What becomes of a request that has been upgraded."""

    def run(self) -> None:
        """Run it, in the greenlet that is to be the connection's."""

    @property
    def close_code(self) -> int:
        """Return what ended it, once it is over."""

    def begin_in(self, greenlet: Any) -> None:
        """Have a greenlet, which has not begun, run it as soon as there is something to do."""

    def stop(self) -> None:
        """Close it cleanly."""


class Upgrade:
    """One request's way to become a WebSocket.

    Args:
        handler: the pywsgi handler that serves the request.
    """

    sends_head = True
    """Whether the 101 is still to be sent."""

    def __init__(self, handler: Any) -> None:
        self._handler = handler
        self.conversation: Upgraded | None = None
        """What the HTTP handler is to begin when the application has returned."""

    @property
    def server(self) -> object:
        """The server that the request came to."""
        return self._handler.server

    def adopt_server(self) -> None:
        """Have a stop close the server, if it is one that gws has not started."""

    def take_over(self) -> tuple[Any, bytes]:
        """Return the socket, which does not block and is nobody else's any more, and the bytes behind the request."""
        handler = self._handler
        handler.socket.settimeout(0)
        received = _drain(handler.rfile)
        # An open reader would keep a TLS socket from closing.
        handler.rfile.close()
        socket = _detach(handler.socket)
        if self.sends_head:
            # The handler sends nothing more.
            handler.start_response(access_log.OPENED, [])
            handler.headers_sent = handler.connection_upgraded = handler.close_connection = True
        access_log.write_line(handler, access_log.OPENED)
        _let_go(handler)
        return socket, received

    def keep_context(self) -> RequestContext:
        """Return the request's context, for the conversation to push once more: nobody else does when that runs."""
        proxy: Any = request_ctx
        context: RequestContext = proxy._get_current_object()
        return context

    def refuse(self) -> None:
        """Have the HTTP handler close the connection behind its answer."""
        self._handler.close_connection = True

    def schedule(self, conversation: Upgraded) -> Response:
        """Have the conversation begin once the application has returned: Flask's frames are off the stack by then.

        Returns:
            What the view returns, which nobody hears.
        """
        self.conversation = conversation
        return _Silence(status=101)


class GeventWebSocketUpgrade(Upgrade):
    """The same where gevent-websocket's handler runs the application, and closes the connection when it returns."""

    sends_head = False

    def __init__(self, websocket: GeventWebSocket) -> None:
        super().__init__(websocket.handler)
        self._websocket = websocket

    def adopt_server(self) -> None:
        """Have a stop close gevent-websocket's server, of which gws hears here for the first time."""
        shutdown.install_signal_handlers()
        shutdown.add_server(self._handler.server)

    def take_over(self) -> tuple[Any, bytes]:
        """Return the socket and the bytes behind the request; the WebSocket object writes nothing more."""
        self._websocket.closed = True
        return super().take_over()

    def keep_context(self) -> RequestContext:
        """Return a copy of the request's context, whose own greenlet may still have it when the conversation begins."""
        return request_ctx.copy()

    def schedule(self, conversation: Upgraded) -> Response:
        """Run the conversation in a greenlet that knows nothing of this request, and have this one wait for it.

        gunicorn counts the greenlet that it has made, and stops when that ends.
        """
        greenlet = gevent.spawn(contextvars.Context().run, conversation.run)
        return current_app.response_class(self._wait_for(greenlet, conversation), direct_passthrough=True)

    def _wait_for(self, greenlet: gevent.Greenlet[..., None], conversation: Upgraded) -> Iterator[bytes]:
        """Return a response's body, which has nothing in it and takes as long as a conversation."""
        greenlet.join()
        access_log.write_line(self._handler, str(conversation.close_code))
        yield from ()


class _Silence(Response):
    """A response of which nothing is sent, and nothing made up to be sent but what middleware waits for."""

    def __call__(self, environ: Any, start_response: Any) -> Iterable[bytes]:
        start_response("101 SWITCHING PROTOCOLS", [])
        return ClosingIterator(())


def find_upgrade(environ: dict[str, Any]) -> Upgrade:
    """Return what the server offers.

    Raises:
        HandshakeRefusedError: 501, this server cannot serve WebSockets.
    """
    own = environ.get(ENVIRON_KEY)
    if isinstance(own, Upgrade):
        return own
    theirs = environ.get("wsgi.websocket")
    if isinstance(theirs, GeventWebSocket):
        return GeventWebSocketUpgrade(theirs)
    raise HandshakeRefusedError(
        501,
        "this server cannot serve WebSockets: run the application with `flask ws run` in place of `flask run`, with "
        "`gws run app:app`, `gws.serve(app)`, `app.start()` or `gunicorn -k gws.worker.Worker`",
    )


class _NoAddress(str):
    """The address of a client on a Unix socket, which has none and yet is another than that of every other client."""

    __slots__ = ()
    __eq__ = object.__eq__
    __hash__ = object.__hash__


def name_apart(websocket: GeventWebSocket) -> None:
    """Give each WebSocket of gevent-websocket's handler an address of its own: it keeps them in a dict, by that.

    Of those on a Unix socket, whose address is "", the second to end would be a KeyError.
    """
    handler = websocket.handler
    if not isinstance(handler.client_address, tuple):
        clients = handler.server.clients
        clients.pop(handler.client_address, None)
        handler.client_address = _NoAddress()
        clients[handler.client_address] = Client(handler.client_address, websocket)


def _drain(rfile: Any) -> bytes:
    """Return the bytes that the HTTP parser has read and not used; the socket must not block."""
    try:
        received: bytes = rfile.peek()
    except (OSError, ssl.SSLError):
        return b""
    return received


def _detach(socket: Any) -> Any:
    """Return the plain socket under gevent's wrapper, which is done with; a TLS socket stays as it is."""
    if isinstance(socket, gevent.ssl.SSLSocket):
        return socket
    plain = _Socket(socket.family, socket.type, socket.proto, fileno=socket.detach())
    plain.setblocking(False)
    return plain


def _let_go(handler: Any) -> None:
    """Free what the HTTP handler keeps of the request: 5 KB for each connection."""
    handler.environ["wsgi.input"] = handler.wsgi_input = EMPTY_INPUT
    handler.socket = handler.rfile = None
    handler.__dict__.pop("headers", None)
