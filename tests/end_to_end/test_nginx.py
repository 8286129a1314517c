"""gws behind a real nginx, with the configuration, the application's line and the unit that docs/deploy.md gives."""

from __future__ import annotations

import contextlib
import itertools
import json
import re
import shlex
import signal
import socket
import sys
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import pytest

from ..conftest import StartServer
from ..servers import test_tls
from ..servers.test_tls import Tls
from ..support.client_frames import BINARY, MIB, PING, head
from ..support.conversation import talk_with_websockets
from ..support.harness import WAYS, Server, environment, unharmed
from ..support.nginx import Nginx, documented, replace
from ..support.program import DEADLINE, Program, wait_for
from ..support.raw_client import FIN, RawClient, said

[PROXY_FIX] = documented("python")
[UNIT] = documented("ini")
[LOG_LINE] = documented("text")

PROGRAM = f"""
from tests.apps.proxied import app, start
{PROXY_FIX}
if __name__ == "__main__":
    start(app)
"""

FORGED = {
    "X-Forwarded-For": "203.0.113.9",
    "X-Forwarded-Proto": "gopher",
    "X-Forwarded-Host": "evil.example",
}

StartNginx: TypeAlias = Callable[..., Nginx]

tls = test_tls.tls


class Site(NamedTuple):
    """A server, run in one of `WAYS`, and an nginx of each scheme in front of it."""

    way: str
    server: Server
    by_scheme: Mapping[str, Nginx]

    def refusal(self, status: int) -> int:
        """How a client that should get this status is refused: gevent-websocket's worker has sent the 101 by then."""
        return 1008 if self.way == "geventwebsocket" else status


@pytest.fixture(scope="module")
def start_nginx(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StartNginx]:
    """Start nginx processes that end with the module; the arguments are those of `Nginx` after its folder."""
    parent = tmp_path_factory.mktemp("nginx")
    started: list[Nginx] = []
    number = itertools.count()

    def start(*args: Any, **options: Any) -> Nginx:
        folder = parent / str(next(number))
        folder.mkdir()
        started.append(Nginx(folder, *args, **options))
        return started[-1]

    yield start
    for nginx in started:
        nginx.clean_up()


def start_sites(start_server: StartServer, start_nginx: StartNginx, tls: Tls) -> dict[str, Site]:
    """Start one for each of `WAYS`, all at once."""

    def start(way: str) -> Site:
        server = start_server(text=PROGRAM, way=way)
        return Site(way, server, {"http": start_nginx(server.port), "https": start_nginx(server.port, tls)})

    with ThreadPoolExecutor() as pool:
        return dict(zip(WAYS, pool.map(start, WAYS), strict=True))


@pytest.fixture(scope="module")
def sites(start_module_server: StartServer, start_nginx: StartNginx, tls: Tls) -> dict[str, Site]:
    """Those for all tests that stop none."""
    return start_sites(start_module_server, start_nginx, tls)


@pytest.fixture
def site(sites: dict[str, Site], way: str) -> Iterator[Site]:
    """One of them, whose log has no traceback afterwards."""
    yield sites[way]
    assert "Traceback" not in sites[way].server.log()


@pytest.fixture(params=["http", "https"])
def scheme(request: pytest.FixtureRequest) -> str:
    """Return what the client speaks to nginx."""
    return str(request.param)


def ask(nginx: Nginx, path: str = "/web_socket", **headers: str) -> RawClient:
    """Ask for a WebSocket; underscores stand for the headers' hyphens."""
    return RawClient(nginx.port, path, headers=headers, tls=nginx.tls)


def expect_welcome(client: RawClient) -> None:
    """Return the client has a WebSocket that works."""
    assert client.status == 101
    client.say("hello")
    assert client.read_frame() == said("hello")


def refusal_of(client: RawClient) -> Any:
    """Return the status, or the code of the Close behind a 101, that a client is refused with."""
    return client.read_close()[0] if client.status == 101 else client.status


# What passes through nginx


def test_whole_conversations_pass(site: Site, scheme: str) -> None:
    nginx = site.by_scheme[scheme]
    begin = len(site.server.log())
    with unharmed(site.server):
        talk_with_websockets(nginx.url(), nginx.tls)
    endings = ("closed 4000 bye", "closed 4001 as you wish", "closed 1009 message is over 1048576 bytes")
    wait_for(lambda: all(ending in site.server.log()[begin:] for ending in endings), "the close handlers")


def test_http_routes_are_served_beside_the_websockets(site: Site, scheme: str) -> None:
    nginx = site.by_scheme[scheme]
    assert nginx.get("/hello") == "hello"
    upload = urllib.request.Request(
        f"{nginx.origin()}/length", b"x" * 500_000, {"Content-Type": "application/octet-stream"}
    )
    with urllib.request.urlopen(upload, timeout=DEADLINE, context=nginx.tls) as response:
        assert response.read() == b"500000"


