"""A whole conversation with each client that is met in the wild: what it may say, 16 MiB of it, and how it may end.

Each says text, bytes, nothing of either and 16 MiB of either, in one message and in fragments, compressed; pings and is
pinged, closes and is closed. What one cannot do is said at its test. Those in JavaScript are in `clients`.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import websocket as websocket_client
from playwright.sync_api import sync_playwright
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from ..conftest import StartServer
from ..support.client_frames import BINARY, CLOSE, CONTINUATION, MIB, PING, PONG, TEXT
from ..support.harness import Server, unharmed
from ..support.program import DEADLINE
from .test_page import ARGUMENTS, CHROMIUM

LARGE = 16 * MIB
"""Bytes of the largest message, which is as large as the server lets it be."""

ENDS = [(4000, "bye ✓"), (4001, "as you wish")]
"""How each client's two connections to "/web_socket" end, for the client and the server: one is ended by either."""

PROGRAMS = Path(__file__).parent / "clients"
BUILD = Path(__file__).parents[2] / "build" / "clients"


@pytest.fixture(scope="module", params=["worker"])
def shared_server(start_module_server: StartServer, request: pytest.FixtureRequest) -> Server:
    return start_module_server("clients", request.param, values={"largest": LARGE})


@pytest.fixture
def server(shared_server: Server) -> Iterator[Server]:
    """Return the server; afterwards nothing is left of the connections, and the log has no traceback."""
    begin = len(shared_server.log())
    with unharmed(shared_server):
        yield shared_server
    assert "Traceback" not in shared_server.log()[begin:]


