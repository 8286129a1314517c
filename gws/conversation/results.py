"""What becomes of what a handler returns, and of what it raises."""

from __future__ import annotations

import builtins
import inspect
from typing import Any

from flask import Flask, got_request_exception

from .. import aio
from ..cluster.endpoint import Endpoint
from ..connection.backpressure import drain
from ..connection.connection import Connection
from ..connection.transport import HIGH_WATER
from ..errors import HandlerError, UnsendableError, WebSocketDisconnect
from ..protocol.encoding import encode
from ..protocol.frames import INTERNAL_ERROR, encode_text

_ExceptionGroup: Any = getattr(builtins, "BaseExceptionGroup", ())
"""Python 3.10 has none."""


def encode_result(result: object, app: Flask, endpoint: Endpoint) -> bytes:
    """Return what a handler returned, as one frame.

    Args:
        result: anything but None.
        app: makes JSON text of it. A blueprint may be of several applications: it is the connection's.
        endpoint: knows whether it becomes JSON at all.

    Raises:
        HandlerError: it is nothing that can be sent.
    """
    try:
        return encode(result, app.json.dumps, endpoint.codec)
    except UnsendableError:
        advice = "; await it in an `async def` handler" if inspect.isawaitable(result) else ""
        raise HandlerError(
            f"a handler returns None, str, bytes, dict or list, not {type(result).__name__}{advice}"
        ) from None


def send_result(connection: Connection, app: Flask, endpoint: Endpoint, result: object) -> None:
    """Send what a handler returned, and wait while the client is behind. In the connection's greenlet.

    Raises:
        HandlerError: it is nothing that can be sent.
    """
    if type(result) is str:
        frame = encode_text(result)
    elif result is None:
        return
    elif inspect.iscoroutine(result):
        send_result(connection, app, endpoint, aio.run(result))
        return
    else:
        frame = encode_result(result, app, endpoint)
    connection.queue(frame)
    if connection.outbox.size > HIGH_WATER:
        drain(connection)


def fail(app: Flask, endpoint: Endpoint, connection: Connection, event: str, error: BaseException) -> None:
    """End a connection with 1011 after what a handler raised, and tell the application as Flask does."""
    app.logger.error(
        "the %s handler of %s failed; its connection is closed with 1011",
        event,
        endpoint,
        exc_info=error,
    )
    connection.fail(INTERNAL_ERROR, "internal error")
    try:
        got_request_exception.send(app, _async_wrapper=app.ensure_sync, exception=error)
    except Exception:
        app.logger.exception("a receiver of got_request_exception failed")


def is_disconnect(error: BaseException) -> bool:
    """Return whether a handler has let a `WebSocketDisconnect` pass, or a group of nothing else, as of a TaskGroup."""
    if isinstance(error, _ExceptionGroup):
        return all(map(is_disconnect, error.exceptions))
    return isinstance(error, WebSocketDisconnect)
