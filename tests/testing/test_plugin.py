"""pytest's fixtures: `gws_client`, and `gws_server` for browsers; and nothing of them where no test wants one."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ..support.program import DEADLINE, python, wait_for
from .test_client_process import PLUGINS, WITHOUT_OTHERS, run_pytest

APP = """
import gws, os

def create_app(word="made"):
    app = gws.App(__file__)
    websocket = gws.WebSocket(app, "/chat")
    websocket.on("message")(lambda msg: f"{word}: {msg}")
    app.extensions["chat"] = websocket
    app.add_url_rule("/", view_func=lambda: str(os.getpid()))
    return app

app = create_app("the one")
"""

CONFTEST = """
import pytest

@pytest.fixture
def app():
    from app import create_app
    return create_app()
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Return a folder with an application in it."""
    (tmp_path / "app.py").write_text(APP)
    (tmp_path / "conftest.py").write_text(CONFTEST)
    (tmp_path / "pytest.ini").write_text("[pytest]\ngws_app = app:app\n")
    return tmp_path


def passes(project: Path, test: str, *arguments: str, plugins: bool = False) -> str:
    (project / "test_project.py").write_text(test)
    done = run_pytest(project, "--rootdir=.", *arguments, plugins=plugins)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def fails(project: Path, test: str, *arguments: str) -> str:
    (project / "test_project.py").write_text(test)
    done = run_pytest(project, "--rootdir=.", *arguments)
    assert done.returncode == 1, done.stdout + done.stderr
    return done.stdout


def test_the_plugin_imports_nothing_that_it_does_not_need() -> None:
    script = """
import sys, pytest, gws
before = set(sys.modules)
import gws.testing.plugin
print(sorted(name for name in set(sys.modules) - before if name.startswith("gws")))
print(sorted({"gevent", "flask", "websockets", "asyncio"} & set(sys.modules)))
"""
    assert python(script) == "['gws.testing', 'gws.testing.plugin']\n[]\n"


def test_nor_does_a_run_whose_tests_want_none_of_it(project: Path) -> None:
    passes(
        project,
        """
import sys

def test_modules():
    assert "gws.testing.plugin" in sys.modules
    assert not {"gevent", "flask", "websockets", "gws.testing.client"} & set(sys.modules)
""",
        plugins=True,
    )


def test_the_names_of_the_wing_are_found_when_they_are_asked_for() -> None:
    script = """
import sys, gws.testing
assert "gevent" not in sys.modules
from gws.testing import *
from gws.testing.client import Client as home
print(Client is home, ClosedError.__module__, RefusedError.__name__, ClientWebSocket.__name__)
try:
    gws.testing.Clients
except AttributeError as error:
    print(error)
"""
    assert python(script) == (
        "True gws.errors RefusedError ClientWebSocket\nmodule 'gws.testing' has no attribute 'Clients'\n"
    )


# gws_client


def test_a_client_of_the_applications_own_fixture(project: Path) -> None:
    passes(
        project,
        """
def test_chat(gws_client, app):
    assert gws_client.app is app
    with gws_client.connect("/chat") as ws:
        ws.send("hello")
        assert ws.receive() == "made: hello"
""",
    )


def test_what_a_test_leaves_open_is_closed_behind_it(project: Path) -> None:
    said = fails(
        project,
        """
def test_chat(gws_client, app):
    app.extensions["chat"].on("close")(lambda ws: 1 / 0)
    gws_client.connect("/chat")
""",
    )
    assert "ZeroDivisionError" in said
    assert "1 passed, 1 error" in said


@pytest.mark.parametrize("conftest", ["", "import pytest\n@pytest.fixture\ndef app(nothing): pass\n"])
def test_without_that_fixture_it_says_what_to_write(project: Path, conftest: str) -> None:
    (project / "conftest.py").write_text(conftest)
    said = fails(project, "def test_chat(gws_client): pass\n")
    if conftest:
        assert "fixture 'nothing' not found" in said
    else:
        assert "gws_client needs a fixture `app` that returns the Flask application" in said
        assert "from yourapplication import app" in said


# gws_server

BROWSE = """
import json, os, urllib.request
from websockets.sync.client import connect

def test_one(gws_server):
    with connect(gws_server.url("/chat")) as client:
        client.send("hello")
        assert client.recv(timeout=5) == "the one: hello"

def test_another(gws_server):
    with urllib.request.urlopen(f"{gws_server.http_url}/", timeout=5) as answer:
        process_id = int(answer.read())
    assert process_id != os.getpid()
    assert f"gws listens on {gws_server.http_url}" in gws_server.log()
    with open("process", "w") as file:
        json.dump(process_id, file)
"""


def has_ended(process_id: int) -> bool:
    try:
        os.kill(process_id, 0)
    except ProcessLookupError:
        return True
    return False


def test_a_server_in_a_process_of_its_own_ends_with_the_tests(project: Path) -> None:
    passes(project, BROWSE)
    assert has_ended(json.loads((project / "process").read_text()))


def test_a_factory_will_do(project: Path) -> None:
    passes(project, BROWSE.replace("the one:", "x:"), "-o", "gws_app=app:create_app('x')")


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_it_ends_with_the_tests_however_these_end(project: Path, number: int) -> None:
    (project / "test_project.py").write_text(BROWSE + "    import time; time.sleep(60)\n")
    process = subprocess.Popen(
        [sys.executable, "-m", "pytest", "-q", *PLUGINS, "--rootdir=."],
        cwd=project,
        env=os.environ | WITHOUT_OTHERS,
        stdout=subprocess.DEVNULL,
    )
    written = project / "process"
    wait_for(lambda: written.exists() and written.read_text(), "the test to wait")
    process.send_signal(number)
    process.wait(DEADLINE)
    wait_for(lambda: has_ended(json.loads(written.read_text())), "the server to end")


def test_without_an_application_it_says_what_to_write(project: Path) -> None:
    (project / "pytest.ini").unlink()
    said = fails(project, "def test_page(gws_server): pass\n")
    assert 'write it into pytest.ini, such as "gws_app = app:app"' in said


def test_an_application_that_cannot_be_served_shows_its_log(project: Path) -> None:
    began = time.monotonic()
    said = fails(project, "def test_page(gws_server): pass\n", "-o", "gws_app=app:nothing")
    assert "gws_app = app:nothing cannot be served" in said
    assert "Failed to find attribute 'nothing' in 'app'" in said
    assert time.monotonic() - began < DEADLINE
