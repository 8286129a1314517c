"""A whole conversation with each client library, with `tests.apps.conversation`."""

from __future__ import annotations

import asyncio
import ssl
from typing import Any

import pytest
import websocket as websocket_client
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from .client_frames import CLOSE, MIB, PONG
from .harness import Server, unharmed
from .program import DEADLINE, wait_for

# The conversation


def talk_with_websockets(url: str, tls: ssl.SSLContext | None = None) -> None:
    """Everything that a client may say, and both ways to close, with `websockets`.

    Not with its client of two threads: one that reads while the other writes is more than CPython's TLS sockets take,
    and one handshake of some thousand loses its request.
    """
    asyncio.run(asyncio.wait_for(_talk(url, tls), 2 * DEADLINE))


async def _talk(url: str, tls: ssl.SSLContext | None) -> None:
    def dial() -> Any:
        return connect(url, ssl=tls, max_size=None, open_timeout=DEADLINE, close_timeout=DEADLINE)

    async with dial() as client:
        for message in ("text: grüße ✓", "", b"\x00\xff", b"", "x" * 125, "x" * 126, "x" * 65536, b"x" * MIB):
            await client.send(message)
            assert await client.recv() == message
        await client.send(["in ", "several ", "pieces"])
        assert await client.recv() == "in several pieces"
        await (await client.ping(b"hello"))
        await client.close(4000, "bye")
        assert (client.close_code, client.close_reason) == (4000, "bye")
    async with dial() as client:
        await client.send("close me")
        assert await client.recv() == "closing"
        with pytest.raises(ConnectionClosed):
            await client.recv()
        assert (client.close_code, client.close_reason) == (4001, "as you wish")
    async with dial() as client:
        await client.send(b"x" * (MIB + 1))
        with pytest.raises(ConnectionClosed):
            await client.recv()
        assert client.close_code == 1009


def talk_with_websocket_client(url: str, tls: ssl.SSLContext | None = None) -> None:
    """Return the same with `websocket-client`."""

    def dial() -> Any:
        options = {"context": tls} if tls else None
        return websocket_client.create_connection(url, timeout=DEADLINE, sslopt=options)

    client = dial()
    for message in ("text: grüße ✓", "", "x" * 125, "x" * 126, "x" * 65536, "x" * MIB):
        client.send(message)
        assert client.recv() == message
    for payload in (b"\x00\xff", b"", b"x" * MIB):
        client.send_binary(payload)
        assert client.recv() == payload
    client.ping("hello")
    assert client.recv_data(control_frame=True) == (PONG, b"hello")
    client.send_close(4000, b"bye")
    assert client.recv_data(control_frame=True) == (CLOSE, (4000).to_bytes(2, "big") + b"bye")
    client.shutdown()
    client = dial()
    client.send("close me")
    assert client.recv() == "closing"
    assert client.recv_data(control_frame=True) == (CLOSE, (4001).to_bytes(2, "big") + b"as you wish")
    client.shutdown()


LIBRARIES = {"websockets": talk_with_websockets, "websocket-client": talk_with_websocket_client}


def have_conversations(server: Server) -> None:
    """Have one with each library; it ends as agreed, and nothing is left of it."""
    begin = len(server.log())
    with unharmed(server):
        for talk in LIBRARIES.values():
            talk(server.url(), server.tls)
        wait_for(lambda: server.log()[begin:].count("closed 4001 as you wish") == 2, "the close handlers")
    assert server.log()[begin:].count("closed 4000 bye") == 2
    assert "Traceback" not in server.log()