def test_who_is_still_sending_when_gws_closes_meets_no_reset(site: Site, scheme: str) -> None:
    with ask(site.by_scheme[scheme]) as client:
        client.send(head(BINARY, 64 * MIB))
        assert client.read_close() == (1009, "message is over 1048576 bytes")
        assert client.read_frame() == FIN
        for _ in range(100):
            client.send(b"x" * 1000)


def test_refusals_pass(site: Site, scheme: str) -> None:
    for path, status in (("/nowhere", 404), ("/members", 401)):
        with ask(site.by_scheme[scheme], path) as client:
            assert refusal_of(client) == site.refusal(status)


# Who the client is


def test_the_client_and_not_the_proxy_is_seen_whatever_it_says_of_itself(site: Site, scheme: str) -> None:
    nginx = site.by_scheme[scheme]
    seen = ["127.0.0.2", f"{nginx.origin()}/"]
    for headers in ({}, FORGED):
        with RawClient(
            nginx.port, "/seen/ws", headers=headers, tls=nginx.tls, source_address="127.0.0.2"
        ) as client:
            assert json.loads(client.read_text()) == seen


def test_who_gets_past_nginx_can_forge_an_address(site: Site) -> None:
    with RawClient(site.server, "/seen/ws", headers=FORGED) as client:
        assert json.loads(client.read_text())[0] == "203.0.113.9"


def test_pages_of_the_same_origin_may_connect_and_no_others(site: Site, scheme: str) -> None:
    nginx = site.by_scheme[scheme]
    for host in ("chat.example", nginx.address):
        with ask(nginx, Host=host, Origin=f"{scheme}://{host}") as client:
            expect_welcome(client)
        other_scheme = {"http": "https", "https": "http"}[scheme]
        for origin in (f"{other_scheme}://{host}", f"{scheme}://evil.example", f"{scheme}://{host}:1"):
            with ask(nginx, Host=host, Origin=origin) as client:
                assert refusal_of(client) == site.refusal(403)
        with ask(nginx, Host=host, Origin="gopher://evil.example", **FORGED) as client:
            assert refusal_of(client) == site.refusal(403)


# Deadlines


def test_pings_keep_an_idle_connection_from_nginxs_timeout(
    sites: dict[str, Site], start_nginx: StartNginx
) -> None:
    changes = {"proxy_read_timeout 60s": "proxy_read_timeout 1s"}
    proxies = [start_nginx(site.server.port, changes=changes) for site in sites.values()]
    with contextlib.ExitStack() as stack:
        silent = [stack.enter_context(ask(nginx, "/silent")) for nginx in proxies]
        lively = [stack.enter_context(ask(nginx, "/lively")) for nginx in proxies]
        for _ in range(15):
            assert [client.read_frame() for client in lively] == [(PING, b"")] * len(lively)
        assert all(client.has_ended() for client in silent)
        for client in lively:
            client.say("still here")
            assert said("still here") in (client.read_frame() for _ in range(100))


def test_a_request_head_that_is_late_is_cut_off_by_nginx_alone(start_nginx: StartNginx, tls: Tls) -> None:
    nobody = 1
    changes = {"client_header_timeout 10s": "client_header_timeout 500ms"}
    with contextlib.ExitStack() as stack:
        late = []
        for certificate in (None, tls):
            nginx = start_nginx(nobody, certificate, changes)
            late += [stack.enter_context(RawClient(nginx.port, None, tls=each)) for each in (None, nginx.tls)]
            late[-1].send(b"GET /web_socket HTTP/1.1\r\nHost: chat")
        for client in late:
            client.wait_for_end()


# Stops and reloads


def test_a_stop_of_gws_is_a_1001_and_then_a_502(
    start_server: StartServer, start_nginx: StartNginx, tls: Tls
) -> None:
    sites = start_sites(start_server, start_nginx, tls).values()
    proxies = [nginx for site in sites for nginx in site.by_scheme.values()]
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(ask(each)) for each in proxies * 5]
        for site in sites:
            stack.enter_context(site.server.stopping())
        for client in clients:
            assert client.read_close() == (1001, "going away")
            client.close(1001)
    for site in sites:
        assert site.server.log().count("closed 1001 going away") == 10
    for nginx in proxies:
        with ask(nginx) as late:
            assert late.status == 502


def test_a_reload_of_nginx_leaves_connections_as_they_are(site: Site, start_nginx: StartNginx) -> None:
    nginx = start_nginx(site.server.port)
    with ask(nginx) as old:
        nginx.tell(signal.SIGHUP)
        wait_for(lambda: nginx.workers_started() == 2, "nginx to reload")
        with ask(nginx) as new:
            expect_welcome(new)
        expect_welcome(old)


