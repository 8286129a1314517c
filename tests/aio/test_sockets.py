"""Sockets, streams, TLS and two HTTP clients on the hub."""

from __future__ import annotations

import asyncio
import socket
import ssl
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import gevent
import gevent.monkey
import httpx
import pytest
import trustme

from gws.aio import run


def test_getaddrinfo_and_getnameinfo_resolve() -> None:
    async def resolve() -> tuple[Any, Any]:
        loop = asyncio.get_running_loop()
        addresses = await loop.getaddrinfo("localhost", 80, type=socket.SOCK_STREAM)
        return addresses, await loop.getnameinfo(
            ("127.0.0.1", 80), socket.NI_NUMERICHOST | socket.NI_NUMERICSERV
        )

    addresses, name = run(resolve())
    assert {address[4][0] for address in addresses} & {"127.0.0.1", "::1"}
    assert name == ("127.0.0.1", "80")


def test_add_reader_and_add_writer_take_a_socket_or_a_descriptor() -> None:
    async def watch(by_descriptor: bool) -> bytes:
        loop = asyncio.get_running_loop()
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        watched: Any = ours.fileno() if by_descriptor else ours
        with ours, theirs:
            writable, readable = asyncio.Event(), asyncio.Event()
            loop.add_writer(watched, writable.set)
            loop.add_reader(watched, readable.set)
            await writable.wait()
            assert loop.remove_writer(watched)
            theirs.send(b"x")
            await readable.wait()
            assert loop.remove_reader(watched)
            assert not loop.remove_reader(watched)
            return ours.recv(1)

    assert [run(watch(True)), run(watch(False))] == [b"x", b"x"]


def test_sock_calls_send_more_than_the_kernel_takes() -> None:
    async def send() -> int:
        loop = asyncio.get_running_loop()
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        theirs.setblocking(False)
        with ours, theirs:
            sending = asyncio.ensure_future(loop.sock_sendall(ours, bytes(4_000_000)))
            received = 0
            while received < 4_000_000:
                received += len(await loop.sock_recv(theirs, 100_000))
            await sending
            return received

    assert run(send()) == 4_000_000


async def echo_upper(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while line := await reader.readline():
        writer.write(line.upper())
        await writer.drain()
    writer.close()
    await writer.wait_closed()


async def ask_in_upper(line: bytes, **options: Any) -> bytes:
    reader, writer = await asyncio.open_connection(**options)
    writer.write(line + b"\n")
    answer = await reader.readline()
    writer.close()
    await writer.wait_closed()
    return answer.rstrip()


def test_streams_and_a_server_that_lives_across_runs() -> None:
    async def begin() -> tuple[asyncio.base_events.Server, int]:
        server = await asyncio.start_server(echo_upper, "127.0.0.1")
        return server, server.sockets[0].getsockname()[1]

    async def end() -> None:
        server.close()
        await server.wait_closed()

    server, port = run(begin())
    lines = [b"x" * size for size in (1, 1000, 60_000)]
    asking = [gevent.spawn(run, ask_in_upper(line, host="localhost", port=port)) for line in lines]
    assert [greenlet.get() for greenlet in asking] == [line.upper() for line in lines]
    run(end())


def test_streams_over_a_unix_socket(tmp_path: Path) -> None:
    path = str(tmp_path / "socket")

    async def ask() -> bytes:
        async with await asyncio.start_unix_server(echo_upper, path):
            reader, writer = await asyncio.open_unix_connection(path)
            writer.write(b"unix\n")
            answer = await reader.readline()
            writer.close()
            await writer.wait_closed()
            return answer

    assert run(ask()) == b"UNIX\n"


def test_datagrams() -> None:
    class Collect(asyncio.DatagramProtocol):
        def __init__(self) -> None:
            self.received: asyncio.Queue[bytes] = asyncio.Queue()

        def datagram_received(self, data: bytes, addr: object) -> None:
            self.received.put_nowait(data)

    async def send() -> bytes:
        loop = asyncio.get_running_loop()
        receiver, collect = await loop.create_datagram_endpoint(Collect, ("127.0.0.1", 0))
        sender, _ = await loop.create_datagram_endpoint(
            asyncio.DatagramProtocol, remote_addr=receiver.get_extra_info("sockname")
        )
        sender.sendto(b"datagram")
        data = await collect.received.get()
        sender.close()
        receiver.close()
        return data

    assert run(send()) == b"datagram"


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


def test_tls_streams(authority: trustme.CA) -> None:
    for_server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(for_server)
    for_client = ssl.create_default_context()
    authority.configure_trust(for_client)

    async def ask() -> bytes:
        server = await asyncio.start_server(echo_upper, "127.0.0.1", ssl=for_server)
        port = server.sockets[0].getsockname()[1]
        try:
            return await ask_in_upper(b"y" * 50_000, host="localhost", port=port, ssl=for_client)
        finally:
            server.close()
            await server.wait_closed()

    assert run(ask()) == b"Y" * 50_000


AIOHTTP_SERVER = """
    import asyncio, itertools
    from aiohttp import web

    async def answer(request):
        # The client's port tells its connections apart.
        return web.json_response({"port": request.transport.get_extra_info("peername")[1], **request.query})

    async def main():
        app = web.Application()
        app.router.add_get("/", answer)
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        print(runner.addresses[0][1], flush=True)
        await asyncio.Event().wait()

    asyncio.run(main())
"""


@pytest.fixture(scope="module")
def server_url() -> Iterator[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(AIOHTTP_SERVER)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    yield f"http://localhost:{process.stdout.readline().strip()}/"
    process.kill()
    process.wait()
    process.stdout.close()


def test_an_aiohttp_session_keeps_its_connection_across_runs(server_url: str) -> None:
    async def begin() -> aiohttp.ClientSession:
        return aiohttp.ClientSession()

    async def ask(number: int) -> Any:
        async with session.get(
            server_url, params={"n": number}, timeout=aiohttp.ClientTimeout(5)
        ) as response:
            return await response.json()

    session = run(begin())
    first, second = run(ask(1)), run(ask(2))
    assert (first["n"], second["n"]) == ("1", "2")
    assert first["port"] == second["port"]
    many = [gevent.spawn(run, ask(number)) for number in range(20)]
    assert [greenlet.get()["n"] for greenlet in many] == [str(number) for number in range(20)]
    run(session.close())


def test_an_httpx_client_keeps_its_connection_across_runs(server_url: str) -> None:
    async def ask(number: int) -> Any:
        return (await client.get(server_url, params={"n": number}, timeout=5)).json()

    client = httpx.AsyncClient()
    first, second = run(ask(1)), run(ask(2))
    assert (first["n"], second["n"]) == ("1", "2")
    assert first["port"] == second["port"]
    many = [gevent.spawn(run, ask(number)) for number in range(20)]
    assert [greenlet.get()["n"] for greenlet in many] == [str(number) for number in range(20)]
    run(client.aclose())
