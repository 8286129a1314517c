"""Passwords in URLs of every odd spelling, given to whatever prints: none of it shows any of them."""

from __future__ import annotations

import contextlib
import json
import os
import socketserver
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from urllib.parse import quote

import pytest
from click.testing import CliRunner

from gws.backplane.urls import censor, check, redact, redact_all
from gws.cli.main import main
from gws.cluster.publisher import Publisher
from gws.errors import BackplaneError

from .conftest import StartServer
from .support.harness import WAYS
from .support.program import DEADLINE
from .support.running_app import ROOT
from .support.valkey import Valkey, free_port

SECRET: Final = "s3cr3t'Ä\"0f-the-t3st"
TRACES: Final = ("s3cr", "3cr3", "cr3t", "0f-t", "f-th", "-the-", "e-t3", "-t3s", "t3st")
"""Parts of it, any of which in an output is too much."""

SPELLINGS: Final = [
    "redis://{s}@{h}",
    "redis://:{s}@{h}",
    "redis://user:{s}@{h}",
    "redis://{s}:x@{h}",
    "redis://{s}:{s}@{h}/0?db=1",
    "redis://{s}:@{h}",
    "redis://:p@{s}@{h}",
    "redis://:{s}@ss@{h}",
    "redis://us@er:{s}@{h}",
    "redis://{h}?password={s}",
    "redis://{h}?Password={s}",
    "redis://{h}?username={s}",
    "redis://{h}?username=a&password={s}",
    "redis://{h}?db=1&password={s}",
    "redis://{h}?password=a&{s}",
    "redis://{h}?password=a&{s}=b",
    "redis://{h}?password=a@{s}",
    "redis://{h}?password={s}@a",
    "redis://{h}?pass={s}",
    "redis://{h}?{s}",
    "redis://{h}?{s}={s}",
    "redis://{h}?ssl_password={s}",
    "redis://{h}?namespace=a%20b&password={s}",
    "redis://{h}/{s}",
    "redis://{h}/0/{s}",
    "redis://{h}#{s}",
    "redis://{h}?db=1#{s}",
    "redis://user:{s}%40{h}",
    "redis://{s}%40{h}",
    "redis://user:{s}%2540{h}",
    "redis://user%3A{s}@{h}",
    "redis://user:{s}",
    "redis://user:{s}@",
    "redis://:{s}/x@{h}",
    "redis://:x/{s}@{h}",
    "redis://:x?{s}@{h}",
    "redis://:1?{s}@{h}",
    "redis://:1?a={s}@{h}",
    "redis://:x#{s}@{h}",
    "redis://:1#{s}@{h}",
    "redis://:[{s}]@{h}",
    "redis://[{s}@{h}",
    "redis://[{s}]",
    "redis://:{s}@{h}:port",
    "redis://:{s}@{h}0000",
    "redis://:{s}@[::1",
    "redis://:{s}@{h}\n",
    " redis://:{s}@{h}",
    "redis://:{s}\N{CARE OF}@{h}",
    "redis:///:{s}@{h}",
    "redis:{s}@{h}",
    "redis:/:{s}@{h}",
    "redis//:{s}@{h}",
    "REDIS://:{s}@{h}",
    "valkey://{s}@{h}",
    "rediss://{s}@{h}",
    "rediss://:{s}@{h}?ssl_cert_reqs=none",
    "valkeys://{h}?password={s}",
    "unix://{s}@/nowhere/valkey.sock",
    "unix://:{s}@/nowhere/valkey.sock?db=1",
    "unix:///nowhere/valkey.sock?password={s}",
    "unix://:{s}%40/nowhere/valkey.sock",
    "unix://{s}/nowhere/valkey.sock@",
    "http://{s}@{h}",
    "http://user:{s}@{h}",
    "amqp://user:{s}@{h}/0?x",
    "memory://{s}@",
    "embedded://:{s}@x",
    "{s}",
    "{s}@{h}",
    "user:{s}@{h}",
    "{s}://{h}",
]


