"""Heads that are too long, too dear to read, or written for whoever reads the log."""

from __future__ import annotations

import base64
import importlib
import pkgutil
import re
import time

import pytest

import gws

from ..conftest import StartServer
from ..support.client_frames import request
from ..support.harness import WAYS, Server, unharmed
from ..support.program import wait_for
from ..support.raw_client import FIN, RawClient
from ..support.witness import Witness

SEEDS = (*" \t\0aA0;:,.=<>[]@/\"'-%&?\x80", "a ", " a", "a,", "0;", "a=", ":0", "<a", "::", "//", "a.")
"""What a stranger might repeat."""


@pytest.fixture(scope="module", params=WAYS)
def server(request: pytest.FixtureRequest, start_module_server: StartServer) -> Server:
    return start_module_server("heads", request.param)


@pytest.fixture(params=WAYS)
def logging_server(request: pytest.FixtureRequest, start_server: StartServer) -> Server:
    """One that logs its requests too."""
    form = '%(h)s "%(r)s" %(u)s %(f)s %({user-agent}i)s %({http_cookie}e)s'
    log = ["--access-logfile", "-", "--access-logformat", form]
    return start_server("heads", request.param, [] if request.param == "python" else log)


# Expressions


def expressions() -> dict[str, re.Pattern[str] | re.Pattern[bytes]]:
    """Every expression of gws, but those that read what an operator writes."""
    found = {}
    for module in pkgutil.walk_packages(gws.__path__, "gws."):
        if module.name.startswith(("gws.backplane", "gws.worker", "gws.__main__")):
            continue
        for name, value in vars(importlib.import_module(module.name)).items():
            if isinstance(value, re.Pattern):
                found[f"{module.name}.{name}"] = value
    return found


EXPRESSIONS = expressions()


def seconds_to_match(pattern: re.Pattern[str] | re.Pattern[bytes], head: str, seed: str, size: int) -> float:
    text = head + seed * size + "\0"
    subject: str | bytes = text.encode("latin-1") if isinstance(pattern.pattern, bytes) else text
    best = float("inf")
    for _ in range(3):
        began = time.perf_counter()
        pattern.fullmatch(subject)  # type: ignore[arg-type] # of the pattern's own kind
        best = min(best, time.perf_counter() - began)
    return best


@pytest.mark.parametrize("name", EXPRESSIONS)
@pytest.mark.parametrize("head", ["", "X:", "GET /", "0;", "0", "<"])
def test_ten_times_the_input_takes_no_hundred_times_as_long(name: str, head: str) -> None:
    pattern = EXPRESSIONS[name]
    for seed in SEEDS:
        short = seconds_to_match(pattern, head, seed, 3_000)
        long = seconds_to_match(pattern, head, seed, 30_000)
        # Quadratic ones take a hundred times as long, and a second for the long one.
        assert long < 40 * max(short, 0.001), f"{seed!r}: {short:.6f} s, then {long:.6f} s"


def test_the_expressions_that_read_heads_and_bodies_are_among_them() -> None:
    assert {
        "gws.servers.http_head._HEADER",
        "gws.servers.http_head._REQUEST_LINE",
        "gws.servers.http_body._CHUNK_LINE",
    } <= set(EXPRESSIONS)


# What is dear to read

DEAR = {
    "blanks before a NUL": b"GET / HTTP/1.1\r\nX:" + b" " * 30_000 + b"\0\r\n\r\n",
    "blanks behind a value": b"GET / HTTP/1.1\r\nX: a" + b" " * 30_000 + b"\0\r\n\r\n",
    "options of Connection": request(Connection="a," * 15_000 + "Upgrade"),
    "subprotocols": request("/speaking", Sec_WebSocket_Protocol="a," * 15_000 + "chat"),
    "extensions": request("/speaking", Sec_WebSocket_Extensions="a," * 15_000 + "b"),
    "parameters of an extension": request(
        "/speaking", Sec_WebSocket_Extensions="permessage-deflate" + ";a" * 15_000
    ),
    "a quoted parameter": request(
        "/speaking", Sec_WebSocket_Extensions='permessage-deflate;a="' + "\\a" * 15_000 + '"'
    ),
    "origins": request(Origin="http://" + "a." * 15_000),
    "cookies": request("/cookies", Cookie="a=b; " * 6_000),
    "keys of the query": request("/web_socket?" + "a&" * 4_000),
}


