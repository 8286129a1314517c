"""`gws.testing.Client` and its process: what is left of it, forks, Ctrl-C, the end, and how long it takes."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ..support.program import DEADLINE, python, wait_for

PATCH = {"a thread": "", "a greenlet": "from gevent import monkey; monkey.patch_all()"}

SOURCE = """
{patch}
import gc, os, signal, socket, sys, threading, time, weakref
import gws
from gws.testing import Client

def make_app():
    app = gws.App("app")
    websocket = gws.WebSocket(app, "/chat")

    @websocket.on("message")
    def message(ws, msg):
        return msg.upper()

    @websocket.on("close")
    def close(ws):
        print("closed with", ws.close_code, flush=True)

    return app

def talk(client):
    with client.connect("/chat") as ws:
        ws.send("hello")
        assert ws.receive() == "HELLO"

app = make_app()
"""


@pytest.fixture(params=PATCH)
def source(request: pytest.FixtureRequest) -> str:
    return SOURCE.format(patch=PATCH[request.param])


def test_whoever_drops_a_client_has_nothing_left_of_it(source: str) -> None:
    script = (
        source
        + """
counts, apps, ports = [], weakref.WeakSet(), []
for number in range(20):
    one = make_app()
    apps.add(one)
    client = Client(one)
    talk(client)
    ports.append(client._server.server_port)
    del one, client
    gc.collect()
    # The listener is closed by the hub.
    talk(Client(app))
    gc.collect()
    counts.append((len(os.listdir("/proc/self/fd")), threading.active_count()))
print(counts[2] == counts[-1], len(apps) <= 1, counts, len(apps))
for port in ports[:-1]:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
        print("somebody listens")
    except ConnectionRefusedError:
        pass
"""
    )
    said = python(script)
    assert "True True" in said
    assert "somebody listens" not in said


def test_the_end_of_the_process_is_that_of_what_nobody_has_closed(source: str) -> None:
    script = source + "ws = Client(app).connect('/chat')\nws.send('hello')\nprint(ws.receive(), flush=True)"
    assert python(script) == "HELLO\nclosed with 1006\n"


def test_a_handler_that_hangs_does_not_keep_the_process(source: str) -> None:
    script = (
        source
        + """
gws.WebSocket(app, "/hang").on("message")(lambda: time.sleep(60))
ws = Client(app).connect("/hang")
ws.send("hello")
try:
    ws.receive(0.1)
except TimeoutError as error:
    print(error)
ws.abort()
"""
    )
    assert "no message from /hang within 0.1 s" in python(script)


def test_a_process_that_a_test_forks_has_a_client_of_its_own(source: str) -> None:
    script = (
        source
        + """
import warnings
warnings.simplefilter("ignore", DeprecationWarning)
client = Client(app)
with client.connect("/chat") as ws:
    pid = os.fork()
    if pid == 0:
        talk(client)
        talk(Client(make_app()))
        print("the child has talked", flush=True)
        os._exit(0)
    print(os.waitpid(pid, 0)[1])
    ws.send("still there?")
    assert ws.receive() == "STILL THERE?"
talk(client)
"""
    )
    closed = "closed with 1000\n"
    assert python(script) == f"{2 * closed}the child has talked\n0\n{2 * closed}"


PLUGINS = ["-p", "gws.testing.plugin", "-p", "no:cacheprovider"]
WITHOUT_OTHERS = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
"""What else is installed here takes longer to load than the tests."""


def run_pytest(
    folder: Path, *arguments: str, patched: bool = False, plugins: bool = False
) -> subprocess.CompletedProcess[str]:
    """Run pytest in a folder, with gws's plugin, or with all that are installed."""
    command = [sys.executable, *(["-m", "gevent.monkey", "--module"] if patched else ["-m"]), "pytest"]
    return subprocess.run(
        [*command, *([] if plugins else PLUGINS), "-W", "error", *arguments],
        cwd=folder,
        env=os.environ | ({} if plugins else WITHOUT_OTHERS),
        capture_output=True,
        text=True,
        check=False,
        timeout=6 * DEADLINE,
    )


@pytest.mark.parametrize("file", ["test_client.py", "test_client_errors.py"])
def test_all_that_a_client_does_it_does_in_a_patched_process(file: str) -> None:
    root = Path(__file__).parents[2]
    done = run_pytest(root, f"tests/testing/{file}", "-q", patched=True)
    assert done.returncode == 0, done.stdout
    assert re.search(r"\d\d passed", done.stdout)


HUNDRED = """
import gws, pytest
from gws.testing import Client

def make_app():
    app = gws.App(__file__)
    websocket = gws.WebSocket(app, "/chat")
    websocket.on("message")(lambda msg: msg.upper())
    return app

@pytest.mark.parametrize("number", range(100))
def test_an_echo(number):
    with Client(make_app()).connect("/chat") as ws:
        ws.send(f"hello {number}")
        assert ws.receive() == f"HELLO {number}"
"""


@pytest.mark.parametrize("patched", [False, True])
def test_a_hundred_tests_take_less_than_five_seconds(tmp_path: Path, patched: bool) -> None:
    (tmp_path / "test_hundred.py").write_text(HUNDRED)
    took: list[float] = []
    # Other tests run beside this one, so the best of three counts.
    while len(took) < 3 and min(took, default=5.0) >= 5:
        done = run_pytest(tmp_path, "--rootdir=.", patched=patched)
        found = re.search(r"100 passed in ([\d.]+)s", done.stdout)
        assert found, done.stdout
        took.append(float(found[1]))
    assert min(took) < 5


def test_they_may_run_side_by_side(tmp_path: Path) -> None:
    (tmp_path / "test_hundred.py").write_text(HUNDRED)
    done = run_pytest(tmp_path, "--rootdir=.", "-p", "xdist", "-n", "4")
    assert "100 passed" in done.stdout


HANGING = """
import gws, pathlib
from gws.testing import Client

app = gws.App(__file__)
websocket = gws.WebSocket(app, "/chat")

def test_a_wait():
    with Client(app).connect("/chat") as ws:
        pathlib.Path("waits").touch()
        ws.receive(timeout=60)
"""


@pytest.mark.parametrize("patched", [False, True])
def test_ctrl_c_ends_a_wait(tmp_path: Path, patched: bool) -> None:
    (tmp_path / "test_hanging.py").write_text(HANGING)
    command = [sys.executable, *(["-m", "gevent.monkey", "--module"] if patched else ["-m"]), "pytest"]
    process = subprocess.Popen(
        [*command, *PLUGINS, "--rootdir=."],
        cwd=tmp_path,
        env=os.environ | WITHOUT_OTHERS,
        stdout=subprocess.PIPE,
        text=True,
    )
    wait_for((tmp_path / "waits").exists, "the test to wait")
    process.send_signal(signal.SIGINT)
    said, _ = process.communicate(timeout=DEADLINE)
    assert process.returncode == 2, said
    assert "KeyboardInterrupt" in said
