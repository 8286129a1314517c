"""Echo with gevent-websocket's own loop: `python gevent_websocket_echo.py HOST PORT`.

The idiom is its README's: gevent's WSGI server with `WebSocketHandler`, and a loop of `receive` and `send` over
`wsgi.websocket`. It has no pings.
"""

from gevent import monkey

monkey.patch_all()

import sys
from collections.abc import Callable
from typing import Any

from gevent import pywsgi
from geventwebsocket.handler import WebSocketHandler


def app(environ: dict[str, Any], start_response: Callable[..., object]) -> list[bytes]:
    ws = environ["wsgi.websocket"]
    while (message := ws.receive()) is not None:
        ws.send(message)
    return []


if __name__ == "__main__":
    address = (sys.argv[1], int(sys.argv[2]))
    pywsgi.WSGIServer(address, app, handler_class=WebSocketHandler, log=None).serve_forever()