@pytest.mark.parametrize("name", DEAR)
def test_a_head_that_is_dear_to_read_keeps_nobody_out(server: Server, name: str) -> None:
    with unharmed(server), Witness(server) as witness:
        end = time.monotonic() + 0.5
        while time.monotonic() < end:
            with RawClient(server, None) as client:
                client.send(DEAR[name])
                assert client.read_head() is not None
    witness.assert_is_served()


# What is too long

LONG = {
    "one header of 33 KB": request(X_Long="x" * 33_000),
    "many headers of 33 KB in all": request(**{f"X_{number}": "x" * 1000 for number in range(33)}),
    "cookies of 40 KB": request(Cookie="a=" + "b" * 40_000),
}


@pytest.mark.parametrize("name", LONG)
def test_a_head_over_the_bound_is_a_431(server: Server, name: str) -> None:
    with unharmed(server), RawClient(server, None) as client:
        client.send(LONG[name])
        if server.way == "geventwebsocket":
            # It has sent the 101 before the application is asked.
            assert client.read_head() == 101
            assert client.read_close() == (1008, "431 REQUEST HEADER FIELDS TOO LARGE")
        else:
            assert client.read_head() == 431
            assert client.read_frame() == FIN


def test_a_plain_request_over_the_bound_is_a_431_too(server: Server) -> None:
    with unharmed(server), RawClient(server, None) as client:
        client.send(b"GET /agent HTTP/1.1\r\nHost: a\r\nUser-Agent: " + b"x" * 33_000 + b"\r\n\r\n")
        assert client.read_head() == 431
        assert client.read_frame() == FIN


def test_a_head_of_31_kb_is_read(server: Server) -> None:
    with unharmed(server), RawClient(server, headers={"X-Long": "x" * 31_000}) as client:
        assert client.status == 101


def test_the_bound_is_a_setting(start_server: StartServer) -> None:
    server = start_server("heads", config={"GWS_MAX_HEAD_SIZE": 1000})
    with RawClient(server) as client:
        assert client.status == 101
    with RawClient(server, headers={"X-Long": "x" * 1000}) as client:
        assert client.status == 431


@pytest.mark.parametrize("way", ["python", "worker"])
def test_a_bound_below_that_of_a_line_bounds_the_line_too(start_server: StartServer, way: str) -> None:
    server = start_server("heads", way, config={"GWS_MAX_HEAD_SIZE": 4096})
    line = b"GET /" + b"a" * 7000 + b" HTTP/1.1\r\n"
    with unharmed(server), RawClient(server, None) as client:
        # The headers go on and on: nobody waits for their end.
        client.send(line + b"X: " + b"y" * 10_000)
        assert client.read_head() == 414
        assert client.read_frame() == FIN
    line = b"GET /" + b"a" * (4096 - 16) + b" HTTP/1.1\r\n"
    assert len(line) == 4096
    with unharmed(server), RawClient(server, None) as client:
        client.send(line + b"X: " + b"y" * 10_000)
        assert client.read_head() == 431
        assert client.read_frame() == FIN


def test_an_idle_websocket_keeps_no_more_than_its_head(server: Server) -> None:
    with unharmed(server):
        before = server.reset_peak_memory()
        clients = [RawClient(server, headers={"X-Long": "x" * 30_000}) for _ in range(100)]
        assert server.peak_memory() - before < 100 * 100_000
        for client in clients:
            client.drop()


