"""What happens on one connection, from its handshake to its end: events in order, and the ladder of errors."""

from __future__ import annotations

import contextvars
import inspect
import logging
from collections.abc import Iterator, Mapping
from typing import Any, Final

import gevent
from flask import (
    Flask,
    Response,
    appcontext_tearing_down,
    current_app,
    got_request_exception,
    request,
    request_tearing_down,
)
from flask.globals import app_ctx, request_ctx
from werkzeug.exceptions import HTTPException

from .. import aio
from ..cluster.endpoint import Endpoint
from ..cluster.registry import registry
from ..connection.backpressure import drain
from ..connection.compressed import CompressedConnection
from ..connection.connection import Connection
from ..connection.states import FAILED, LOST, OURS
from ..connection.transport import HIGH_WATER
from ..errors import ConnectRefusedError, HandlerError, HandshakeRefusedError
from ..printable import printable
from ..protocol import handshake
from ..protocol.frames import ABNORMAL, GOING_AWAY, INTERNAL_ERROR, POLICY_VIOLATION, encode_text
from ..protocol.messages import Message
from ..protocol.origins import check_origin
from ..servers import shutdown
from ..servers.upgrade import Upgrade
from ..settings import Settings
from .connector import WebSocketConnector, leave_rooms
from .handlers import Handler, encode_result

logger = logging.getLogger("gws.conversation")

FORBIDDEN: Final = ("the connect handler refuses\n", 403, {"Content-Type": "text/plain; charset=utf-8"})
"""What a connect handler answers with that returns False."""
MAX_REASON: Final = 123
"""Bytes of a Close's reason (RFC 6455 §5.5)."""


