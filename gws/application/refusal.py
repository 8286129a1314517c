"""Tells those that get no WebSocket why, where Flask cannot.

A plain request is asked to upgrade, and a client whose 101 gevent-websocket has sent already gets a Close.
"""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Flask, Response, current_app, request
from flask.sansio.blueprints import BlueprintSetupState
from geventwebsocket.websocket import WebSocket as GeventWebSocket
from werkzeug.exceptions import BadRequest, HTTPException
from werkzeug.routing.exceptions import WebsocketMismatch

from ..errors import HandshakeRefusedError
from ..protocol.frames import INTERNAL_ERROR, POLICY_VIOLATION, Close, encode_close
from ..servers.access_log import write_line
from ..servers.http_guest import guarded
from ..servers.upgrade import ENVIRON_KEY, name_apart


def install(app: Flask | Blueprint) -> None:
    """Have an application answer what is no handshake, and close what it refuses behind a 101. Once for each."""
    if isinstance(app, Blueprint):
        app.record(_install_later)
    elif "gws" not in app.extensions:
        app.extensions["gws"] = True
        app.before_request(_ask_for_upgrade)
        app.wsgi_app = _closing_refused(guarded(app))  # type: ignore[method-assign] # as Flask has it done


def _install_later(state: BlueprintSetupState) -> None:
    assert isinstance(state.app, Flask)
    install(state.app)


class UpgradeRequired(HTTPException):
    """426 (RFC 9110 §15.5.22): a plain request for a WebSocket; `errorhandler` answers it as it does any other."""

    code = 426

    def get_headers(self, *arguments: Any, **options: Any) -> list[tuple[str, str]]:
        """Those of the response, with what is to be upgraded to."""
        headers = super().get_headers(*arguments, **options)
        # Other servers than gws's let no application say this.
        return [*headers, ("Upgrade", "websocket"), ("Connection", "Upgrade")] if has_upgrade() else headers


def _ask_for_upgrade() -> None:
    if not isinstance(request.routing_exception, WebsocketMismatch):
        return
    if request.headers.get("Upgrade", "").lower() != "websocket":
        raise UpgradeRequired(f"{request.path} is a WebSocket: connect to it with ws:// or wss://")
    raise BadRequest(f"{request.path} is no WebSocket: make it one with gws.WebSocket(app, {request.path!r})")


def has_upgrade() -> bool:
    """Return whether gws's own HTTP handler serves the current request."""
    return ENVIRON_KEY in request.environ


def answer(refusal: HandshakeRefusedError) -> Response:
    """Return what a handshake is refused with."""
    response = Response(f"{refusal}\n", refusal.status, refusal.headers, mimetype="text/plain")
    return _close_behind(response)


def answer_as_view(returned: Any) -> Response:
    """Return what a connect handler refuses a handshake with: as Flask answers what a view has returned.

    Raises:
        TypeError: it is nothing that a view may return.
    """
    response = current_app.make_response(returned)
    websocket = request.environ.get("wsgi.websocket")
    if isinstance(websocket, GeventWebSocket):
        # Whatever its status: 200 is no WebSocket either.
        _close(websocket, response.status)
    return _close_behind(response)


def _close_behind(response: Response) -> Response:
    """Have the connection end with the answer: frames may follow, which are no request."""
    if has_upgrade():
        response.headers["Connection"] = "close, Upgrade" if "Upgrade" in response.headers else "close"
        request.environ[ENVIRON_KEY].refuse()
    return response


def _closing_refused(wsgi_app: Any) -> Any:
    """WSGI middleware that tells a client that has its 101 already why it is refused."""

    def application(environ: dict[str, Any], start_response: Any) -> Any:
        websocket = environ.get("wsgi.websocket")
        if not isinstance(websocket, GeventWebSocket):
            return wsgi_app(environ, start_response)
        name_apart(websocket)

        def start(status: str, headers: Any, exc_info: Any = None) -> Any:
            _close_refused(websocket, status)
            return start_response(status, headers, exc_info)

        try:
            return wsgi_app(environ, start)
        except BaseException:
            _close_refused(websocket, "500 INTERNAL SERVER ERROR")
            raise

    return application


def _close_refused(websocket: GeventWebSocket, status: str) -> None:
    # With 200 ends a view that has talked to gevent-websocket itself.
    if status >= "300":
        _close(websocket, status)


def _close(websocket: GeventWebSocket, status: str) -> None:
    if not websocket.closed:
        code = INTERNAL_ERROR if status >= "500" else POLICY_VIOLATION
        # A control frame has 125 bytes (RFC 6455 §5.5), and a letter of the status may take two.
        reason = status.encode()[:123].decode(errors="ignore")
        # Not with its own `close`, which leaves the code out.
        websocket.raw_write(encode_close(Close(code, reason)))
        websocket.closed = True
        write_line(websocket.handler, status)
