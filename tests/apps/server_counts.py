"""An echo that prints how its connections end, and a view that kills all greenlets of the server."""

from __future__ import annotations

import gevent

from gws import WebSocket, WebSocketConnector
from gws.servers.shutdown import shutdown
from tests.apps.base import answer, app, start

websocket = WebSocket(app, "/web_socket")
websocket.on("message")(answer)


@websocket.on("close")
def close(ws: WebSocketConnector) -> str:
    print("closed", ws.close_code, flush=True)
    return "bye"


@app.get("/kill")
def kill() -> str:
    pools = [server.pool or () for server in shutdown.servers]
    greenlets = [greenlet for pool in pools for greenlet in pool if greenlet is not gevent.getcurrent()]
    for greenlet in greenlets:
        greenlet.kill()
    return str(len(greenlets))


if __name__ == "__main__":
    start(app)
