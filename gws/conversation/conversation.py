"""What happens on one connection, from its handshake to its end: the events in their order.

Longer than other modules: messages are handled one by one and in a task, with and without teardown functions, and what
these have in common is in sight of each other.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import functools
import logging
from collections.abc import Collection, Iterator, Mapping
from typing import Any, Final, TypeAlias

import gevent
from flask import (
    Flask,
    appcontext_popped,
    appcontext_pushed,
    appcontext_tearing_down,
    request_tearing_down,
)
from flask.globals import app_ctx, request_ctx

from .. import aio
from ..cluster.endpoint import Endpoint
from ..cluster.registry import registry
from ..connection.backpressure import drain
from ..connection.compressed import CompressedConnection
from ..connection.connection import Connection
from ..connection.states import FAILED, LOST, OURS
from ..connection.transport import HIGH_WATER
from ..errors import BadMessageError
from ..metrics import counters
from ..printable import printable
from ..protocol.frames import ABNORMAL, GOING_AWAY, INTERNAL_ERROR, NORMAL, encode_text
from ..protocol.messages import Message
from ..servers.shutdown import shutdown
from ..servers.upgrade import Upgrade
from ..settings import Settings
from .connector import WebSocketConnector, leave_rooms
from .handlers import Handler
from .opening import Opening, check_handshake
from .results import encode_result, fail, is_disconnect, send_result

logger = logging.getLogger("gws.conversation")

RECEIVE: Final = "receive"
"""The event of a handler that receives its messages itself."""

Pushed: TypeAlias = Collection[tuple[contextvars.ContextVar[Any], Any]]
"""Context variables and their values."""


class Conversation:
    """One connection and its handlers; made in the view, and run in a greenlet of its own.

    Args:
        endpoint: what the client has come to.
        handlers: by event; those that are there when the event comes.
        settings: limits and deadlines.
        upgrade: the way to the socket.
        path_params: the variables of the URL rule.
        connector: the class of `ws`.

    Raises:
        HandshakeRefusedError: the request is no handshake, comes from a page that may not connect, or lacks a query
            parameter.
    """

    __slots__ = (
        "_app",
        "_connected",
        "_connection",
        "_context",
        "_endpoint",
        "_globals",
        "_handlers",
        "_opening",
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
        connector: type[WebSocketConnector] = WebSocketConnector,
    ) -> None:
        accepted = check_handshake(settings, upgrade)
        self._endpoint = endpoint
        self._handlers = handlers
        self._app = request_ctx.app
        self._context = upgrade.keep_context()
        # Flask would match the URL at every push: it is matched, and a converter may wait for a database.
        self._context.match_request = _do_nothing  # type: ignore[method-assign]
        self._connection = (
            CompressedConnection(settings, self._leave, accepted.agreement)
            if accepted.agreement
            else Connection(settings, self._leave)
        )
        self._ws = connector(
            endpoint,
            self._connection,
            self._context.request,
            path_params,
            accepted.subprotocol,
            self._accept,
            settings.max_rooms,
        )
        arguments = [argument for handler in handlers.values() for argument in handler.arguments]
        if arguments:
            self._ws.arguments = {argument: argument.read(self._ws.query_params) for argument in arguments}
        self._opening: Opening | None = Opening(
            endpoint,
            upgrade,
            accepted.headers,
            self._context,
            self._connection,
            settings.handshake_timeout if "connect" in handlers else None,
        )
        """Until the connect handler has finished."""
        self._connected = False
        """Whether the connect handler has finished."""
        self._tears_down = _has_teardown(self._app)
        """Whether there is something to run after every event; else the request's context stays all along."""
        self._globals: dict[str, Any] = {}
        """What is in `flask.g`, which begins anew at every event, in a context that stays."""
        self._runner: aio.Runner | None = None

    def begin(self) -> None:
        """Run the connect handler and send the 101 with what it said behind it.

        Raises:
            ConnectRefusedError, HandshakeRefusedError, Exception: as of `Opening.connect`.
        """
        assert self._opening is not None
        handler = self._handlers.get("connect")
        shutdown.enter(self._connection)
        try:
            self._connected = self._opening.connect(
                None if handler is None else functools.partial(handler.call, self._ws, "")
            )
        except BaseException:
            shutdown.leave(self._connection)
            self._connection.refuse()
            raise
        finally:
            # Whatever came of it, nothing is left to accept, and the connection is reached by its id or not at all.
            shutdown.has_connected(self._connection)
            self._opening = None
        if self._connected and self._connection.admit():
            registry.add(self._endpoint, self._ws.id, self._connection)

    def run(self) -> None:
        """Handle the messages and the end of the connection, in the greenlet that is to be the connection's."""
        self._connection.inbox.adopt()
        try:
            with contextlib.nullcontext() if self._tears_down else self._context:
                if not self._tears_down:
                    self._globals = vars(app_ctx.g)
                try:
                    loop = self._handlers.get(RECEIVE)
                    if loop is None:
                        self._handle_messages()
                    elif self._connected:
                        self._run_loop(loop)
                finally:
                    self._handle_close()
        finally:
            try:
                self._connection.finish()
            finally:
                shutdown.leave(self._connection)

    def begin_in(self, greenlet: Any) -> None:
        """Have a greenlet, which has not begun and calls `run`, begin with the first message or the end.

        One that receives its messages itself begins as soon as the hub can.
        """
        self._connection.rest_in(greenlet, at_once=RECEIVE in self._handlers)

    @property
    def ws(self) -> WebSocketConnector:
        """Return what the handlers know of the connection."""
        return self._ws

    @property
    def connection(self) -> Connection:
        """Return the connection."""
        return self._connection

    @property
    def close_code(self) -> int:
        """Return what ended the connection, once it has ended."""
        return self._connection.close_code or ABNORMAL

    def stop(self) -> None:
        """Close cleanly: the server goes away."""
        self._connection.close(GOING_AWAY, "going away")

    def _accept(self) -> None:
        """Send the 101, once."""
        if self._opening is not None:
            self._opening.accept()

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

    def _run_loop(self, handler: Handler) -> None:
        """Run a handler that receives its messages itself; its return closes the connection."""
        try:
            self._call(handler, "")
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                raise
            if not (isinstance(error, asyncio.CancelledError) and self._connection.ending is not None):
                self._end_after("receive", error)
        else:
            self._connection.close(NORMAL, "")

    def _handle_close(self) -> None:
        if self._connection.ending is None:
            # Something came through that no handler should raise.
            self._connection.fail(INTERNAL_ERROR, "internal error")
        self._report()
        handler = self._handlers.get("close")
        try:
            if handler is not None and self._connected:
                self._call(handler, "")
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
                    self._call(handler, message)
                else:
                    send_result(connection, self._app, self._endpoint, call(self._ws, message))
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
        elif isinstance(error, BadMessageError):
            counters["messages_refused"] += 1
            self._connection.fail(error.code, str(error))
        elif is_disconnect(error):
            self._connection.close(NORMAL, "")
        else:
            fail(self._app, self._endpoint, self._connection, event, error)

    def _call(self, handler: Handler, message: Message) -> None:
        """Call a handler once, in the request's context, and send its result."""
        if not self._tears_down:
            self._call_in_context(handler, message, ())
            return
        before = contextvars.copy_context()
        # The teardown functions run when it is popped: in the greenlet, where they may wait.
        with self._context:
            self._call_in_context(handler, message, _changes_since(before) if handler.is_async else ())

    def _call_in_context(self, handler: Handler, message: Message, pushed: Pushed) -> None:
        if handler.is_async:
            self._run_in_task(handler, iter((message,)), 0, pushed)
        else:
            send_result(self._connection, self._app, self._endpoint, handler.call(self._ws, message))

    def _run_in_task(
        self, handler: Handler, messages: Iterator[Message], next_look: int, pushed: Pushed = ()
    ) -> None:
        """Handle messages in the connection's task; what one does to context variables, the next one finds.

        Args:
            handler: an `async def`.
            messages: those of a batch.
            next_look: after how many of them to look at the clock.
            pushed: the context variables that the task is to see as the greenlet does.
        """
        if self._runner is None:
            self._runner = aio.Runner(contextvars.copy_context())
        while self._runner.run(self._handle_in_task(handler, messages, next_look, pushed)):
            drain(self._connection)

    async def _handle_in_task(
        self, handler: Handler, messages: Iterator[Message], next_look: int, pushed: Pushed
    ) -> bool:
        """Handle the messages of a batch in one task; whether it has stopped because the client is behind."""
        for variable, value in pushed:
            variable.set(value)
        connection = self._connection
        call = handler.call
        for handled, message in enumerate(messages, 1):
            result = await call(self._ws, message)
            if result is not None:
                connection.queue(
                    encode_text(result)
                    if type(result) is str
                    else encode_result(result, self._app, self._endpoint)
                )
            if self._globals:
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


def _do_nothing() -> None:
    pass


def _changes_since(before: contextvars.Context) -> Pushed:
    """Return the context variables that have another value now."""
    return [
        (variable, value)
        for variable, value in contextvars.copy_context().items()
        if before.get(variable) is not value
    ]


def _has_teardown(app: Flask) -> bool:
    """Return whether an application, or an extension of it, has something to do at each request's beginning or end."""
    return bool(
        app.teardown_appcontext_funcs
        or app.teardown_request_funcs
        or appcontext_tearing_down.receivers
        or request_tearing_down.receivers
        or appcontext_pushed.receivers
        or appcontext_popped.receivers
    )