@pytest.mark.parametrize("value", ["http://" + "a" * 20_000, "http://" + "\x80" * 20_000])
def test_what_a_stranger_sends_is_shortened_in_answers_and_logs(server: Server, value: str) -> None:
    before = len(server.log())
    with unharmed(server), RawClient(server, None) as client:
        client.send(request(Origin=value).replace(value.encode(), value.encode("latin-1")))
        client.read_head()
        assert len(client.body) < 2000
        wait_for(
            lambda: "GWS_ALLOWED_ORIGINS does not list it" in server.log()[before:], "the reason in the log"
        )
    assert max(map(len, server.log()[before:].splitlines())) < 2000


# What is written for whoever reads the log

HOST = b"127.0.0.1\r\n forged: a line of its own"
USER = base64.b64encode("a\nforged: by a user\x9b:secret".encode())
FORGERIES = {
    "ESC in the path": b"GET /\x1b]0;forged\x07 HTTP/1.1\r\nHost: a\r\n\r\n",
    "C1 in the path": b"GET /\x9b2Jforged HTTP/1.1\r\nHost: a\r\n\r\n",
    "CR in the path": b"GET /a\rforged: HTTP/1.1\r\nHost: a\r\n\r\n",
    "percent-encoded lines in the path": b"GET /a%0Aforged:%1b%9b HTTP/1.1\r\nHost: a\r\n\r\n",
    "C1 in User-Agent": b"GET /agent HTTP/1.1\r\nHost: a\r\nUser-Agent: \x9b2J\x85forged: a line\r\n\r\n",
    "C1 in Referer": b"GET /agent HTTP/1.1\r\nHost: a\r\nReferer: \x9b2J\x85forged: a line\r\n\r\n",
    "C1 in Cookie": b"GET /agent HTTP/1.1\r\nHost: a\r\nCookie: \x9b2J\x85forged: a line\r\n\r\n",
    "a user's name": b"GET /agent HTTP/1.1\r\nHost: a\r\nAuthorization: Basic " + USER + b"\r\n\r\n",
    "a folded Host": request(Origin="http://evil.example").replace(b"127.0.0.1", HOST),
    "C1 in Origin": request(Origin="http://a\\x9b\\x85forged").replace(b"\\x9b\\x85", b"\x9b\x85"),
    "ESC in Origin": request(Origin="http://a\x1b[2Jforged"),
    "a folded version": request(Sec_WebSocket_Version="12\r\n forged: a line"),
    "ESC in the version": request(Sec_WebSocket_Version="12\x1b[2Jforged"),
    "garbage": b"\x1b[2J\x9b\x85forged\r\n\r\n",
}


def test_nobody_forges_a_line_of_the_log(logging_server: Server) -> None:
    server = logging_server
    for head in FORGERIES.values():
        with unharmed(server), RawClient(server, None) as client:
            client.send(head)
            client.half_close()
            client.wait_for_end()
    log = server.log()
    assert [char for char in log if not (char.isprintable() or char == "\n")] == []
    assert not re.search(r"^\s*forged", log, re.MULTILINE)
    # In each way some of them are worth a line.
    assert "forged" in log
    # gevent-websocket fails to send its own refusal of a version.
    assert server.way == "geventwebsocket" or "Traceback" not in log


@pytest.mark.parametrize("way", ["python", "worker"])
def test_a_request_that_is_none_is_logged_as_what_it_is(start_server: StartServer, way: str) -> None:
    server = start_server("heads", way, [] if way == "python" else ["--access-logfile", "-"])
    with unharmed(server), RawClient(server, None) as client:
        client.send(b"GET /agent HTTP/1.1\r\nHost: a\r\n\r\nno request\r\n\r\n")
        assert client.read_head() == 200
        assert client.read_head() == 400
        assert client.read_frame() == FIN
    lines = [line for line in server.log().splitlines() if "/agent" in line or "no request" in line]
    assert len([line for line in lines if "/agent" in line and " 200 " in line]) == 1
    assert len([line for line in lines if "no request" in line and " 400 " in line]) == 1
    assert "Traceback" not in server.log()
