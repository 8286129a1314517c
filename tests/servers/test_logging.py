"""What gws's log lines look like under gunicorn, where they go, and what they say of a backplane that works."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from websockets.sync.client import connect

from ..conftest import StartServer
from ..support.client_frames import request
from ..support.harness import Server
from ..support.program import DEADLINE, wait_for
from ..support.raw_client import RawClient
from ..support.valkey import Valkey

GUNICORNS = ["worker", "geventwebsocket"]

LINE = re.compile(
    r"^\[\d{4}-\d\d-\d\d \d\d:\d\d:\d\d [+-]\d{4}\] \[(\d+)\] \[(\w+)\] <WebSocket /web_socket> refuses", re.M
)
"""As gunicorn writes its own: time, process, level."""


def be_refused(server: Server, times: int = 1) -> None:
    """Have gws write a warning."""
    for _ in range(times):
        with RawClient(server, None) as client:
            client.send(request(Origin="https://other.example"))
            assert client.read_head() in (101, 403)
            client.wait_for_end()


@pytest.fixture(params=GUNICORNS)
def gunicorn(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_lines_have_time_process_and_level_as_gunicorns_have(
    start_server: StartServer, gunicorn: str
) -> None:
    server = start_server("echo", gunicorn)
    be_refused(server)
    wait_for(lambda: "refuses" in server.log(), "the warning")
    assert LINE.findall(server.log()) == [(str(server.pid()), "WARNING")]
    assert server.log().count("refuses") == 1


def test_each_part_logs_under_a_name_of_its_own(start_server: StartServer) -> None:
    server = start_server("echo", values={"log_format": "%(name)s: %(message)s"})
    be_refused(server)
    wait_for(lambda: "refuses" in server.log(), "the warning")
    assert re.search(r"^gws\.application: <WebSocket /web_socket> refuses", server.log(), re.M)


def saying_where(folder: Path) -> list[str]:
    """Options that have gunicorn print its address, for the harness to find where it writes no such line."""
    config = folder / "gunicorn_conf.py"
    config.write_text(
        "def when_ready(server):\n"
        "    address = server.LISTENERS[0].sock.getsockname()\n"
        "    print('listens on http://%s:%d' % address, flush=True)\n"
    )
    return ["-c", str(config)]


def test_lines_go_to_gunicorns_error_log(start_server: StartServer, tmp_path: Path, gunicorn: str) -> None:
    error_log = tmp_path / "errors"
    error_log.touch()
    server = start_server("echo", gunicorn, ["--error-logfile", str(error_log), *saying_where(tmp_path)])
    be_refused(server)
    wait_for(lambda: LINE.search(error_log.read_text()), "the warning")
    assert "refuses" not in server.log()


@pytest.mark.parametrize(
    ("gunicorns", "count"), [("debug", 1), ("warning", 1), ("error", 0)], ids=["debug", "warning", "error"]
)
def test_the_level_is_gunicorns(
    start_server: StartServer, tmp_path: Path, gunicorn: str, gunicorns: str, count: int
) -> None:
    server = start_server("echo", gunicorn, ["--log-level", gunicorns, *saying_where(tmp_path)])
    server.get("/talk")
    levels = ["debug", "info", "warning", "error"]
    said = re.findall(r"\[(\w+)\] said at (\w+)$", server.log(), re.M)
    assert said == [(level.upper(), level) for level in levels[levels.index(gunicorns) :]]
    be_refused(server)
    assert server.log().count("refuses") == count


@pytest.mark.parametrize("configure", ["the root", "gws", "dictConfig"])
@pytest.mark.parametrize("is_late", [False, True], ids=["while it is loaded", "later"])
def test_what_the_application_has_configured_is_all_there_is(
    start_server: StartServer, gunicorn: str, configure: str, is_late: bool
) -> None:
    values = {"way": configure, "is_late": is_late}
    server = start_server("logging_configured", gunicorn, values=values)
    if is_late:
        be_refused(server)
        wait_for(lambda: LINE.search(server.log()), "the warning")
    server.get("/configure")
    be_refused(server, 2)
    server.get("/talk")
    server.get("/talk")
    assert len(re.findall(r"^mine <WebSocket /web_socket> refuses", server.log(), re.M)) == 2
    assert server.log().count("refuses") == 2 + is_late
    assert "not asked for" not in server.log()


# Backplanes


def test_a_backplane_that_works_is_announced_once_without_its_password(
    start_server: StartServer, gunicorn: str, tmp_path: Path
) -> None:
    with Valkey(tmp_path, "--requirepass", "a-secret-word") as valkey:
        url = f"redis://:a-secret-word@127.0.0.1:{valkey.port}"
        server = start_server("echo", gunicorn, ["-w", "2"], config={"GWS_BACKPLANE_URL": url})
        announced = re.compile(
            rf"\[(\d+)\] \[INFO\] backplane redis://\*\*\*@127.0.0.1:{valkey.port} connected; nodes: (\d)"
        )
        wait_for(lambda: len(announced.findall(server.log())) == 2, f"two workers to say so: {server.log()}")
        lines = announced.findall(server.log())
        assert len({pid for pid, _ in lines}) == 2
        assert max(nodes for _, nodes in lines) == "2"
        assert "a-secret-word" not in server.log()


def test_a_log_that_nobody_reads_any_more_ends_no_websocket(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(
        "from gevent import monkey; monkey.patch_all()\n"
        "import gws\n"
        "app = gws.App(__file__)\n"
        "gws.WebSocket(app, '/chat').on('message')(lambda msg: msg)\n"
        "app.start(port=0)\n"
    )
    # As in `python app.py 2>&1 | head -1`.
    with subprocess.Popen(
        [sys.executable, "app.py"], cwd=tmp_path, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
    ) as process:
        try:
            assert process.stderr is not None
            address = process.stderr.readline().split("//")[1].strip()
            process.stderr.close()
            for _ in range(3):
                with connect(f"ws://{address}/chat", open_timeout=DEADLINE) as client:
                    client.send("hello")
                    assert client.recv(timeout=DEADLINE) == "hello"
        finally:
            process.terminate()
