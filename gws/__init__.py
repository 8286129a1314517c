"""WebSockets for Flask applications, with Robyn's API, on gevent."""

# First: it decides whether the modules below are compiled ones.
from .compiled import is_compiled

# isort: split
from .application.flask_app import App, jsonify
from .application.websocket import WebSocket
from .cluster.publisher import Publisher
from .conversation.connector import WebSocketConnector
from .conversation.query_params import QueryParams
from .errors import BackplaneError
from .protocol.deflate import Compression
from .servers.serve import serve
from .testing.server import Server

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
