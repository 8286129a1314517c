"""`App`, a Flask application that is made and started as Robyn's is, and Robyn's `jsonify`."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import flask

from .receive_loop import ReceiveLoop, websocket
from .websocket import DEPENDENCIES, WebSocket, websockets_of

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from ..protocol.typed import CodecName
    from ..servers.serve_options import ServeOptions
    from ..settings import SettingArguments


class App(flask.Flask):
    """A Flask application.

    Args:
        name: the application's file (`App(__file__)`, as Robyn has it) or its import name (as Flask has it).
        options: Flask's.
    """

    def __init__(self, name: str, **options: Any) -> None:
        if name.endswith(".py") or os.sep in name:
            folder = os.path.dirname(os.path.abspath(name))
            options.setdefault("root_path", folder)
            options.setdefault("instance_path", os.path.join(folder, "instance"))
            name = os.path.splitext(os.path.basename(name))[0]
        super().__init__(name, **options)

    def websocket(
        self,
        endpoint: str,
        *,
        name: str | None = None,
        backplane: str | None = None,
        codec: CodecName = "json",
        **settings: Unpack[SettingArguments],
    ) -> Callable[[Callable[..., Any]], ReceiveLoop]:
        """Make a handler that receives its messages itself of the decorated function; `gws.websocket` says more."""
        return websocket(self, endpoint, name=name, backplane=backplane, codec=codec, **settings)

    def inject(self, **dependencies: object) -> None:
        """Give the WebSockets of this application something, as `router_dependencies`; at any time, as Robyn's."""
        self.extensions.setdefault(DEPENDENCIES, {}).update(dependencies)
        for _, found in websockets_of(self):
            found.inject(**dependencies)

    def inject_global(self, **dependencies: object) -> None:
        """Give all WebSockets of the process something, as `global_dependencies`; at any time, as Robyn's."""
        WebSocket.inject_global(**dependencies)

    def start(self, host: str = "127.0.0.1", port: int = 8080, **options: Unpack[ServeOptions]) -> None:
        """Serve until SIGTERM or Ctrl-C; `gws.serve` says what the options are."""
        from ..servers.serve import serve

        serve(self, host, port, **options)


def jsonify(value: Any) -> str:
    """Return the value as JSON text, by the application's JSON provider: a `str`, as Robyn's `jsonify` returns."""
    return flask.json.dumps(value)
