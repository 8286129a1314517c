"""The echo server, run each of the three ways: started, awaited, and always ended."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Final

WAYS: Final = ("python", "worker", "geventwebsocket")
"""`python app.py`, gws's gunicorn worker, and gevent-websocket's."""

_WORKERS: Final = {
    "worker": "gws.worker.Worker",
    "geventwebsocket": "geventwebsocket.gunicorn.workers.GeventWebSocketWorker",
}
_ROOT: Final = Path(__file__).resolve().parent.parent
_START_SECONDS: Final = 30.0
_STOP_SECONDS: Final = 10.0
_POLL_SECONDS: Final = 0.02


class ServerError(Exception):
    """The server did not start; the message has the end of its log."""


@contextlib.contextmanager
def running(way: str, log: Path, *, compression: bool) -> Iterator[str]:
    """Return a server that listens on a free port of the loopback network on entry, and is gone on exit.

    Args:
        way: one of `WAYS`.
        log: where its output goes.
        compression: whether it agrees to permessage-deflate.

    Returns:
        The address of its WebSocket.

    Raises:
        ServerError: it has ended, or does not answer in time.
    """
    with log.open("w") as output:
        process = subprocess.Popen(
            _command(way, compression=compression),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd=_ROOT,
            start_new_session=True,
        )
    try:
        yield f"ws://{_wait_for_address(process, log)}/"
    finally:
        _end(process)


def _command(way: str, *, compression: bool) -> list[str]:
    if way == "python":
        return [sys.executable, "-m", "compliance.echo", *(["--compression"] if compression else [])]
    gunicorn = [sys.executable, "-m", "gunicorn", "-k", _WORKERS[way], "-b", "127.0.0.1:0"]
    return [*gunicorn, "--no-control-socket", f"compliance.echo:create_app(compression={compression})"]


def _wait_for_address(process: subprocess.Popen[bytes], log: Path) -> str:
    """Where it listens, once it answers: gunicorn listens before it has a worker."""
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        found = re.search(r"(?:listens on|Listening at:) http://([\d.]+:\d+)", log.read_text())
        if found and _answers(found[1]):
            return found[1]
        time.sleep(_POLL_SECONDS)
    end = " / ".join(log.read_text().splitlines()[-3:]) or "it wrote nothing"
    raise ServerError(f"the server does not answer, status {process.returncode}: {end}")


def _answers(address: str) -> bool:
    """Whether a plain request is answered, if only with a 400."""
    connection = HTTPConnection(address, timeout=1)
    try:
        connection.request("GET", "/")
        connection.getresponse()
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()
    return True


def _end(process: subprocess.Popen[bytes]) -> None:
    """Tell it to stop; one that does not is killed with its workers, which are in the session that it leads."""
    process.terminate()
    try:
        process.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(_STOP_SECONDS)
