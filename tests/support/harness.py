"""A real server, run each of the three ways, and what is seen of it from outside."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .program import Program, wait_for
from .raw_client import RawClient

WAYS = ("python", "worker", "geventwebsocket")
"""The program itself, gws's gunicorn worker, and gevent-websocket's."""

ROOT = Path(__file__).parents[2]

_WORKERS = {
    "worker": "gws.worker.Worker",
    "geventwebsocket": "geventwebsocket.gunicorn.workers.GeventWebSocketWorker",
}


def environment(
    config: dict[str, Any] | None = None,
    values: dict[str, Any] | None = None,
    options: dict[str, Any] | None = None,
) -> dict[str, str]:
    """Return the variables with which a process finds `tests.apps`, and finds there what a test wants."""
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    wanted = {"config": config or {}, "values": values or {}, "options": options or {}}
    return {"PYTHONPATH": path, "GWS_TEST_APP": json.dumps(wanted)}


def command(app: str | None, way: str, folder: Path, *arguments: str) -> list[str]:
    """Return the command that serves a module of `tests.apps`, or else the folder's own `app.py`; see `Server`."""
    module = "app" if app is None else f"tests.apps.{app}"
    if way == "python":
        return [sys.executable, *(["app.py"] if app is None else ["-m", module])]
    gunicorn = [sys.executable, "-m", "gunicorn", "-k", _WORKERS[way], "-b", "127.0.0.1:0"]
    return [*gunicorn, "--no-control-socket", "--chdir", str(folder), *arguments, f"{module}:app"]


class Server(Program):
    """A server process.

    Args:
        folder: where it runs, and where its log and its text go.
        app: the name of a module in `tests.apps`.
        way: one of `WAYS`.
        arguments: those of gunicorn.
        text: a program to run instead; gunicorn looks for its `app`.
        config: settings of the application.
        values: what the module reads with `tests.apps.base.value`.
        options: those of `serve`.
        variables: more of the environment.
    """

    def __init__(
        self,
        folder: Path,
        app: str | None,
        way: str,
        arguments: list[str],
        *,
        text: str | None = None,
        config: dict[str, Any] | None = None,
        values: dict[str, Any] | None = None,
        options: dict[str, Any] | None = None,
        variables: dict[str, str] | None = None,
    ) -> None:
        self.way = way
        if text is not None:
            (folder / "app.py").write_text(textwrap.dedent(text))
        arguments = ["--worker-connections", "5000", *arguments]
        super().__init__(
            command(app, way, folder, *arguments),
            folder,
            environment=environment(config, values, options) | (variables or {}),
        )

    def url(self, path: str = "/web_socket") -> str:
        """Return the address of a WebSocket."""
        return f"{'wss' if self.tls else 'ws'}://127.0.0.1:{self.port}{path}"

    def vitals(self) -> dict[str, Any]:
        """Return what the server counts of itself."""
        return dict(json.loads(self.get("/vitals")))

    def notes(self, key: str, count: int = 0) -> list[tuple[Any, ...]]:
        """Return what handlers have noted under this key; waits until there are `count` notes."""
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
        """Return the process that serves: the gunicorn worker, not its master."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return int(children[0]) if children else self.process.pid

    def descriptors(self) -> int:
        """How many files and sockets the serving process has open."""
        return len(os.listdir(f"/proc/{self.pid()}/fd"))

    def reset_peak_memory(self) -> int:
        """Forget the peak of its memory; the bytes that it has now."""
        Path(f"/proc/{self.pid()}/clear_refs").write_text("5")
        return self.peak_memory()

    def peak_memory(self) -> int:
        """Return the most bytes of memory that the serving process has had."""
        found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{self.pid()}/status").read_text())
        assert found
        return int(found[1]) * 1024

    @contextlib.contextmanager
    def stopping(self, number: int = signal.SIGTERM) -> Iterator[None]:
        """Tell the server to stop; it does so with exit code 0 and within 5 seconds, and gunicorn's two looks."""
        began = time.monotonic()
        self.tell(number)
        yield
        assert self.wait() == 0, self.log()
        assert time.monotonic() - began < (7 if self.way == "geventwebsocket" else 5)
        assert "Traceback" not in self.log()


@contextlib.contextmanager
def unharmed(server: Server) -> Iterator[None]:
    """Whatever is done to the server meanwhile: another client is still answered, and nothing of it is left.

    Enter it before the test's own clients connect; a connection that an earlier test left is waited for.
    """
    with RawClient(server, "/echo", tls=server.tls) as bystander:
        before = _settled_footprint(server)
        _expect_echo(bystander)
        yield
        _expect_echo(bystander)
        _wait_for_footprint(server, before)


def _expect_echo(client: RawClient) -> None:
    client.say("still there?")
    assert client.read_text() == "still there?"


def _footprint(server: Server) -> dict[str, int]:
    """Return what the server holds."""
    vitals = server.vitals()
    return {name: vitals[name] for name in ("registered", "live", "greenlets")} | {
        "descriptors": server.descriptors()
    }


def _settled_footprint(server: Server) -> dict[str, int]:
    """Return the same, once one connection is left and two looks see the same."""
    looks: list[dict[str, int]] = [{}]

    def is_settled() -> bool:
        looks.append(_footprint(server))
        return looks[-2] == looks[-1] and looks[-1]["registered"] == looks[-1]["live"] == 1

    wait_for(is_settled, "the bystander to be alone")
    return looks[-1]


def _wait_for_footprint(server: Server, before: dict[str, int]) -> None:
    try:
        wait_for(
            lambda: all(now <= before[name] for name, now in _footprint(server).items()),
            "the server to let go",
        )
    except AssertionError as error:
        raise AssertionError(f"{_footprint(server)} is left of {before}\n{server.log()[-3000:]}") from error