def test_a_stop_of_nginx_ends_connections_without_a_close(site: Site, start_nginx: StartNginx) -> None:
    nginx = start_nginx(site.server.port)
    begin = len(site.server.log())
    with unharmed(site.server), ask(nginx) as client:
        expect_welcome(client)
        nginx.tell()
        assert client.has_ended()
    wait_for(lambda: "closed 1006" in site.server.log()[begin:], "gws to notice")


class Unit(Program):
    """The unit's command, as systemd would run it: in the program's folder, and waiting to be told that it is ready."""

    def __init__(self, folder: Path) -> None:
        [command] = re.findall(r"^ExecStart=((?:.*\\\n)*.*)", UNIT, re.MULTILINE)
        own = {
            "/srv/chat/.venv/bin/gunicorn": f"{sys.executable} -m gunicorn",
            "127.0.0.1:8000": "127.0.0.1:0",
        }
        (folder / "app.py").write_text(PROGRAM)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notified:
            notified.bind(str(folder / "notify"))
            notified.settimeout(DEADLINE)
            command = replace(command, own | {"\\\n": " "})
            super().__init__(
                shlex.split(command),
                folder,
                environment=environment() | {"NOTIFY_SOCKET": str(folder / "notify")},
            )
            assert notified.recv(1000).startswith(b"READY=1\n")


def test_the_unit_starts_reloads_and_stops_gws(tmp_path: Path, start_nginx: StartNginx) -> None:
    unit = Unit(tmp_path)
    try:
        nginx = start_nginx(unit.port)
        with ask(nginx, "/web_socket?pid") as client:
            first = client.read_text()
            unit.tell(signal.SIGHUP)
            assert client.read_close() == (1001, "going away")
            with ask(nginx, "/web_socket?pid") as successor:
                assert successor.read_text() != first
        unit.tell()
        assert unit.wait() == 0
    finally:
        unit.clean_up()
    assert not re.search("Traceback|ERROR", unit.log())


# What is left out or exceeded


def test_without_proxy_fix_a_tls_page_is_refused_with_403_and_the_log_says_why(
    start_server: StartServer, start_nginx: StartNginx, tls: Tls
) -> None:
    server = start_server("proxied", "worker")
    with ask(start_nginx(server.port, tls), Host="chat.example", Origin="https://chat.example") as client:
        assert client.status == 403
    assert LOG_LINE in server.log()


@pytest.fixture(scope="module")
def own_server(start_module_server: StartServer) -> Server:
    """Return the worker of gws, with room for three."""
    return start_module_server(text=PROGRAM, way="worker", arguments=["--worker-connections", "3"])


@pytest.mark.parametrize(
    ("line", "instead", "status"),
    [
        ("proxy_http_version 1.1;", "proxy_http_version 1.0;", 505),
        ("proxy_set_header Upgrade $http_upgrade;", "", 426),
        ("proxy_set_header Connection $connection_upgrade;", "", 400),
        ("proxy_set_header X-Forwarded-Proto $scheme;", "", 403),
    ],
)
def test_a_configuration_without_one_of_its_lines_does_not_work(
    own_server: Server, start_nginx: StartNginx, tls: Tls, line: str, instead: str, status: int
) -> None:
    nginx = start_nginx(own_server.port, tls, {line: instead})
    with ask(nginx, Host="chat.example", Origin="https://chat.example") as client:
        assert client.status == status


def test_where_nginx_passes_a_host_of_its_own_x_forwarded_host_has_the_clients(
    own_server: Server, start_nginx: StartNginx, tls: Tls
) -> None:
    nginx = start_nginx(own_server.port, tls, {"proxy_set_header Host $http_host;": ""})
    with ask(nginx, Host="chat.example", Origin="https://chat.example") as client:
        expect_welcome(client)


def test_who_is_one_too_many_waits_for_a_place_and_no_longer_than_proxy_read_timeout(
    own_server: Server, start_nginx: StartNginx
) -> None:
    nginx = start_nginx(own_server.port)
    hasty = start_nginx(own_server.port, changes={"proxy_read_timeout 60s": "proxy_read_timeout 500ms"})
    with contextlib.ExitStack() as stack:
        first, *_ = [stack.enter_context(ask(nginx)) for _ in range(3)]
        with ask(hasty) as impatient:
            assert impatient.status == 504
        with RawClient(nginx.port, wait=False) as patient:
            first.drop()
            assert patient.read_head() == 101


def test_a_plain_request_is_sent_to_tls(own_server: Server, start_nginx: StartNginx, tls: Tls) -> None:
    nginx = start_nginx(own_server.port, tls)
    with RawClient(nginx.redirecting_port, "/rooms/1?x=2", headers={"Host": "chat.example"}) as client:
        assert (client.status, client.headers["location"]) == (301, "https://chat.example/rooms/1?x=2")
