"""WebSockets for Flask applications, with Robyn's API, on gevent."""

import importlib
from typing import TYPE_CHECKING, Any

# First: it decides whether the modules below are compiled ones.
from .compiled import is_compiled

if TYPE_CHECKING:
    from . import aio as aio
    from . import errors as errors
    from . import metrics as metrics
    from . import settings as settings
    from .application.asyncapi_page import asyncapi
    from .application.flask_app import App, jsonify
    from .application.receive_loop import websocket
    from .application.websocket import WebSocket
    from .cluster.publisher import Publisher
    from .conversation.connector import WebSocketConnector
    from .conversation.query_params import QueryParams
    from .conversation.sockets import AsyncSocket, Socket
    from .errors import BackplaneError, WebSocketDisconnect
    from .protocol.deflate import Compression
    from .servers.serve import serve
    from .testing.server import Server

__version__ = "0.1.0"

__all__ = [
    "App",
    "AsyncSocket",
    "BackplaneError",
    "Compression",
    "Publisher",
    "QueryParams",
    "Server",
    "Socket",
    "WebSocket",
    "WebSocketConnector",
    "WebSocketDisconnect",
    "asyncapi",
    "is_compiled",
    "jsonify",
    "serve",
    "websocket",
]

_HOMES = {
    "App": "application.flask_app",
    "AsyncSocket": "conversation.sockets",
    "BackplaneError": "errors",
    "Compression": "protocol.deflate",
    "Publisher": "cluster.publisher",
    "QueryParams": "conversation.query_params",
    "Server": "testing.server",
    "Socket": "conversation.sockets",
    "WebSocket": "application.websocket",
    "WebSocketConnector": "conversation.connector",
    "WebSocketDisconnect": "errors",
    "asyncapi": "application.asyncapi_page",
    "jsonify": "application.flask_app",
    "serve": "servers.serve",
    "websocket": "application.receive_loop",
}
"""Where each name lives. It is imported when it is first asked for (PEP 562): a `Publisher` needs neither gevent nor
Flask."""
_MODULES = ("aio", "errors", "metrics", "settings")
"""Those that users may read as attributes of gws."""


if not TYPE_CHECKING:
    # Type checkers would take any name for one that there is.
    def __getattr__(name: str) -> Any:
        if name in _MODULES:
            return importlib.import_module(f"{__name__}.{name}")
        if name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        found = globals()[name] = getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
        return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *_MODULES})
