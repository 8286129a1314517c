"""permessage-deflate on real connections: who gets it, broadcasts, and bombs."""

from __future__ import annotations

import contextlib
import zlib

import pytest
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory
from websockets.sync.client import ClientConnection, connect

from ..conftest import StartServer
from ..support.client_frames import BINARY, CONTINUATION, frame, text
from ..support.harness import Server, unharmed
from ..support.program import DEADLINE, wait_for
from ..support.raw_client import FIN, RawClient, closed, said

OFFER = {"Sec-WebSocket-Extensions": "permessage-deflate; client_max_window_bits"}
MESSAGES: list[str | bytes] = [
    "x" * 65,
    "",
    "short",
    "ü" * 1000,
    b"\x00\xff" * 1000,
    b"",
    "x" * 3_000_000,
    "".join(map(str, range(9999))),
]


@pytest.fixture(scope="module")
def server(start_module_server: StartServer) -> Server:
    return start_module_server("compression")


def dial(server: Server, path: str = "/web_socket") -> ClientConnection:
    """Connect with a client that offers permessage-deflate."""
    return connect(server.url(path), open_timeout=DEADLINE, ping_interval=None, max_size=None)


def extensions(client: ClientConnection) -> str | None:
    """Return what was agreed on."""
    assert client.response is not None
    return client.response.headers.get("Sec-WebSocket-Extensions")


def converse(client: ClientConnection) -> None:
    """Say everything, whole and in fragments."""
    for message in MESSAGES:
        client.send(message)
        assert client.recv(timeout=DEADLINE) == message
        client.send([message[:7], message[7:]])
        assert client.recv(timeout=DEADLINE) == message


def test_a_compressed_conversation(start_server: StartServer, way: str) -> None:
    server = start_server("compression", way)
    with unharmed(server), dial(server, "/web_socket?greet") as client:
        agreed = "permessage-deflate; server_max_window_bits=12; client_max_window_bits=12"
        assert extensions(client) == (None if way == "geventwebsocket" else agreed)
        assert client.recv(timeout=DEADLINE) == "hello " * 100
        converse(client)


@pytest.mark.parametrize("server_forgets", [False, True])
@pytest.mark.parametrize("client_forgets", [False, True])
@pytest.mark.parametrize("bits", [9, 15, None])
def test_a_conversation_with_what_a_client_offers(
    server: Server, server_forgets: bool, client_forgets: bool, bits: int | None
) -> None:
    factory = ClientPerMessageDeflateFactory(server_forgets, client_forgets, bits, bits or True)
    with connect(
        server.url(), extensions=[factory], compression=None, open_timeout=DEADLINE, max_size=None
    ) as client:
        assert extensions(client)
        converse(client)


def test_compression_is_for_those_who_offer_it_where_it_is_on(server: Server) -> None:
    with RawClient(server) as client:
        assert "sec-websocket-extensions" not in client.headers
        client.say("x" * 100)
        assert client.read_frame() == said("x" * 100)
    with dial(server, "/plain") as refused:
        assert extensions(refused) is None
        refused.send("x" * 100)
        assert refused.recv(timeout=DEADLINE) == "x" * 100


def test_a_broadcast_to_those_who_forget_is_the_same_bytes_for_all(server: Server) -> None:
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(RawClient(server, "/forgetful", headers=OFFER)) for _ in range(5)]
        other = stack.enter_context(RawClient(server, "/forgetful"))
        for message in ("once " * 100, "twice " * 100):
            other.say(message)
            assert other.read_frame() == said(message)
            received = [client.socket.recv(1000) for client in clients]
            assert len(set(received)) == 1
            assert received[0][0] == 0xC1
            assert zlib.decompressobj(-15).decompress(received[0][2:]) == message.encode()


def test_an_uncompressed_client_sends_and_the_compressed_hear_it(server: Server) -> None:
    with (
        dial(server, "/forgetful") as one,
        dial(server, "/forgetful") as two,
        RawClient(server, "/forgetful") as raw,
    ):
        for message in ("x" * 1000, "short", "y" * 100_000):
            raw.say(message)
            assert (one.recv(timeout=DEADLINE), two.recv(timeout=DEADLINE)) == (message, message)
            assert raw.read_frame() == said(message)


def test_a_bomb_costs_little_and_ends_one_connection(server: Server, key: str) -> None:
    compressor = zlib.compressobj(wbits=-12)
    bomb = compressor.compress(bytes(200 * 1024 * 1024)) + compressor.flush(zlib.Z_SYNC_FLUSH)
    with unharmed(server), RawClient(server, f"/web_socket?notes={key}", headers=OFFER) as client:
        before = server.reset_peak_memory()
        with contextlib.suppress(ConnectionError):
            client.send(frame(BINARY, bomb[:-4], rsv=4))
        assert client.read_to_end() == [closed(1009, "message is over 4000000 bytes"), FIN]
        assert server.notes(key, 1) == [(1009,)]
        assert server.peak_memory() - before < 20_000_000
        server.get("/go_on")


def test_small_bombs_to_a_busy_handler_are_held_back(server: Server) -> None:
    compressor = zlib.compressobj(wbits=-12)
    messages = []
    for _ in range(300):
        data = compressor.compress(bytes(1_000_000)) + compressor.flush(zlib.Z_SYNC_FLUSH)
        messages.append(frame(BINARY, data[:-4], rsv=4))
    with unharmed(server), RawClient(server, "/busy", headers=OFFER) as client:
        before = server.reset_peak_memory()
        client.send(*messages)
        client.send(frame(BINARY, b"last"))
        # Until the server has read what it will, it does not answer others.
        for _ in range(20):
            server.get("/kept")
        assert server.peak_memory() - before < 20_000_000


def test_a_connection_that_is_over_keeps_no_compressor(server: Server) -> None:
    with RawClient(server, "/busy", headers=OFFER) as client:
        assert client.status == 101
        assert "Deflater" in server.get("/kept")
    wait_for(lambda: "Deflater" not in server.get("/kept"), "the end")


@pytest.mark.parametrize(
    ("data", "code", "reason"),
    [
        (frame(BINARY, b"\xff" * 9, rsv=4), 1002, "compressed data is corrupt"),
        (
            frame(BINARY, b"\0", fin=False, rsv=4) + frame(CONTINUATION, b"\0", rsv=4),
            1002,
            "reserved bits are set",
        ),
        (frame(BINARY, b"\0", rsv=6), 1002, "reserved bits are set"),
    ],
)
def test_bad_input_ends_one_connection(server: Server, data: bytes, code: int, reason: str) -> None:
    with unharmed(server), RawClient(server, headers=OFFER) as client:
        client.send(data)
        assert client.read_to_end() == [closed(code, reason), FIN]


def test_the_bit_without_an_agreement_ends_the_connection(server: Server) -> None:
    with unharmed(server), RawClient(server) as client:
        client.send(frame(BINARY, b"\0", rsv=4) + text("never read"))
        assert client.read_to_end() == [closed(1002, "reserved bits are set"), FIN]
