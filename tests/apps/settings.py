"""Endpoints with arguments of their own, with the application's settings, and next to no limits."""

from __future__ import annotations

from gws import WebSocket, WebSocketConnector
from tests.apps.base import answer, app, start

own = WebSocket(app, "/own", max_message_size=5)
configured = WebSocket(app, "/configured")
# Behind the endpoints: they look when a connection comes.
app.config.update(GWS_MAX_MESSAGE_SIZE=10, GWS_PING_INTERVAL=0.1, GWS_CLOSE_TIMEOUT=0.3)


@own.on("message")
@configured.on("message")
def message(ws: WebSocketConnector, msg: str) -> str:
    if msg == "close":
        ws.close()
    return msg


FOREVER = float("inf")
unlimited = WebSocket(
    app,
    "/unlimited",
    max_message_size=2**70,
    max_outbox_size=2**70,
    ping_interval=FOREVER,
    ping_timeout=FOREVER,
    close_timeout=FOREVER,
)
unlimited.on("message")(answer)
often = WebSocket(app, "/often", max_message_size=2**70, ping_interval=1e-5, ping_timeout=1e300)
often.on("message")(answer)


if __name__ == "__main__":
    start(app)
