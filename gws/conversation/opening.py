"""The beginning of a conversation: the handshake is checked, the connect handler runs, and the 101 is sent."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, Final

import gevent
from flask import Flask, Response, current_app, request
from flask.ctx import RequestContext
from werkzeug.exceptions import HTTPException

from .. import aio
from ..cluster.endpoint import Endpoint
from ..connection.connection import Connection
from ..errors import ConnectRefusedError, HandlerError, HandshakeRefusedError
from ..protocol import handshake
from ..protocol.frames import GOING_AWAY, POLICY_VIOLATION
from ..protocol.origins import check_origin
from ..servers.shutdown import shutdown
from ..servers.upgrade import Upgrade
from ..settings import Settings
from .results import fail, send_result

_BEHIND_PROXY: Final = "behind a proxy: app.wsgi_app = ProxyFix(app.wsgi_app, x_for=1, x_proto=1, x_host=1)"
FORBIDDEN: Final = ("the connect handler refuses\n", 403, {"Content-Type": "text/plain; charset=utf-8"})
"""What a connect handler answers with that returns False."""
MAX_REASON: Final = 123
"""Bytes of a Close's reason (RFC 6455 §5.5)."""


def check_handshake(settings: Settings, upgrade: Upgrade) -> handshake.Accepted:
    """Return what the current request is answered with, and what is agreed on.

    Raises:
        HandshakeRefusedError: the request is no handshake, or comes from a page that may not connect.
    """
    _check_not_stopping()
    if settings.require_subprotocol and not upgrade.sends_head:
        raise HandshakeRefusedError(501, "gevent-websocket's handler agrees on no subprotocol")
    accepted = handshake.accept(
        request.method,
        request.environ["SERVER_PROTOCOL"],
        request.headers.items(),
        subprotocols=settings.subprotocols if upgrade.sends_head else (),
        require_subprotocol=settings.require_subprotocol,
        compression=settings.compression if upgrade.sends_head else None,
    )
    origin = request.headers.get("Origin")
    # "This header field is included" by browsers, and programs are let in without (RFC 6455 §10.2).
    if origin is not None:
        # Not `host_url`, which spells an international domain as people do, and the Origin does not.
        own = f"{request.scheme}://{request.headers.get('Host', '')}"
        try:
            check_origin(origin, own, settings.allowed_origins)
        except HandshakeRefusedError as refusal:
            if "X-Forwarded-Host" in request.headers or "X-Forwarded-Proto" in request.headers:
                raise HandshakeRefusedError(refusal.status, f"{refusal}; {_BEHIND_PROXY}") from None
            raise
    return accepted


class Opening:
    """What is left of a handshake that is good; nobody has it any more once the conversation has begun.

    Args:
        endpoint: what the client has come to.
        upgrade: the way to the socket.
        headers: of the 101.
        context: of the request.
        connection: without a socket.
        seconds: for the connect handler to accept, if there is one.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        upgrade: Upgrade,
        headers: list[tuple[str, str]],
        context: RequestContext,
        connection: Connection,
        seconds: float | None,
    ) -> None:
        self._endpoint = endpoint
        self._upgrade = upgrade
        self._headers = headers
        self._context = context
        self._app: Flask = context.app
        self._connection = connection
        self._is_accepted = False
        self._deadline = None if seconds is None else gevent.Timeout(seconds)

    def accept(self) -> None:
        """Send the 101 with what was sent meanwhile; once.

        Raises:
            HandshakeRefusedError: the process is stopping.
        """
        if self._is_accepted:
            return
        _check_not_stopping()
        head = b""
        if self._upgrade.sends_head:
            head = handshake.encode_response(self._headers + self._session_cookies())
        socket, received = self._upgrade.take_over()
        self._is_accepted = True
        if self._deadline is not None:
            self._deadline.cancel()
        self._connection.open(socket, head, received)

    def connect(self, call: Callable[[], Any] | None) -> bool:
        """Run the connect handler, if there is one, and accept.

        Args:
            call: calls it.

        Returns:
            Whether it has finished.

        Raises:
            ConnectRefusedError: it answers in plain HTTP.
            HandshakeRefusedError: it took too long, or the process is stopping.
            Exception: what it raised, unless it has accepted: for Flask to answer.
        """
        if call is not None and not self._run(call):
            return False
        self.accept()
        return True

    def _run(self, call: Callable[[], Any]) -> bool:
        """Return whether the connect handler has finished."""
        deadline = self._deadline
        assert deadline is not None
        try:
            with deadline:
                result = call()
                if inspect.iscoroutine(result):
                    result = aio.run(result)
                if result is False or _is_answer(result):
                    return self._refuse(result)
                if result is not True:
                    send_result(self._connection, self._app, self._endpoint, result)
        except ConnectRefusedError:
            raise
        except BaseException as error:
            if error is deadline:
                raise HandshakeRefusedError(503, "the connect handler took too long") from error
            if self._is_accepted:
                if isinstance(error, HTTPException):
                    return self._refuse(error)
                if isinstance(error, gevent.GreenletExit):
                    self._connection.close(GOING_AWAY, "going away")
                else:
                    fail(self._app, self._endpoint, self._connection, "connect", error)
                return False
            if isinstance(error, gevent.GreenletExit):
                # Of a stop, which does not wait for it.
                _check_not_stopping()
            if isinstance(error, Exception | gevent.GreenletExit | KeyboardInterrupt):
                raise
            raise HandlerError(f"the connect handler raised {type(error).__name__}") from error
        return True

    def _refuse(self, answer: Any) -> bool:
        """Answer the handshake as a Flask view would, with 403 for False; or close, if the 101 is out already.

        Raises:
            ConnectRefusedError: for the view to return the answer.
        """
        if answer is False:
            answer = FORBIDDEN
        if not self._is_accepted:
            raise ConnectRefusedError(answer)
        self._connection.close(POLICY_VIOLATION, current_app.make_response(answer).status[:MAX_REASON])
        return False

    def _session_cookies(self) -> list[tuple[str, str]]:
        """Return the cookies that save what was done to `flask.session` until now."""
        if self._app.session_interface.is_null_session(self._context.session):
            return []
        response = Response()
        self._app.session_interface.save_session(self._app, self._context.session, response)
        return [("Set-Cookie", cookie) for cookie in response.headers.getlist("Set-Cookie")]


def _is_answer(result: object) -> bool:
    """Return whether a Flask view would answer with this, and it is no message: a `Response`, a tuple, an exception."""
    return isinstance(result, tuple) or callable(result)


def _check_not_stopping() -> None:
    if shutdown.is_stopping:
        raise HandshakeRefusedError(503, "the server is going away")
