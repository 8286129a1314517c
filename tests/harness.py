"""Starts a real server in a subprocess, each of the three ways, and looks at it from outside."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import textwrap
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from websockets.sync.client import connect

DEADLINE = 15.0
"""Seconds that any wait in a test may take; reaching it is a failure."""

WAYS = ("python", "worker", "geventwebsocket")
"""`python app.py`, gws's gunicorn worker, and gevent-websocket's."""

_WORKERS = {
    "worker": "gws.worker.Worker",
    "geventwebsocket": "geventwebsocket.gunicorn.workers.GeventWebSocketWorker",
}

PREAMBLE = """
from gevent import monkey; monkey.patch_all()
import asyncio, gc, json, os, sys, threading, time
import flask, gevent
from gws import App, QueryParams, WebSocket, WebSocketConnector, jsonify
app = App(__file__)
app.secret_key = "a test's"

@app.get("/vitals")
def vitals():
    from gws import going_away
    from gws.hub_io import counters
    from gws.registry import registry
    gc.collect()
    return {"registered": len(registry), "live": len(going_away._live), "counters": dict(counters),
            "greenlets": sum(issubclass(type(o), gevent.Greenlet) and not o.dead for o in gc.get_objects())}
"""

NOTES = """
import collections
notes = collections.defaultdict(list)

def note(ws, *what):
    notes[ws.query_params.get("notes")].append(what)

@app.get("/notes/<key>")
def read_notes(key):
    return json.dumps(notes[key])

@app.get("/connections")
def count_connections():
    from gws import going_away
    from gws.registry import registry
    return [len(registry), len(going_away._live)]

echo = WebSocket(app, "/echo")

@echo.on("message")
def answer(msg):
    return msg
"""
"""For the head of a test's source: what handlers `note` for a connection to "...?notes=key" is what `Server.notes` of
that key returns; and "/echo" is where `unharmed` looks whether everybody else is well."""

_START = """
if __name__ == "__main__":
    app.start(port=0, **{options})
"""

T = TypeVar("T")


def wait_for(look: Callable[[], T | None], what: str) -> T:
    """Look until there is something, and return it."""
    end = time.monotonic() + DEADLINE
    while time.monotonic() < end:
        found = look()
        if found:
            return found
        time.sleep(0.01)
    raise AssertionError(f"waited {DEADLINE} s for {what}")


class Server:
    """A server process; `stop` ends it."""

    def __init__(
        self,
        folder: Path,
        source: str,
        way: str,
        options: dict[str, Any],
        arguments: list[str],
        *,
        whole: bool = False,
    ) -> None:
        program = folder / "app.py"
        source = textwrap.dedent(source)
        if not whole:
            source = PREAMBLE + source + _START.replace("{options}", repr(options))
        program.write_text(source)
        self._log = folder / "log"
        command = [sys.executable, str(program)]
        if way != "python":
            command = [sys.executable, "-m", "gunicorn", "-k", _WORKERS[way], "-b", "127.0.0.1:0"]
            command += [
                "--no-control-socket",
                "--chdir",
                str(folder),
                "--worker-connections",
                "5000",
                *arguments,
                "app:app",
            ]
        with self._log.open("w") as log:
            self.process = subprocess.Popen(
                command, stdout=log, stderr=log, cwd=folder, start_new_session=True
            )
        self.port = int(wait_for(self._find_port, "the server to listen"))

    def _find_port(self) -> str | None:
        if self.process.poll() is not None:
            raise AssertionError(f"the server ended with {self.process.returncode}: {self.log()}")
        found = re.search(r"(?:listens on|Listening at:) https?://127\.0\.0\.1:(\d+)", self.log())
        return found and found[1]

    def url(self, path: str = "/web_socket") -> str:
        """The address of a WebSocket."""
        return f"ws://127.0.0.1:{self.port}{path}"

    def get(self, path: str) -> str:
        """The body of an HTTP page."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=DEADLINE) as response:
            return str(response.read().decode())

    def log(self) -> str:
        """What the server has written so far."""
        return self._log.read_text(errors="replace")

    def vitals(self) -> dict[str, Any]:
        """What the server counts of itself."""
        return dict(json.loads(self.get("/vitals")))

    def notes(self, key: str, count: int = 0) -> list[tuple[Any, ...]]:
        """What handlers have noted under this key; waits until there are `count` notes."""
        found: list[tuple[Any, ...]] = []

        def look() -> bool:
            found[:] = [tuple(entry) for entry in json.loads(self.get(f"/notes/{key}"))]
            return len(found) >= count

        wait_for(look, f"{count} notes for {key}")
        return found

    def wait_for_log(self, text: str) -> None:
        """Wait until the server has written this."""
        wait_for(lambda: text in self.log(), f"{text!r} in the log")

    def pid(self) -> int:
        """The process that serves: the gunicorn worker, not its master."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return int(children[0]) if children else self.process.pid

    def descriptors(self) -> int:
        """How many files and sockets the serving process has open."""
        return len(os.listdir(f"/proc/{self.pid()}/fd"))

    def tell(self, number: int = signal.SIGTERM) -> None:
        """Signal the server as a person would: Ctrl-C goes to the whole group."""
        if number == signal.SIGINT:
            os.killpg(self.process.pid, number)
        else:
            self.process.send_signal(number)

    def wait(self) -> int:
        """Wait for the server to end, and return its exit code."""
        return self.process.wait(DEADLINE)

    def clean_up(self) -> None:
        """End what is left of it."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(DEADLINE)


@contextlib.contextmanager
def unharmed(server: Server) -> Iterator[None]:
    """Whatever is done to the server meanwhile: another client is still answered, and nothing of it is left.

    Enter it before the test's own clients connect; a connection that an earlier test left is waited for.
    """
    with connect(server.url("/echo"), ping_interval=None, open_timeout=DEADLINE) as bystander:
        _wait_for_bystander_alone(server)
        descriptors = server.descriptors()
        yield
        bystander.send("still there?")
        assert bystander.recv(timeout=DEADLINE) == "still there?"
        _wait_for_bystander_alone(server)
        wait_for(lambda: server.descriptors() <= descriptors, f"no more than {descriptors} open files")


def _wait_for_bystander_alone(server: Server) -> None:
    # Not `vitals`, which collects garbage: nothing may depend on that.
    wait_for(
        lambda: json.loads(server.get("/connections")) == [1, 1],
        "one connection alone to be registered and live",
    )
