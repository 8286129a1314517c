"""`Client`: talks to an application's WebSockets in a test, over real frames and a real server in the same process."""

from __future__ import annotations

import socket
import time
import weakref
from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import Any, Final, TypeAlias
from urllib.parse import urlsplit

from flask import Flask
from flask.testing import EnvironBuilder, FlaskClient
from websockets.client import ClientProtocol
from websockets.http11 import Request, Response
from websockets.typing import Subprotocol
from websockets.uri import WebSocketURI
from werkzeug.datastructures import EnvironHeaders, Headers
from werkzeug.test import TestResponse
from werkzeug.urls import iri_to_uri
from werkzeug.wrappers import Request as BaseRequest

from ..errors import RefusedError
from ..servers.upgrade_server import UpgradeServer
from .client_websocket import ClientWebSocket
from .host import Host, get_host
from .server_side import ServerSide, ServerSides
from .wire import Wire

GivenHeaders: TypeAlias = Mapping[str, str] | Iterable[tuple[str, str]] | None

TIMEOUT: Final = 2.0
"""Seconds: a test that waits longer hangs, as far as whoever runs it can see."""


class Client:
    """Connect to an application in a test: `with Client(app).connect("/chat") as ws: ...`.

    The application is served in a thread of its own, with a hub of its own, or in a greenlet if gevent has patched the
    process. Its server begins with the first `connect`. It ends with `close`, with the client's own `with`, or when
    nobody has the client any more. Any number of clients and applications live beside each other.

    Args:
        app: a Flask application.
        http: Flask's test client, whose cookies and `environ_base` every handshake sends; what the handshake's answer
            sets is in there too.
        timeout: seconds for each wait.

    Raises:
        TypeError: `app` is no Flask application.

    Attributes:
        app: as it was given.
        http: as it was given, or one of its own.
    """

    def __init__(self, app: Flask, http: FlaskClient | None = None, *, timeout: float = TIMEOUT) -> None:
        if not isinstance(app, Flask):
            raise TypeError(
                f"Client(app) takes a Flask application, not {type(app).__name__}; "
                "put WSGI middleware around app.wsgi_app"
            )
        self.app = app
        self.http = app.test_client() if http is None else http
        self.timeout = timeout
        self._sides = ServerSides(app)
        self._server: UpgradeServer | None = None
        self._host: Host | None = None
        self._stop_serving: weakref.finalize[Any, Any] | None = None
        self._open: dict[ClientWebSocket, ServerSide] = {}

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is None:
            self.close()
        else:
            for websocket in tuple(self._open):
                websocket.__exit__(kind, error, traceback)
            self._stop()

    def connect(
        self,
        path: str = "/",
        *,
        headers: GivenHeaders = None,
        origin: str | None = None,
        subprotocols: Iterable[str] = (),
        timeout: float | None = None,
    ) -> ClientWebSocket:
        """Return an open WebSocket.

        Args:
            path: with the query string, if there is one; "http://a.example/chat" is another host's.
            headers: more of the handshake.
            origin: the page that connects, such as "http://localhost", which is the server's own; none by default.
            subprotocols: those that the client speaks, the best first.
            timeout: seconds for the handshake.

        Raises:
            RefusedError: the answer is plain HTTP: `error.status`, `error.body`, `error.response`.
            Exception: what the connect handler, or a function before it, raised.
            TimeoutError: there is no answer; it says where the connect handler is.
            RuntimeError: the application cannot be served; it says why.
        """
        seconds = self.timeout if timeout is None else timeout
        request, target = self._make_request(path, headers)
        protocol = ClientProtocol(
            target, subprotocols=[Subprotocol(name) for name in subprotocols] or None, max_size=None
        )
        handshake = protocol.connect()
        del handshake.headers["Host"]
        for name, value in EnvironHeaders(request.environ):
            handshake.headers[name] = value
        if origin is not None:
            handshake.headers["Origin"] = origin
        host, server = self._serve(seconds)
        port = server.server_port or 0
        wire = Wire(socket.create_connection(("127.0.0.1", port), seconds), protocol)
        host.add_wire(wire)
        side = ServerSide(host)
        self._sides.add(port, wire.port, side)
        try:
            answer = self._shake_hands(wire, handshake, side, seconds)
            self._take_cookies(request, answer)
            if side.errors:
                raise side.errors.popleft()
            if answer.status_code != 101:
                raise RefusedError(self._response(request, answer))
            if protocol.handshake_exc is not None:
                raise protocol.handshake_exc
            side.wait_begun(seconds)
        except BaseException:
            wire.abort()
            self._sides.remove(side)
            raise
        websocket = ClientWebSocket(
            self.app, path, wire, side, protocol.subprotocol, self.timeout, self._forget
        )
        self._open[websocket] = side
        return websocket

    def close(self) -> None:
        """Close every WebSocket that the client has opened, as its own `close` does, and end the server. Idempotent.

        Raises:
            TimeoutError, Exception: of the first that has one, as its `close`.
        """
        errors = []
        for websocket in tuple(self._open):
            try:
                websocket.close()
            except Exception as error:  # noqa: BLE001 - the others are closed all the same
                errors.append(error)
        self._stop()
        if errors:
            raise errors[0]

    def _make_request(self, path: str, headers: GivenHeaders) -> tuple[BaseRequest, WebSocketURI]:
        """Return the request as Flask's test client would make it, and the target of the handshake."""
        builder = EnvironBuilder(
            self.app, iri_to_uri(path), headers=headers, environ_base=self.http.environ_base
        )
        request = builder.get_request()
        builder.close()
        self.http._add_cookies_to_wsgi(request.environ)
        return request, WebSocketURI(False, "localhost", 80, builder.path or "/", builder.query_string)

    def _shake_hands(self, wire: Wire, handshake: Request, side: ServerSide, seconds: float) -> Response:
        try:
            return wire.shake_hands(handshake, time.monotonic() + seconds)
        except TimeoutError:
            raise TimeoutError(
                f"no answer to the handshake of {handshake.path} within {seconds:g} s{side.describe()}"
            ) from None

    def _take_cookies(self, request: BaseRequest, answer: Response) -> None:
        url = urlsplit(request.url)
        self.http._update_cookies_from_response(
            url.hostname or "localhost", url.path, answer.headers.get_all("Set-Cookie")
        )

    def _response(self, request: BaseRequest, answer: Response) -> TestResponse:
        """Return a refusal as Flask's test client has an answer."""
        response = self.http.response_wrapper(
            [bytes(answer.body or b"")],
            f"{answer.status_code} {answer.reason_phrase}",
            Headers(list(answer.headers.raw_items())),
            request=request,
        )
        response.json_module = self.app.json  # type: ignore[assignment] # as Flask does
        return response

    def _serve(self, seconds: float) -> tuple[Host, UpgradeServer]:
        """Return the server, which a stop of the process's WebSockets may have ended, and a fork has."""
        host = get_host()
        if self._server is None or self._host is not host or self._server.stop_requested.is_set():
            self._stop()
            self._host, self._server = host, host.serve(self.app, seconds)
            self._stop_serving = weakref.finalize(self, host.stop_serving, self._server)
            self._stop_serving.atexit = False
        return host, self._server

    def _stop(self) -> None:
        if self._stop_serving is not None:
            self._stop_serving()
        self._server = self._host = self._stop_serving = None

    def _forget(self, websocket: ClientWebSocket) -> None:
        side = self._open.pop(websocket, None)
        if side is not None:
            self._sides.remove(side)
