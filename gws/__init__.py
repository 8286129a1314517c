"""WebSockets for Flask applications, with Robyn's API, on gevent."""

# First: it decides whether the modules below are compiled ones.
from .compiled import is_compiled

# isort: split
from .background import Server
from .backplane.contract import BackplaneError
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
    "Server",
    "WebSocket",
    "WebSocketConnector",
    "is_compiled",
    "jsonify",
    "serve",
]
