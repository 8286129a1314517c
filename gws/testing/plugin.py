"""pytest's fixtures `gws_client` and `gws_server`, in every run where gws is installed (entry point `pytest11`).

pytest loads this module before `conftest.py`, and so before `monkey.patch_all()`: it imports nothing of gws, of gevent
or of Flask until a test wants it.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

if TYPE_CHECKING:
    from .client import Client

START_TIMEOUT: Final = 30.0
"""Seconds for the process of `gws_server` to listen."""
STOP_TIMEOUT: Final = 7.0
"""Seconds for it to end, which takes 5 when a handler does not."""

PROGRAM: Final = """
from gevent import monkey
monkey.patch_all()

import os, signal, sys
import gevent, gws
from flask.cli import ScriptInfo

def end_with_the_tests():
    os.read(sys.stdin.fileno(), 1)
    os.kill(os.getpid(), signal.SIGTERM)

app = ScriptInfo(sys.argv[1]).load_app()
gevent.get_hub().threadpool.spawn(end_with_the_tests)
gws.serve(app, port=0)
"""
"""What the process runs; it ends when its standard input does, however the tests end."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare the ini option `gws_app`."""
    parser.addini(
        "gws_app",
        'the application that gws_server serves, as `flask --app` has it: "app:app" or "app:create_app()"',
    )


@pytest.fixture
def gws_client(request: pytest.FixtureRequest) -> Iterator[Client]:
    """Return a `gws.testing.Client` of the application that the fixture `app` returns; close it behind the test."""
    try:
        app = request.getfixturevalue("app")
    except pytest.FixtureLookupError as error:
        if error.argname != "app":
            raise
        raise pytest.UsageError(
            "gws_client needs a fixture `app` that returns the Flask application; write it into conftest.py:\n\n"
            "@pytest.fixture\ndef app():\n    from yourapplication import app\n    return app\n"
        ) from None
    from .client import Client

    with Client(app) as client:
        yield client


@pytest.fixture(scope="session")
def gws_server(
    pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ServerProcess]:
    """Serve the application that the ini option `gws_app` names, in a process of its own, until the tests end."""
    app = pytestconfig.getini("gws_app")
    if not app:
        raise pytest.UsageError(
            "gws_server serves the application that the ini option gws_app names, and there is none: write it into "
            'pytest.ini, such as "gws_app = app:app" or "gws_app = app:create_app()"'
        )
    server = ServerProcess(app, pytestconfig.rootpath, tmp_path_factory.mktemp("gws_server") / "log")
    yield server
    server.stop()


class ServerProcess:
    """An application in a process of its own, for a browser.

    Args:
        app: as `flask --app` has it.
        folder: where it runs.
        log: the file that it writes to.

    Raises:
        RuntimeError: it does not listen; it has the log.

    Attributes:
        http_url: the address of its pages, such as "http://127.0.0.1:40123".
    """

    def __init__(self, app: str, folder: Path, log: Path) -> None:
        self._log = log
        # What the tests can import, it can.
        path = os.pathsep.join([str(folder), *filter(None, sys.path)])
        with log.open("wb") as file:
            self._process = subprocess.Popen(
                [sys.executable, "-c", PROGRAM, app],
                cwd=folder,
                env={**os.environ, "PYTHONPATH": path},
                stdin=subprocess.PIPE,
                stdout=file,
                stderr=file,
                start_new_session=True,
            )
        try:
            self.http_url = self._wait_for_address(app)
        except BaseException:
            self.stop()
            raise

    def url(self, path: str = "/") -> str:
        """Return the address of a WebSocket, such as "ws://127.0.0.1:40123/chat"."""
        return f"ws{self.http_url.removeprefix('http')}{path}"

    def log(self) -> str:
        """Return what it has written so far: its log, and its access log."""
        return self._log.read_text(errors="replace")

    def stop(self) -> None:
        """Tell it to stop, as any SIGTERM does, and wait; it is killed if it does not."""
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.communicate(timeout=STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.communicate()

    def _wait_for_address(self, app: str) -> str:
        deadline = time.monotonic() + START_TIMEOUT
        while time.monotonic() < deadline:
            found = re.search(r"gws listens on (http://\S+)", self.log())
            if found:
                return found[1]
            if self._process.poll() is not None:
                raise RuntimeError(f"gws_app = {app} cannot be served:\n{self.log()}")
            time.sleep(0.01)
        raise RuntimeError(f"gws_app = {app} does not listen after {START_TIMEOUT:g} s:\n{self.log()}")
