"""`gws run`, `flask ws run`: what serves is patched, says where it is, is reloaded without a gap, and ends."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import trustme
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from ..support.client_frames import request as upgrade_request
from ..support.command_line import APP, Running, environment, gws_command, run_gws
from ..support.program import DEADLINE, Program, wait_for
from ..support.raw_client import RawClient

RunGws = Callable[..., Running]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[RunGws]:
    """Start `gws run` in the test's folder."""
    running: list[Running] = []

    def run(*arguments: str, **options: object) -> Running:
        running.append(Running(tmp_path, *arguments, **options))  # type: ignore[arg-type]
        return running[-1]

    yield run
    for program in running:
        program.clean_up()


def hear(client: ClientConnection) -> str | bytes:
    return client.recv(timeout=DEADLINE)


def wait_for_close(client: ClientConnection) -> tuple[int, str]:
    """Return the code and reason that the server has closed with."""
    with contextlib.suppress(ConnectionClosed):
        while True:
            hear(client)
    assert client.protocol.close_rcvd is not None
    return client.protocol.close_rcvd.code, client.protocol.close_rcvd.reason


def test_an_application_that_does_not_patch_itself_is_patched(start: RunGws) -> None:
    server = start("app:app")
    assert server.get("/").endswith("gevent.hub")
    assert f"gws listens on http://{server.address}\n  {server.url()}\n" in server.log()
    with connect(server.url()) as client:
        assert hear(client) == "version 1"
        server.tell()
        assert wait_for_close(client) == (1001, "going away")
    assert server.wait() == 0
    assert "Traceback" not in server.log()


@pytest.mark.parametrize(
    "arguments", [[], ["--reload"], ["--workers", "2"]], ids=["one", "reload", "workers"]
)
def test_ctrl_c_closes_every_connection_with_1001(start: RunGws, arguments: list[str]) -> None:
    server = start(*arguments)
    with connect(server.url(), open_timeout=DEADLINE) as client:
        assert hear(client) == "version 1"
        server.tell(signal.SIGINT)
        assert wait_for_close(client) == (1001, "going away")
    assert server.wait() == 0
    assert "Traceback" not in server.log()


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("app", APP),
        ("app.py:app", APP),
        ("app:application", APP.replace("app = Flask", "application = app = Flask")),
        ("app:create_app('x')", APP + "\ndef create_app(name):\n    assert name == 'x'\n    return app\n"),
    ],
)
def test_applications_are_named_as_for_flask(start: RunGws, name: str, source: str) -> None:
    with connect(start(name, source=source).url(), open_timeout=DEADLINE) as client:
        assert hear(client) == "version 1"


@pytest.mark.parametrize("call", ["gws.serve(app)", "app.run()"])
def test_a_call_that_would_serve_is_passed_over(start: RunGws, call: str) -> None:
    server = start(source=f"{APP}\n{call}\n")
    assert server.get("/").startswith("1 ")
    assert 'if __name__ == "__main__"' in server.log().replace("'", "")
    if call == "gws.serve(app)":
        assert f"app.py, line {APP.count(chr(10)) + 2} is passed over" in server.log()


def test_tls(start: RunGws, tmp_path: Path) -> None:
    authority = trustme.CA()
    certificate = authority.issue_cert("127.0.0.1")
    certificate.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    certificate.private_key_pem.write_to_path(tmp_path / "key.pem")
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    server = start("--cert", "cert.pem", "--key", "key.pem")
    url = f"wss://{server.address}/web_socket"
    assert f"  {url}\n" in server.log()
    done = run_gws("connect", url, "--ca", str(tmp_path / "ca.pem"), "-x", "hello", "-w", "0.3")
    assert (done.returncode, done.stdout) == (0, "version 1\nhello\n")
    done = run_gws("connect", url, "-x", "hello")
    assert done.returncode == 1
    assert "its certificate is not trusted" in done.stderr


# Several processes


def test_workers_are_gunicorns_and_one_server(start: RunGws) -> None:
    server = start("--workers", "2", "app:app")
    wait_for(lambda: server.log().count("backplane embedded:// connected") == 2, "both workers")
    assert f"  {server.url()}\n" in server.log()
    assert server.log().count("gws listens on") == 1
    with connect(server.url(), open_timeout=DEADLINE) as client:
        assert hear(client) == "version 1"


