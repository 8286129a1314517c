"""An application with a JSON provider of its own."""

from __future__ import annotations

from typing import Any

from flask.json.provider import DefaultJSONProvider

from gws import WebSocket, jsonify
from tests.apps.base import app, start


class Provider(DefaultJSONProvider):
    """Writes the type of what it does not know, and keeps the order of keys."""

    sort_keys = False

    def default(self, value: Any) -> str:
        return f"<{type(value).__name__}>"


app.json = Provider(app)
websocket = WebSocket(app, "/web_socket")


@websocket.on("message")
def message() -> dict[str, Any]:
    return {"z": object(), "a": 1}


@websocket.on("close")
def close() -> str:
    return jsonify([object()])


if __name__ == "__main__":
    start(app)
