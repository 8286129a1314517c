"""Handlers whose message is of a type: decoded and checked before they are called, and told apart by it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, Final

from ..errors import BadMessageError, InvalidMessageError
from ..metrics import counters
from ..protocol.messages import Message
from ..protocol.typed import CodecName, Decode, check_distinct, describe, is_plain, make_decoder
from .connector import WebSocketConnector, settings_of
from .handlers import Handler, annotation_of

_REFUSED: Final = (ValueError, RecursionError)
"""What a decoder raises."""


def message_annotation(function: Callable[..., object]) -> Any:
    """Return the annotation of a handler's `msg`; None if it has none.

    Raises:
        TypeError: the annotation names something that the function's module does not have.
    """
    parameter = inspect.signature(function).parameters.get("msg")
    if parameter is None or parameter.annotation is parameter.empty:
        return None
    return annotation_of(function, parameter)


def message_type(function: Callable[..., object]) -> Any:
    """Return the type that a handler's messages are decoded as; None for messages as they come.

    Raises:
        TypeError: as of `message_annotation`.
    """
    annotation = message_annotation(function)
    return None if is_plain(annotation) else annotation


def typed(handler: Handler, kind: Any, codec: CodecName) -> Handler:
    """Return a handler that decodes its message first.

    Args:
        handler: called with a value of the type as `msg`.
        kind: the type.
        codec: how messages are encoded.

    Raises:
        TypeError: the type cannot be decoded.
        ImportError: the package that does it is not installed.
    """
    return handler._replace(call=_decoding(handler.is_async, make_decoder((kind,), codec), handler.call))


def dispatching(handlers: Mapping[Any, Handler], codec: CodecName) -> Handler:
    """Return one handler of several, each of which is called for messages of its own type.

    Args:
        handlers: by type.
        codec: how messages are encoded.

    Raises:
        TypeError: a type cannot be decoded, or they cannot be told apart.
        ImportError: the package that does it is not installed.
    """
    if len(handlers) == 1:
        ((kind, handler),) = handlers.items()
        return typed(handler, kind, codec)
    check_distinct(handlers)
    calls = {kind: handler.call for kind, handler in handlers.items()}

    def dispatch(ws: Any, value: Any) -> Any:
        call = calls.get(type(value))
        if call is None:
            raise InvalidMessageError(f"a {type(value).__name__} has no handler")
        return call(ws, value)

    arguments = tuple(argument for handler in handlers.values() for argument in handler.arguments)
    # Beside a `def` handler a coroutine is run when it is returned.
    is_async = all(handler.is_async for handler in handlers.values())
    return Handler(_decoding(is_async, make_decoder(tuple(handlers), codec), dispatch), is_async, arguments)


def decode_as(kind: Any, codec: CodecName, message: Message) -> Any:
    """Return the value that a message is.

    Raises:
        InvalidMessageError: it does not fit.
        TypeError, ImportError: as of `typed`.
    """
    try:
        return make_decoder((kind,), codec)(message)
    except BadMessageError:
        raise
    except _REFUSED as error:
        raise InvalidMessageError(describe(error)) from None


def _decoding(
    is_async: bool, decode: Decode, call: Callable[[Any, Any], Any]
) -> Callable[[Any, Message], Any]:
    def call_decoded(ws: Any, msg: Message) -> Any:
        try:
            value = decode(msg)
        except _REFUSED as error:
            return _refuse(ws, error)
        return call(ws, value)

    async def call_decoded_async(ws: Any, msg: Message) -> Any:
        try:
            value = decode(msg)
        except _REFUSED as error:
            return _refuse(ws, error)
        return await call(ws, value)

    return call_decoded_async if is_async else call_decoded


def _refuse(ws: WebSocketConnector, error: Exception) -> dict[str, str]:
    """Return the answer to a message that does not fit, unless it closes the connection.

    Raises:
        InvalidMessageError: it does.
    """
    if settings_of(ws).invalid_messages == "close":
        raise InvalidMessageError(describe(error)) from None
    counters["messages_refused"] += 1
    return {"error": "invalid message", "detail": describe(error)}