def test_workers_without_gunicorn_are_an_error_that_says_what_to_install() -> None:
    done = run_gws("run", "--workers", "2", "--port", "0", "app:app", without="gunicorn")
    assert (done.returncode, done.stdout) == (3, "")
    assert "pip install 'gevent-gws[gunicorn]'" in done.stderr


# Reloading


@pytest.mark.parametrize(
    ("arguments", "without", "means"),
    [([], "", "watchfiles"), ([], "watchfiles", "polling"), (["--workers", "2"], "", "watchfiles")],
    ids=["watchfiles", "polling", "workers"],
)
def test_a_page_that_connects_again_is_back_within_300_ms(
    start: RunGws, arguments: list[str], without: str, means: str
) -> None:
    server = start("--reload", *arguments, without=without)
    wait_for(lambda: f"({means})" in server.log(), "the watcher")
    with connect(server.url(), open_timeout=DEADLINE) as client:
        assert hear(client) == "version 1"
        server.change("VERSION = 1", "VERSION = 2")
        assert wait_for_close(client) == (1012, "service restart")
        began = time.monotonic()
        with connect(server.url(), open_timeout=DEADLINE) as again:
            assert hear(again) == "version 2"
            took = time.monotonic() - began
    print(f"back after {took * 1000:.0f} ms")
    assert took < 0.3
    wait_for(lambda: "gws: reloaded in" in server.log(), "the supervisor to say so")
    server.tell()
    assert server.wait() == 0
    assert "Traceback" not in server.log()


SLOW = """
@app.get("/slow")
def slow():
    while not os.path.exists("go"):
        time.sleep(0.01)
    return "done"
"""


def test_a_request_that_the_old_process_has_is_answered_by_it(start: RunGws) -> None:
    server = start("--reload", source=APP + SLOW)
    answers: list[str] = []
    asker = threading.Thread(target=lambda: answers.append(server.get("/slow")))
    with connect(server.url()) as client:
        assert hear(client) == "version 1"
        server.change("VERSION = 1", "VERSION = 2")
        wait_for(lambda: "app.py changed" in server.log(), "the change to be seen")
        asker.start()
        assert wait_for_close(client)[0] == 1012
    server.app.with_name("go").touch()
    asker.join(DEADLINE)
    assert answers == ["done"]


def test_nobody_is_refused_while_it_reloads(start: RunGws) -> None:
    server = start("--reload")
    versions: list[str] = []
    has_seen_both = threading.Event()

    def ask() -> None:
        while not has_seen_both.is_set():
            versions.append(server.get("/").split()[0])
            if versions[-1] == "2":
                has_seen_both.set()

    server.get("/")
    askers = [threading.Thread(target=ask) for _ in range(3)]
    for asker in askers:
        asker.start()
    wait_for(lambda: len(versions) > 10, "the first answers")
    server.change("VERSION = 1", "VERSION = 2")
    assert has_seen_both.wait(DEADLINE), "an asker was refused, or the new version never came"
    for asker in askers:
        asker.join(DEADLINE)
    assert not any(asker.is_alive() for asker in askers)
    # One that was refused would have ended with an exception, of which pytest makes a warning, and that is an error.
    assert set(versions) == {"1", "2"}


def test_code_that_does_not_start_leaves_the_old_one_alone(start: RunGws) -> None:
    server = start("--reload")
    with connect(server.url()) as client:
        assert hear(client) == "version 1"
        server.change("VERSION = 1", "VERSION = = 2")
        wait_for(lambda: "what ran before goes on" in server.log(), "the error")
        assert "SyntaxError" in server.log()
        client.send("still there?")
        assert hear(client) == "still there?"
        server.change("VERSION = = 2", "VERSION = 2")
        assert wait_for_close(client)[0] == 1012
    with connect(server.url()) as client:
        assert hear(client) == "version 2"


