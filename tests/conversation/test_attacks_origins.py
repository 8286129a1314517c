"""Pages that may not connect and try: with origins that only look allowed, and with a host that is theirs today."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from ..conftest import StartServer
from ..support.client_frames import request
from ..support.harness import WAYS, Server, command, environment, unharmed
from ..support.program import DEADLINE
from ..support.raw_client import RawClient, closed, said

TRUSTING = {"TRUSTED_HOSTS": ["chat.example", "127.0.0.1"]}

ATTACKS = [
    "https://evil.com/.example",
    "https://evil.com?.example",
    "https://evil.com#.example",
    "https://evil.com\\.example",
    "https://evil.com:8443.example",
    "https://evil.com@a.example",
    "https://a.example https://b.example",
    "https://a.example, https://b.example",
    "https://a.example,https://b.example",
    "https://evil.com https://a.example",
    "https://app.other https://app.other",
    "https://app.other/",
    "https://app.other:8443",
    "https://app.other.evil.com",
    "https://.example",
    "https://a..example",
    "http://a.example",
    "null",
    "",
    "http://127.0.0.1 http://127.0.0.1",
]


@pytest.fixture(scope="module", params=WAYS)
def server(request: pytest.FixtureRequest, start_module_server: StartServer) -> Server:
    return start_module_server("origins", request.param, config=TRUSTING)


def expect_refused(server: Server, status: int, **headers: str) -> None:
    """Shake hands and be refused: in plain HTTP, or by a Close where gevent-websocket has sent the 101."""
    begin = len(server.log())
    with unharmed(server), RawClient(server, headers=headers) as client:
        if server.way == "geventwebsocket":
            assert client.status == 101
            assert client.read_close()[0] == 1008
        else:
            assert client.status == status
            assert "upgrade" not in client.headers
        # Flask's own answers leave the connection to further requests.
        assert status == 400 or client.has_ended()
    assert "connected" not in server.log()[begin:]
    assert "Traceback" not in server.log()[begin:]


@pytest.mark.parametrize("origin", ATTACKS)
def test_what_is_not_exactly_one_allowed_origin_is_refused(server: Server, origin: str) -> None:
    expect_refused(server, 403, Origin=origin)


def test_two_origins_in_two_headers_are_refused(server: Server) -> None:
    good = b"Origin: https://a.example\r\n"
    begin = len(server.log())
    with unharmed(server), RawClient(server, None) as client:
        client.send(request(Host="127.0.0.1").replace(b"Upgrade:", good + good + b"Upgrade:", 1))
        if client.read_head() == 101:
            assert server.way == "geventwebsocket"
            assert client.read_close()[0] == 1008
        else:
            assert client.status == 403
    assert "connected" not in server.log()[begin:]


@pytest.mark.parametrize("origin", ["https://a.example", "https://A.b.example:443", "https://app.other"])
def test_an_allowed_origin_is_let_in(server: Server, origin: str) -> None:
    with unharmed(server), RawClient(server, headers={"Origin": origin}) as client:
        assert client.status == 101
        assert client.read_frame() == said("hello")


@pytest.mark.parametrize("host", ["rebound.evil", "rebound.evil:8080", "chat.example.evil", "10.0.0.1"])
def test_a_page_whose_name_has_been_made_to_mean_this_server_is_refused_by_trusted_hosts(
    server: Server, host: str
) -> None:
    expect_refused(server, 400, Host=host, Origin=f"http://{host}")
    # Nor does it help to say nothing of the page.
    expect_refused(server, 400, Host=host)


@pytest.mark.parametrize("host", ["chat.example", "chat.example:8080"])
def test_a_trusted_host_is_served(server: Server, host: str) -> None:
    with unharmed(server), RawClient(server, headers={"Host": host, "Origin": f"http://{host}"}) as client:
        assert client.status == 101
        assert client.read_frame() == said("hello")


def test_without_trusted_hosts_such_a_page_is_of_the_same_origin(start_server: StartServer) -> None:
    """Why the setting is recommended: nothing in the request tells it from the server's own page."""
    server = start_server("origins")
    headers = {"Host": "rebound.evil", "Origin": "http://rebound.evil"}
    with RawClient(server, headers=headers) as client:
        assert client.status == 101
        client.close()
        assert client.read_frame() == said("hello")
        assert client.read_frame() == closed(1000)


# Said at the start

HEAD = """
import flask
from gws import WebSocket
from tests.apps.base import app, start
"""
LATE = """
websocket = WebSocket(app, "/web_socket")
app.config["GWS_ALLOWED_ORIGINS"] = ["ok.example"]
"""
ADVICE = "allowed_origins: 'ok.example' is not an origin as browsers send it: write 'https://ok.example'"


def run(folder: Path, source: str, way: str) -> subprocess.CompletedProcess[str]:
    """Run a server that does not start."""
    (folder / "app.py").write_text(f"{HEAD}{source}\nif __name__ == '__main__':\n    start(app)\n")
    return subprocess.run(
        command(None, way, folder),
        check=False,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=DEADLINE,
        cwd=folder,
        env=os.environ | environment(),
    )


def test_a_configured_origin_that_lets_in_nobody_ends_the_start_with_one_line(
    tmp_path: Path, way: str
) -> None:
    done = run(tmp_path, LATE, way)
    assert done.returncode == (1 if way == "python" else 3), done.stdout
    (line,) = [line for line in done.stdout.splitlines() if "allowed_origins" in line]
    assert line.endswith(ADVICE)
    assert "Traceback" not in done.stdout


@pytest.mark.parametrize(
    "source",
    [
        "WebSocket(app, '/web_socket', allowed_origins=['ok.example'])",
        "app.config['GWS_ALLOWED_ORIGINS'] = ['ok.example']; WebSocket(app, '/web_socket')",
        "blueprint = flask.Blueprint('chat', 'chat'); WebSocket(blueprint, '/web_socket')\n"
        "app.config['GWS_ALLOWED_ORIGINS'] = ['ok.example']; app.register_blueprint(blueprint)",
    ],
)
def test_an_origin_that_lets_in_nobody_is_refused_where_it_is_written(tmp_path: Path, source: str) -> None:
    done = run(tmp_path, source, "python")
    assert done.returncode == 1
    assert done.stdout.splitlines()[-1] == f"ValueError: {ADVICE}"