class Conversation:
    """One connection and its handlers; made in the view, and run in a greenlet of its own.

    Args:
        endpoint: what the client has come to.
        handlers: by event; those that are there when the event comes.
        settings: limits and deadlines.
        upgrade: the way to the socket.
        path_params: the variables of the URL rule.

    Raises:
        HandshakeRefusedError: the request is no handshake, or comes from a page that may not connect.
    """

    __slots__ = (
        "_app",
        "_connected",
        "_connection",
        "_context",
        "_deadline",
        "_endpoint",
        "_globals",
        "_handlers",
        "_handshake",
        "_runner",
        "_tears_down",
        "_ws",
    )

    def __init__(
        self,
        endpoint: Endpoint,
        handlers: Mapping[str, Handler],
        settings: Settings,
        upgrade: Upgrade,
        path_params: Mapping[str, Any],
    ) -> None:
        accepted = _accept_handshake(settings, upgrade)
        self._handshake: tuple[Upgrade, list[tuple[str, str]]] | None = (upgrade, accepted.headers)
        self._endpoint = endpoint
        self._handlers = handlers
        self._app = request_ctx.app
        self._context = upgrade.keep_context()
        self._connection = (
            CompressedConnection(settings, self._leave, accepted.agreement)
            if accepted.agreement
            else Connection(settings, self._leave)
        )
        self._ws = WebSocketConnector(
            endpoint,
            self._connection,
            self._context.request,
            path_params,
            accepted.subprotocol,
            self._accept,
            settings.max_rooms,
        )
        self._deadline = gevent.Timeout(settings.handshake_timeout) if "connect" in handlers else None
        """Of the connect handler, where there is one, for as long as it has not accepted."""
        self._connected = False
        """Whether the connect handler has finished."""
        self._tears_down = _has_teardown(self._app)
        """Whether there is something to run after every event."""
        self._globals: dict[str, Any] = {}
        """What is in `flask.g`, which begins anew at every event; the request's context stays all along."""
        self._runner: aio.Runner | None = None

    def begin(self) -> None:
        """Run the connect handler and send the 101 with what it said behind it.

        Raises:
            ConnectRefusedError: the connect handler answers in plain HTTP.
            HandshakeRefusedError: the connect handler took too long, or the process is stopping.
            Exception: what the connect handler raised, unless it has accepted: for Flask to answer.
        """
        shutdown.enter(self._connection)
        try:
            self._connected = self._connect()
        except BaseException:
            shutdown.leave(self._connection)
            self._connection.abort()
            raise
        finally:
            # Whatever came of it, nothing is left to accept, and the connection is reached by its id or not at all.
            shutdown.has_connected(self._connection)
            self._handshake = None
        if self._connected and self._connection.admit():
            registry.add(self._endpoint, self._ws.id, self._connection)

    def _connect(self) -> bool:
        """Return whether the connect handler has finished."""
        deadline = self._deadline
        if deadline is None:
            self._accept()
            return True
        try:
            with deadline:
                result = self._handlers["connect"].call(self._ws, "")
                if inspect.iscoroutine(result):
                    result = aio.run(result)
                if result is False or _is_answer(result):
                    return self._refuse(result)
                if result is not True:
                    self._send_result(result)
        except ConnectRefusedError:
            raise
        except BaseException as error:
            if error is deadline:
                raise HandshakeRefusedError(503, "the connect handler took too long") from error
            if self._handshake is None:
                if isinstance(error, HTTPException):
                    return self._refuse(error)
                if isinstance(error, gevent.GreenletExit):
                    self._connection.close(GOING_AWAY, "going away")
                else:
                    self._fail("connect", error)
                return False
            if isinstance(error, gevent.GreenletExit):
                # Of a stop, which does not wait for it.
                _check_not_stopping()
            if isinstance(error, Exception | gevent.GreenletExit | KeyboardInterrupt):
                raise
            raise HandlerError(f"the connect handler raised {type(error).__name__}") from error
        self._accept()
        return True

    def _refuse(self, answer: Any) -> bool:
        """Answer the handshake as a Flask view would, with 403 for False; or close, if the 101 is out already.

        Raises:
            ConnectRefusedError: for the view to return the answer.
        """
        if answer is False:
            answer = FORBIDDEN
        if self._handshake is not None:
            raise ConnectRefusedError(answer)
        self._connection.close(POLICY_VIOLATION, current_app.make_response(answer).status[:MAX_REASON])
        return False

    def run(self) -> None:
        """Handle the messages and the end of the connection, in the greenlet that is to be the connection's."""
        self._connection.inbox.adopt()
        try:
            self._context.push()
            self._globals = vars(app_ctx.g)
            try:
                self._handle_messages()
            finally:
                self._handle_close()
        finally:
            try:
                self._connection.finish()
            finally:
                shutdown.leave(self._connection)

    def begin_in(self, greenlet: Any) -> None:
        """Have a greenlet, which has not begun and calls `run`, begin with the first message or the end."""
        self._connection.rest_in(greenlet)

    @property
    def close_code(self) -> int:
        """Return what ended the connection, once it has ended."""
        return self._connection.close_code or ABNORMAL

    def stop(self) -> None:
        """End in order: the server goes away."""
        self._connection.close(GOING_AWAY, "going away")

    def _accept(self) -> None:
        """Send the 101, once."""
        if self._handshake is None:
            return
        _check_not_stopping()
        upgrade, headers = self._handshake
        head = handshake.encode_response(headers + self._session_cookies()) if upgrade.sends_head else b""
        socket, received = upgrade.take_over()
        self._handshake = None
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
        self._connection.open(socket, head, received)

    def _session_cookies(self) -> list[tuple[str, str]]:
        """Return the cookies that save what was done to `flask.session` until now."""
        if self._app.session_interface.is_null_session(self._context.session):
            return []
        response = Response()
        self._app.session_interface.save_session(self._app, self._context.session, response)
        return [("Set-Cookie", cookie) for cookie in response.headers.getlist("Set-Cookie")]

    def _leave(self) -> None:
        """Take the connection, which has begun to end, from where others reach it."""
        registry.remove(self._endpoint, self._ws.id)
        leave_rooms(self._ws)

    def _report(self) -> None:
        """Log an ending that is somebody's fault, or a loss that was not plain to see."""
        connection = self._connection
        if (
            connection.ending in (FAILED, LOST)
            and connection.close_reason
            and connection.close_code != INTERNAL_ERROR
        ):
            logger.warning(
                "%s closes %s from %s with %d: %s",
                self._endpoint,
                self._ws.id,
                printable(self._ws.remote_addr or "-"),
                connection.close_code,
                connection.close_reason,
            )

    def _handle_messages(self) -> None:
        handlers = self._handlers
        goes_on = self._connected
        while goes_on:
            try:
                batch = self._connection.receive()
            except gevent.Timeout:
                logger.warning(
                    "a gevent.Timeout that a handler of %s left running ended between two messages and was ignored; "
                    "start it with `with`",
                    self._endpoint,
                )
                continue
            except gevent.GreenletExit:
                self._connection.close(GOING_AWAY, "going away")
                return
            if not batch:
                return
            handler = handlers.get("message")
            if handler is not None:
                goes_on = self._handle(handler, batch)

    def _handle_close(self) -> None:
        if self._connection.ending is None:
            # Something came through that no handler should raise.
            self._connection.fail(INTERNAL_ERROR, "internal error")
        self._report()
        handler = self._handlers.get("close")
        try:
            try:
                if handler is not None and self._connected:
                    self._call(handler, "")
            except BaseException as error:
                # The end of the context is that of the event: it runs the teardown functions.
                self._context.pop(error)
                raise
            self._context.pop(None)
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                raise
            self._end_after("close", error)
        finally:
            if self._runner is not None:
                self._runner.close()

    def _handle(self, handler: Handler, messages: list[Message]) -> bool:
        """Call a handler for each message, or as many as a turn has time for, and send its results.

        Returns:
            Whether more messages are to be handled.
        """
        connection = self._connection
        handled = 0
        next_look = 1 if len(messages) > 1 else 0
        try:
            if handler.is_async and not self._tears_down:
                self._run_in_task(handler, iter(messages), next_look)
                return connection.ending is not OURS
            call = handler.call
            for message in messages:
                if self._tears_down:
                    self._call_and_tear_down(handler, message)
                else:
                    self._send_result(call(self._ws, message))
                if self._globals:
                    self._globals.clear()
                if connection.ending is OURS:
                    return False
                handled += 1
                if handled == next_look and handled < len(messages):
                    next_look = connection.inbox.next_look(handled)
                    if not next_look:
                        connection.inbox.put_back(messages[handled:])
                        break
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                raise
            self._end_after("message", error)
            return False
        return True

    def _end_after(self, event: str, error: BaseException) -> None:
        """End the connection after what a handler, or a teardown function, has raised."""
        self._globals.clear()
        if isinstance(error, gevent.GreenletExit):
            self._connection.close(GOING_AWAY, "going away")
        else:
            self._fail(event, error)

    def _call(self, handler: Handler, message: Message) -> None:
        """Call a handler once, and send its result."""
        if handler.is_async:
            self._run_in_task(handler, iter((message,)), 0)
        else:
            self._send_result(handler.call(self._ws, message))

    def _call_and_tear_down(self, handler: Handler, message: Message) -> None:
        """Do the same, and run the teardown functions as behind a request: in the greenlet, where they may wait."""
        failure = None
        try:
            self._call(handler, message)
        except BaseException as error:
            failure = error
            raise
        finally:
            try:
                self._app.do_teardown_request(failure)
            finally:
                self._app.do_teardown_appcontext(failure)
                # It holds the exception, and the exception this frame.
                del failure

    def _run_in_task(self, handler: Handler, messages: Iterator[Message], next_look: int) -> None:
        """Handle messages in the connection's task; what one does to context variables, the next one finds."""
        if self._runner is None:
            self._runner = aio.Runner(contextvars.copy_context())
        while self._runner.run(self._handle_in_task(handler, messages, next_look)):
            drain(self._connection)

    async def _handle_in_task(self, handler: Handler, messages: Iterator[Message], next_look: int) -> bool:
        """Handle the messages of a batch in one task; whether it has stopped because the client is behind."""
        connection = self._connection
        call = handler.call
        for handled, message in enumerate(messages, 1):
            result = await call(self._ws, message)
            if result is not None:
                connection.queue(
                    encode_text(result) if type(result) is str else encode_result(result, self._endpoint)
                )
            if self._globals and not self._tears_down:
                self._globals.clear()
            if connection.ending is OURS:
                return False
            if connection.outbox.size > HIGH_WATER:
                return True
            if handled == next_look:
                next_look = connection.inbox.next_look(handled)
                if not next_look:
                    connection.inbox.put_back(messages)
        return False

    def _send_result(self, result: object) -> None:
        """Send what a handler returned."""
        if type(result) is str:
            frame = encode_text(result)
        elif result is None:
            return
        elif inspect.iscoroutine(result):
            self._send_result(aio.run(result))
            return
        else:
            frame = encode_result(result, self._endpoint)
        connection = self._connection
        connection.queue(frame)
        if connection.outbox.size > HIGH_WATER and self._handshake is None:
            drain(connection)

    def _fail(self, event: str, error: BaseException) -> None:
        self._app.logger.error(
            "the %s handler of %s failed; its connection is closed with 1011",
            event,
            self._endpoint,
            exc_info=error,
        )
        self._connection.fail(INTERNAL_ERROR, "internal error")
        try:
            got_request_exception.send(self._app, _async_wrapper=self._app.ensure_sync, exception=error)
        except Exception:
            self._app.logger.exception("a receiver of got_request_exception failed")


def _has_teardown(app: Flask) -> bool:
    """Return whether an application, or an extension of it, has something to do at the end of a request."""
    return bool(
        app.teardown_appcontext_funcs
        or app.teardown_request_funcs
        or appcontext_tearing_down.receivers
        or request_tearing_down.receivers
    )


def _is_answer(result: object) -> bool:
    """Return whether a Flask view would answer with this, and it is no message: a `Response`, a tuple, an exception."""
    return isinstance(result, tuple) or callable(result)


def _accept_handshake(settings: Settings, upgrade: Upgrade) -> handshake.Accepted:
    """Return what the current request is answered with, and what is agreed on."""
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
        check_origin(origin, own, settings.allowed_origins)
    return accepted


def _check_not_stopping() -> None:
    if shutdown.has_begun():
        raise HandshakeRefusedError(503, "the server is going away")
