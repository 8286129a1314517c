"""WebSockets for Flask applications, with Robyn's API, on gevent."""

from .backplane.contract import BackplaneError
from .compiled import is_compiled
from .connector import WebSocketConnector
from .flask_app import App, jsonify
from .protocol.deflate import Compression
from .publisher import Publisher
from .query_params import QueryParams
from .serving import serve
from .websocket import WebSocket

__version__ = "0.1.0"

__all__ = [
    "App",
    "BackplaneError",
    "Compression",
    "Publisher",
    "QueryParams",
    "WebSocket",
    "WebSocketConnector",
    "is_compiled",
    "jsonify",
    "serve",
]