def messages() -> list[str | bytes]:
    """Return what every client says; random bytes become no shorter by compression."""
    large_text = "x" + "✓" * (LARGE // 3)
    return ["text: grüße ✓ 🦇", "", b"\x00\xff", b"", large_text, secrets.token_bytes(LARGE)]


def fragmented_messages() -> list[str | bytes]:
    """Return what those who can say in fragments: bytes are cut in the middle of a character."""
    return ["in several ✓ pieces", secrets.token_bytes(MIB)]


def cut(message: str | bytes) -> list[str | bytes]:
    """Make three pieces of a message, of which one is empty."""
    return [message[:12], message[12:12], message[12:]]


def expect_echo(echo: object, message: str | bytes) -> None:
    """Compare; the difference of 16 MiB would take pytest minutes to explain."""
    if echo != message:
        pytest.fail(f"sent {message[:20]!r}… ({len(message)}), received {str(echo)[:20]}… ({len(str(echo))})")


@pytest.mark.parametrize("shared_server", ["python", "worker"], indirect=True)
def test_websockets(server: Server, key: str) -> None:
    def dial(path: str) -> Any:
        url = server.url(f"{path}?notes={key}")
        return connect(url, max_size=None, open_timeout=DEADLINE, close_timeout=DEADLINE)

    with dial("/web_socket") as client:
        assert [extension.name for extension in client.protocol.extensions] == ["permessage-deflate"]
        for message in messages():
            client.send(message)
            expect_echo(client.recv(timeout=DEADLINE), message)
        for message in fragmented_messages():
            client.send(cut(message))
            expect_echo(client.recv(timeout=DEADLINE), message)
        assert client.ping(b"hello").wait(DEADLINE)
        client.close(*ENDS[0])
        assert (client.close_code, client.close_reason) == ENDS[0]
    with dial("/web_socket") as client:
        client.send("close me")
        with pytest.raises(ConnectionClosed):
            client.recv(timeout=DEADLINE)
        assert (client.close_code, client.close_reason) == ENDS[1]
    with dial("/pinged") as client:
        client.send("outlive your pings")
        assert client.recv(timeout=DEADLINE) == "alive"
    assert server.notes(key, 2) == ENDS


def test_websocket_client(server: Server, key: str) -> None:
    """It knows no extensions, so nothing is compressed."""

    @contextlib.contextmanager
    def dial(path: str) -> Iterator[Any]:
        # Its own check of UTF-8, in Python, takes seconds.
        client: Any = websocket_client.create_connection(
            server.url(f"{path}?notes={key}"), timeout=DEADLINE, skip_utf8_validation=True
        )
        try:
            yield client
        finally:
            client.shutdown()

    with dial("/web_socket") as client:
        assert "sec-websocket-extensions" not in client.getheaders()
        for message in messages():
            client.send(message, TEXT if isinstance(message, str) else BINARY)
            expect_echo(client.recv(), message)
        for message in fragmented_messages():
            first = TEXT if isinstance(message, str) else BINARY
            pieces = cut(message.encode() if isinstance(message, str) else message)
            for piece, opcode, fin in zip(
                pieces, (first, CONTINUATION, CONTINUATION), (0, 0, 1), strict=True
            ):
                client.send_frame(websocket_client.ABNF.create_frame(piece, opcode, fin))
            expect_echo(client.recv(), message)
        client.ping("hello")
        assert client.recv_data(control_frame=True) == (PONG, b"hello")
        client.send_close(ENDS[0][0], ENDS[0][1].encode())
        assert client.recv_data(control_frame=True) == (CLOSE, close_payload(*ENDS[0]))
    with dial("/web_socket") as client:
        client.send("close me")
        assert client.recv_data(control_frame=True) == (CLOSE, close_payload(*ENDS[1]))
    with dial("/pinged") as client:
        client.send("outlive your pings")
        received = [client.recv_data(control_frame=True)]
        while received[-1][0] == PING:
            received.append(client.recv_data(control_frame=True))
        assert received[-1] == (TEXT, b"alive")
        assert len(received) > 2
    assert server.notes(key, 2) == ENDS


def close_payload(code: int, reason: str) -> bytes:
    """RFC 6455 §5.5.1."""
    return code.to_bytes(2, "big") + reason.encode()


def test_aiohttp(server: Server, key: str) -> None:
    """Every message of its client is one frame, and the server's are: none is fragmented."""

    async def converse(session: aiohttp.ClientSession) -> None:
        def dial(path: str, **options: Any) -> Any:
            timeout = aiohttp.ClientWSTimeout(ws_receive=DEADLINE, ws_close=DEADLINE)
            return session.ws_connect(
                server.url(f"{path}?notes={key}"), timeout=timeout, compress=15, max_msg_size=0, **options
            )

        async with dial("/web_socket", autoping=False) as client:
            assert client.compress == 12
            for message in messages():
                if isinstance(message, str):
                    await client.send_str(message)
                    expect_echo(await client.receive_str(), message)
                else:
                    await client.send_bytes(message)
                    expect_echo(await client.receive_bytes(), message)
            await client.ping(b"hello")
            pong = await client.receive()
            assert (pong.type, pong.data) == (aiohttp.WSMsgType.PONG, b"hello")
            await client.close(code=ENDS[0][0], message=ENDS[0][1].encode())
            assert client.close_code == ENDS[0][0]
        async with dial("/web_socket") as client:
            await client.send_str("close me")
            close = await client.receive()
            assert (close.type, close.data, close.extra) == (aiohttp.WSMsgType.CLOSE, *ENDS[1])
        async with dial("/pinged") as client:
            await client.send_str("outlive your pings")
            assert await client.receive_str() == "alive"

    async def dial_and_converse() -> None:
        async with aiohttp.ClientSession() as session:
            await asyncio.wait_for(converse(session), 2 * DEADLINE)

    asyncio.run(dial_and_converse())
    assert server.notes(key, 2) == ENDS


# Those in JavaScript


@pytest.fixture(scope="module")
def node_program() -> Path:
    """Return the one for Node, beside the `ws` of the lock file: npm installs it where git does not look."""
    shutil.copytree(PROGRAMS, BUILD, dirs_exist_ok=True)
    run_program("npm", "ci", "--prefer-offline", "--no-audit", "--no-fund")
    return BUILD / "ws_client.mjs"


def run_program(*command: str) -> None:
    """Run it to its end, which is a good one."""
    done = subprocess.run(
        command, check=False, cwd=BUILD, capture_output=True, text=True, timeout=4 * DEADLINE
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_ws_of_node(server: Server, key: str, node_program: Path) -> None:
    """What the server notes is what the program has been through; all else it checks itself."""
    run_program("node", str(node_program), server.url(""), f"notes={key}")
    assert server.notes(key, 2) == ENDS


def test_chromium(server: Server, key: str) -> None:
    """JavaScript can neither ping nor fragment; Chromium cuts 16 MiB into a hundred frames, and answers pings."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        page = browser.new_page()
        page.goto(f"http://{server.address}/page")
        program = (PROGRAMS / "browser_client.js").read_text()
        extensions, *ends, answer = page.evaluate(program, [server.url(""), f"notes={key}"])
        browser.close()
    assert extensions.startswith("permessage-deflate")
    assert ends == [[code, reason, True] for code, reason in ENDS]
    assert answer == "alive"
    assert server.notes(key, 2) == ENDS
