"""A view that starts the private server of the embedded backplane, while another seems to be starting it."""

from __future__ import annotations

import fcntl
import os

import gevent

from gws.backplane.embedded.private_server import ensure_running, find_owner, socket_path
from tests.apps.base import app, start


@app.get("/start")
def start_server() -> list[object]:
    owner = find_owner()
    folder = os.path.dirname(socket_path(owner))
    os.mkdir(os.path.dirname(folder), 0o700)
    os.mkdir(folder, 0o700)
    another = os.open(folder, os.O_RDONLY)
    fcntl.flock(another, fcntl.LOCK_EX)

    def fail_to_start() -> None:
        for _ in range(50):
            gevent.sleep(0.001)
        os.close(another)

    gevent.spawn(fail_to_start)
    return [owner.pid, ensure_running(owner)]


if __name__ == "__main__":
    start(app)