def test_who_begins_with_an_error_is_served_when_it_is_corrected(tmp_path: Path) -> None:
    app = tmp_path / "app.py"
    app.write_text("import nothing_of_this_name")
    log = tmp_path / "log"
    with log.open("w") as out:
        process = subprocess.Popen(
            gws_command("run", "--reload", "--port", "0"),
            cwd=tmp_path,
            stdout=out,
            stderr=out,
            env=environment(),
        )
    try:
        wait_for(lambda: "a change starts it again" in log.read_text(), "the error")
        assert "nothing_of_this_name" in log.read_text()
        app.write_text(APP)
        wait_for(lambda: "gws listens on" in log.read_text(), "the server")
    finally:
        process.terminate()
    assert process.wait(DEADLINE) == 0


def test_a_supervisor_that_is_killed_takes_the_server_with_it(start: RunGws) -> None:
    server = start("--reload")
    pid = int(server.get("/").split()[1])
    assert pid != server.process.pid
    server.process.kill()
    server.wait()
    wait_for(lambda: not Path(f"/proc/{pid}").exists() or _is_dead(pid), "the server to end")
    with contextlib.closing(socket.socket()) as again:
        # The request that told the pid lingers in TIME_WAIT.
        again.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        again.bind(("127.0.0.1", server.port))


def _is_dead(pid: int) -> bool:
    """Return whether it has ended, and nobody has asked how."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"


def test_a_server_that_ends_by_itself_is_started_again_by_a_change(start: RunGws) -> None:
    server = start("--reload")
    os.kill(int(server.get("/").split()[1]), signal.SIGKILL)
    wait_for(lambda: "the process has ended (SIGKILL)" in server.log(), "the supervisor to notice")
    server.change("VERSION = 1", "VERSION = 2")
    assert server.get("/").startswith("2 ")


# What does not start


def test_a_port_that_is_in_use_is_exit_code_3() -> None:
    with contextlib.closing(socket.socket()) as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        done = run_gws("run", "--port", str(taken.getsockname()[1]), "app:app")
    assert done.returncode == 3
    assert "Address already in use; end the program that has the port, or give another --port" in done.stderr


@pytest.mark.parametrize(
    ("source", "name", "why"),
    [
        ("a b", "app:app", "SyntaxError"),
        ("import nothing_of_this_name", "app:app", "nothing_of_this_name"),
        ("x = 1", "app:app", "Failed to find attribute 'app' in 'app'"),
        ("x = 1", "nowhere:app", "Could not import 'nowhere'"),
        (APP + '\napp.config["GWS_PING_INTERVAL"] = -1', "app:app", "ping_interval is a number above zero"),
    ],
)
def test_an_application_that_cannot_be_served_is_exit_code_3(
    tmp_path: Path, source: str, name: str, why: str
) -> None:
    (tmp_path / "app.py").write_text(source)
    done = run_gws("run", "--port", "0", name, folder=tmp_path)
    assert (done.returncode, done.stdout) == (3, "")
    assert why in done.stderr


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["--host", "192.0.2.1"], "change --host"),
        (["--host", "no.such.host.invalid"], "change --host"),
        (["--key", __file__], "give --cert too"),
        (["--port", "70000"], "70000"),
        (["--workers", "0"], "0"),
        (["--cert", __file__], "holds no certificate in PEM format"),
    ],
)
def test_options_that_cannot_be_are_refused(tmp_path: Path, arguments: list[str], why: str) -> None:
    (tmp_path / "app.py").write_text(APP)
    done = run_gws("run", "--port", "0", *arguments, folder=tmp_path)
    assert done.returncode in (2, 3)
    assert why in done.stderr


# Beside Flask's own


def test_flask_ws_run_does_the_same(start: RunGws) -> None:
    server = start(command=[sys.executable, "-m", "flask", "--app", "app:app", "ws", "run"])
    assert server.get("/").endswith("gevent.hub")
    with connect(server.url()) as client:
        assert hear(client) == "version 1"


def test_flask_run_answers_a_websocket_with_the_command_to_use(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(APP)
    command = [sys.executable, "-m", "flask", "run", "--port", "0"]

    class FlaskRun(Program):
        def _find_address(self) -> str | None:
            return self.log().partition("Running on http://")[2].partition("\n")[0] or None

    server = FlaskRun(command, tmp_path, environment=environment())
    try:
        with RawClient(server, None) as client:
            client.send(upgrade_request())
            assert client.read_head() == 501
            assert "`flask ws run` in place of `flask run`" in client.body
    finally:
        server.clean_up()
