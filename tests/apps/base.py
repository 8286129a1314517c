"""What all of these applications have: the application, what tests look at, and the start.

`tests.support.harness.Server` says in one environment variable how a test wants its application.
"""

from __future__ import annotations

import atexit
import collections
import gc
import json
import os
from typing import Any, TypeVar

import gevent

from gws import App, WebSocket, WebSocketConnector, jsonify
from gws.cluster.registry import registry
from gws.metrics import counters
from gws.servers.shutdown import shutdown

T = TypeVar("T")

_wanted: dict[str, Any] = json.loads(os.environ.get("GWS_TEST_APP", "{}"))

# What has been imported is no news to "/vitals", which looks at every object that is not frozen.
gc.freeze()
# They are collected at the end as all others are: loggers' handlers that outlive gevent's modules fail.
atexit.register(gc.unfreeze)

app = App(os.path.abspath("app.py"))
"""Its folder is the one that the test has given it."""
app.secret_key = "a test's"
app.config.update(_wanted.get("config", {}))


def value(name: str, default: T) -> T:
    """Return what the test has given under this name, or else the default, which is of the same type."""
    found: T = _wanted.get("values", {}).get(name, default)
    return found


def start(app: App) -> None:
    """Serve an application on a free port, with the options of `serve` that the test has given."""
    app.start(port=0, **_wanted.get("options", {}))


@app.get("/vitals")
def vitals() -> dict[str, Any]:
    """Count what the process holds, without collecting garbage: nothing may depend on that."""
    greenlets = [o for o in gc.get_objects() if issubclass(type(o), gevent.Greenlet) and not o.dead]
    return {
        "registered": len(registry),
        "live": len(shutdown.connections),
        "counters": dict(counters),
        "greenlets": len(greenlets),
    }


# Its client does not listen all the time.
_echo = WebSocket(app, "/echo", ping_interval=None)


@_echo.on("message")
def answer(msg: str | bytes) -> str | bytes:
    """Return the message itself."""
    return msg


_notes: collections.defaultdict[str, list[tuple[Any, ...]]] = collections.defaultdict(list)


def note(ws: WebSocketConnector, *what: Any) -> None:
    """Keep this for a test: of a connection to "...?notes=key" it is what `Server.notes` of that key returns."""
    _notes[ws.query_params.get("notes") or ""].append(what)


@app.get("/notes/<key>")
def _read_notes(key: str) -> str:
    return jsonify(_notes[key])
