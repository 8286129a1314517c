"""Messages that take far more room or time than it takes to send them."""

from __future__ import annotations

import base64
import collections
import os
import time

import gevent
from gevent.event import Event

from gws import Compression, WebSocket, WebSocketConnector
from tests.apps.base import app, note, start

app.config["GWS_COMPRESSION"] = True
app.config["GWS_CLOSE_TIMEOUT"] = 30

# Messages that wait for a gate

held = WebSocket(app, "/held", max_message_size=2_000_000)
gates: collections.defaultdict[str, Event] = collections.defaultdict(Event)


@held.on("message")
def wait_at_gate(ws: WebSocketConnector, msg: str) -> None:
    if msg == "close":
        ws.close(4000, "asked to")
        return
    gates[ws.query_params.get("notes") or ""].wait()
    note(ws, len(msg))


@held.on("close")
def note_end(ws: WebSocketConnector) -> None:
    note(ws, ws.close_code)


@app.get("/open/<key>")
def open_gate(key: str) -> str:
    gates[key].set()
    return ""


@app.get("/end/<key>")
def end_all(key: str) -> str:
    for id in held.connections():
        held.close_connection(id, 4000, "asked to")
    return ""


# Messages that take time


def compute(seconds: float) -> None:
    """Take so much of the processor's time."""
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        pass


longest = [0.0]


def look_around() -> None:
    """Measure, for ever, how long the hub is kept from a greenlet that wants a turn."""
    while True:
        before = time.thread_time()
        gevent.sleep(0.001)
        longest[0] = max(longest[0], time.thread_time() - before)


gevent.spawn(look_around)


@app.get("/longest")
def read_longest() -> str:
    before, longest[0] = longest[0], 0.0
    return str(before)


slow = WebSocket(app, "/slow")
slow_async = WebSocket(app, "/slow_async")


@slow.on("message")
def take_time(msg: str) -> str | None:
    compute(0.00075)
    return msg or None


@slow_async.on("message")
async def take_time_async(msg: str) -> str | None:
    compute(0.00075)
    return msg or None


# Messages to all

feeds = {
    "feed": WebSocket(app, "/feed", max_outbox_size=16_000_000),
    "feed_plain": WebSocket(app, "/feed_plain", compression=False, max_outbox_size=16_000_000),
    "feed_shared": WebSocket(
        app,
        "/feed_shared",
        max_outbox_size=16_000_000,
        compression=Compression(server_no_context_takeover=True),
    ),
}
noise = base64.b64encode(os.urandom(750_000)).decode()


def tell_all(feed: WebSocket) -> None:
    for message in "once more " * 20, noise, noise[:500_000], "once more " * 20, "the end":
        feed.broadcast(message)


@app.get("/tell_all/<name>/<where>")
def tell(name: str, where: str) -> str:
    if where == "greenlet":
        tell_all(feeds[name])
    elif where == "callback":
        gevent.get_hub().loop.run_callback(tell_all, feeds[name])
    else:
        gevent.get_hub().threadpool.apply(tell_all, (feeds[name],))
    return ""


if __name__ == "__main__":
    start(app)
