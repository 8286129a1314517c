"""`@app.websocket("/path")`: a handler that receives its messages itself, as Robyn 0.80 and later have it."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Any, TypeVar

from flask import Blueprint, Flask

from ..conversation.conversation import RECEIVE
from ..conversation.handlers import Handler, bind, makes_coroutines
from ..conversation.sockets import AsyncSocket, Socket
from ..protocol.typed import CodecName
from .websocket import WebSocket

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from ..settings import SettingArguments

Function = TypeVar("Function", bound=Callable[..., object])


class ReceiveLoop(WebSocket):
    """An endpoint whose handler receives its messages itself; it is called like the function that it was made of.

    Args:
        app: the Flask application, or a blueprint of it.
        endpoint: the URL rule.
        function: the handler, `def` or `async def`. It gets a `Socket` or an `AsyncSocket` as its first parameter, and
            by name what other handlers may ask for. What it returns, or yields, is sent, and its return closes the
            connection with 1000.
        name: as of `WebSocket`.
        backplane: as of `WebSocket`.
        codec: as of `WebSocket`.
        settings: as of `WebSocket`.

    Raises:
        TypeError, ValueError, BackplaneError: as of `WebSocket`, and of its `on`.
    """

    def __init__(
        self,
        app: Flask | Blueprint,
        endpoint: str,
        function: Callable[..., Any],
        *,
        name: str | None = None,
        backplane: str | None = None,
        codec: CodecName = "json",
        **settings: Unpack[SettingArguments],
    ) -> None:
        super().__init__(app, endpoint, name=name, backplane=backplane, codec=codec, **settings)
        self.__wrapped__ = function
        self._connector: type[Socket] | type[AsyncSocket] = (
            AsyncSocket if makes_coroutines(function) else Socket
        )
        self._register_handler(RECEIVE, function)

    def __call__(self, *args: Any, **options: Any) -> Any:
        """Call the handler as it was written."""
        return self.__wrapped__(*args, **options)

    def on_connect(self, function: Function) -> Function:
        """Register what runs before the 101 is sent, and what it returns is sent; as `WebSocket.on("connect")`."""
        return self.on("connect")(function)

    def on_close(self, function: Function) -> Function:
        """Register what runs once the connection has begun to end; as `WebSocket.on("close")`."""
        return self.on("close")(function)

    def on(self, event: str, type: Any = None) -> Callable[[Function], Function]:
        """Register a handler for "connect" or "close".

        Raises:
            ValueError: there is no such event; messages are the handler's, which receives them.
        """
        if event == "message":
            raise ValueError(
                f"{self.__wrapped__.__name__!r} receives the messages of {self.endpoint!r} itself: "
                'use gws.WebSocket(app, ...) for on("message")'
            )
        return super().on(event, type)

    def _bind(self, event: str, function: Callable[..., object], variables: Collection[str]) -> None:
        handler = bind(
            function, self._dependencies, variables, takes_ws_first=True, outlives=event == "close"
        )
        if event == RECEIVE:
            self.handlers[event] = handler._replace(call=_looping(handler))
        else:
            self.handlers[event] = handler._replace(call=self._seeing(handler))

    def _seeing(self, handler: Handler) -> Callable[[Any, Any], Any]:
        """Give a callback `ws` as its kind of function uses it, whatever kind the handler is."""
        kind = AsyncSocket if handler.is_async else Socket
        if kind is self._connector:
            return handler.call
        call = handler.call
        return lambda ws, msg: call(ws.seen_as(kind), msg)


def _looping(handler: Handler) -> Callable[[Any, Any], Any]:
    """Have the end of the connection reach the handler while it runs, wherever it sends or receives."""
    call = handler.call

    def run(ws: Socket, msg: str) -> Any:
        ws.is_looping = True
        try:
            return call(ws, msg)
        finally:
            ws.is_looping = False

    async def run_async(ws: AsyncSocket, msg: str) -> Any:
        ws.is_looping = True
        try:
            return await call(ws, msg)
        finally:
            ws.is_looping = False

    return run_async if handler.is_async else run


def websocket(
    app: Flask | Blueprint,
    endpoint: str,
    *,
    name: str | None = None,
    backplane: str | None = None,
    codec: CodecName = "json",
    **settings: Unpack[SettingArguments],
) -> Callable[[Callable[..., Any]], ReceiveLoop]:
    """Make a handler that receives its messages itself of the decorated function; `ReceiveLoop` says more."""

    def decorate(function: Callable[..., Any]) -> ReceiveLoop:
        return ReceiveLoop(app, endpoint, function, name=name, backplane=backplane, codec=codec, **settings)

    return decorate
