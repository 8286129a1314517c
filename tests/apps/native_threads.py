"""Native threads that send while a handler keeps the hub busy."""

from __future__ import annotations

from gevent import monkey

from gws import WebSocket, WebSocketConnector
from gws.hub import io
from tests.apps.base import app, start

io.HAND_OVER_TIMEOUT = 0.5  # type: ignore[misc]
sleep = monkey.get_original("time", "sleep")
native_thread = monkey.get_original("_thread", "start_new_thread")
new_lock = monkey.get_original("_thread", "allocate_lock")

busy = WebSocket(app, "/busy")


@busy.on("message")
def be_busy(ws: WebSocketConnector) -> list[int]:
    """Return how many messages a thread has sent by then, how many in all, and how many it could not send."""
    sent: list[bool] = []

    def send() -> None:
        while not sent or sent[-1]:
            sent.append(busy.send_to(ws.id, str(len(sent))))

    native_thread(send, ())
    sleep(0.25)
    before = len(sent)
    sleep(0.75)
    return [before, sent.count(True), sent.count(False)]


waiting = WebSocket(app, "/waiting")


@waiting.on("message")
def wait_for_thread(msg: str) -> str:
    """Wait, so that the hub does nothing, for a thread that sends."""
    finished = new_lock()
    finished.acquire()

    def work() -> None:
        for number in range(int(msg)):
            waiting.broadcast(str(number))
        finished.release()

    native_thread(work, ())
    return "in time" if finished.acquire(timeout=5) else "too late"


if __name__ == "__main__":
    start(app)