class Echo(socketserver.BaseRequestHandler):
    """Repeats what it is told, in each of the ways in which a server may."""

    def handle(self) -> None:
        """Serve one connection."""
        with contextlib.suppress(OSError):
            asked = self.request.recv(4096)
            flat = asked.replace(b"\r\n", b" ")
            ways = [
                b"-ERR unknown command, with args beginning with: " + flat + b"\r\n",
                asked,
                b"-" + repr(asked).encode() + b"\r\n",
                b"-WRONGPASS " + quote(flat).encode() + b"\r\n",
                b"+" + flat[5:] + b"\r\n",
                b"-ERR " + flat.upper() + b"\r\n",
                # It cuts off what is long.
                b"-ERR " + flat[: len(flat) // 2] + b"\r\n",
            ]
            assert isinstance(self.server, EchoServer)
            self.request.sendall(ways[self.server.next_number() % len(ways)])


class EchoServer(socketserver.ThreadingTCPServer):
    """Whoever sends it a password gets to hear that again."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Echo)
        self._number = 0

    def next_number(self) -> int:
        """Of a connection."""
        self._number += 1
        return self._number

    @property
    def host(self) -> str:
        """Where it listens."""
        return f"127.0.0.1:{self.server_address[1]}"


@pytest.fixture(scope="module")
def echo() -> Iterator[EchoServer]:
    with EchoServer() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield server
        server.shutdown()
        thread.join(DEADLINE)


@pytest.fixture(scope="module")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Valkey]:
    """One with a password that is not the one that it is told."""
    with Valkey(tmp_path_factory.mktemp("valkey"), "--requirepass", "another") as valkey:
        yield valkey


@pytest.fixture(scope="module")
def urls(echo: EchoServer, valkey: Valkey) -> list[str]:
    """Every spelling, raw and encoded, of a server that repeats it, of one that refuses it, and of one that is away."""
    quoted, hexadecimal = quote(SECRET, safe=""), "".join(f"%{byte:02x}" for byte in SECRET.encode())
    closed = f"127.0.0.1:{free_port()}"
    pairs = [
        (SECRET, echo.host),
        (quoted, echo.host),
        (hexadecimal, f"127.0.0.1:{valkey.port}"),
        (quoted, closed),
    ]
    return [url.replace("{s}", secret).replace("{h}", host) for url in SPELLINGS for secret, host in pairs]


@pytest.fixture(scope="module")
def fewer_urls(urls: list[str]) -> list[str]:
    """Every spelling once, of one of these servers after the other: where a URL takes long, and the rest has it all."""
    return [url for number, url in enumerate(urls) if number % 4 == number // 4 % 4]


def assert_unseen(output: str, url: str) -> None:
    """Check that nothing of the secret is in what was printed."""
    encoded = "".join(f"%{byte:02x}" for byte in b"s3cr")
    for trace in (*TRACES, encoded):
        assert trace not in output.lower(), (trace, url, output)


def is_more_than_a_word(url: str) -> bool:
    """Whether it can be seen that it might be a URL, wherever it stands."""
    return "://" in url or "@" in url


def test_the_search_finds_a_secret() -> None:
    for text in (SECRET, SECRET.upper(), quote(SECRET), repr(SECRET.encode()), SECRET[:10], SECRET[-6:]):
        with pytest.raises(AssertionError):
            assert_unseen(f"it was {text}!", "")


def test_what_is_shown_of_a_url_is_not_its_secret(urls: list[str]) -> None:
    for url in urls:
        assert_unseen(redact(url), url)
        if is_more_than_a_word(url):
            assert_unseen(redact_all(f"Got unexpected extra arguments ('{url}' {url})"), url)
        with contextlib.suppress(BackplaneError):
            assert_unseen(redact(check(url)), url)


def test_no_error_and_no_repr_of_a_publisher_shows_a_secret(urls: list[str]) -> None:
    failures = 0
    for url in urls:
        try:
            with Publisher(url) as publisher:
                assert_unseen(f"{publisher!r} {publisher} {vars(publisher)}", url)
                publisher.broadcast("/chat", "hello")
        except BackplaneError as error:
            failures += 1
            assert_unseen(f"{error} {error!r} {error.__cause__}", url)
    assert failures == len(urls), "somebody was let in"


def test_the_command_line_shows_no_secret(fewer_urls: list[str]) -> None:
    runner = CliRunner()
    for url in fewer_urls:
        in_its_place: list[tuple[list[str], dict[str, str]]] = [
            (["publish", "--url", url, "--endpoint", "/chat", "hello"], {}),
            (["close", "--endpoint", "/chat", "x"], {"GWS_BACKPLANE_URL": url}),
        ]
        in_the_wrong_place: list[tuple[list[str], dict[str, str]]] = [
            (["publish", "--url", "memory://", "--endpoint", "/chat", "hello", url], {}),
            (["close", "--url", "memory://", "--endpoint", "/chat", "--code", url, "x"], {}),
            ([url, "hello"], {}),
        ]
        for arguments, environment in in_its_place + in_the_wrong_place * is_more_than_a_word(url):
            done = runner.invoke(main, arguments, env=environment)
            assert done.exit_code in (0, 1, 2), (arguments, done.exception)
            assert_unseen(done.output, url)


NODE: Final = """
from gevent import monkey; monkey.patch_all()
import json, logging, sys, traceback
logging.basicConfig(level=logging.DEBUG)
from flask import Flask
from gws import WebSocket
from gws.backplane.engines import make_backplane
from gws.backplane.urls import check

for line in sys.stdin:
    url = json.loads(line)
    print("begin")
    try:
        WebSocket(Flask("x"), "/chat", backplane=url)
        backplane = make_backplane(check(url))
        print(repr(backplane))
        backplane.start(print)
        try:
            backplane.wait_for_answer()
        finally:
            backplane.close(0)
    except Exception:
        print(traceback.format_exc())
    print("end ", flush=True)
"""


def test_a_node_logs_no_secret(fewer_urls: list[str], tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", NODE],
        check=False,
        input="".join(f"{json.dumps(url)}\n" for url in fewer_urls),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=20 * DEADLINE,
        cwd=ROOT,
        env=os.environ | {"TMPDIR": str(tmp_path)},
    )
    assert done.returncode == 0, done.stdout[-3000:]
    assert done.stdout.count("end ") == len(fewer_urls)
    # What it may say, it does.
    assert "unreachable (" in done.stdout
    assert "invalid username-password pair" in done.stdout
    for part in done.stdout.split("begin"):
        assert_unseen(part, "")


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("spelling", ["redis://{s}@{h}", "unix://{s}@/nowhere/valkey.sock"])
def test_a_server_logs_no_secret(start_server: StartServer, way: str, spelling: str) -> None:
    url = spelling.replace("{s}", quote(SECRET)).replace("{h}", f"127.0.0.1:{free_port()}")
    server = start_server("ops", way, values={"backplane": url})
    server.wait_for_log("unreachable")
    assert_unseen(server.log(), url)


@pytest.mark.parametrize(
    ("text", "secrets", "shown"),
    [
        ("User gws has no permissions", ["gws"], "User *** has no permissions"),
        ("it is s3cret, S3CRET and s3cr", ["s3cret"], "it is ***, *** and ***"),
        ("b'p\\xc3\\xa4ss'", ["päss"], "b'***'"),
        ("p%C3%A4ss", ["päss"], "***"),
        ("a.*b", [".*"], "a***b"),
        ("nothing of it", ["s3cret"], "nothing of it"),
        ("anything", [], "anything"),
        ("", ["s3cret"], ""),
    ],
)
def test_what_a_server_repeats_is_not_shown(text: str, secrets: list[str], shown: str) -> None:
    assert censor(text, secrets) == shown
