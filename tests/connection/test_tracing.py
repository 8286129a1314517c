"""What the logger "gws.connection" says at DEBUG: every frame, both ways, and every change of state."""

from __future__ import annotations

import logging
import random
import re

import pytest

from gws.connection.tracing import FrameLog
from gws.protocol.frames import Opcode, encode_frame, encode_text

from ..conftest import StartServer
from ..support.client_frames import BINARY, CLOSE, CONTINUATION, PING, TEXT, close, frame, text
from ..support.program import wait_for
from ..support.raw_client import RawClient

LOGGING = {"log_format": "%(name)s %(message)s"}
CLIENTS = [
    (text("hello"), "< TEXT 'hello' [5 bytes]"),
    (text(""), "< TEXT [0 bytes]"),
    (frame(TEXT, b"a", fin=False), "< TEXT 'a' [1 bytes, continued]"),
    (frame(CONTINUATION, "ü\n\x1b".encode()), "< CONTINUATION 'ü\\n\\x1b' [4 bytes]"),
    (frame(BINARY, bytes(range(4))), "< BINARY 00 01 02 03 [4 bytes]"),
    (frame(BINARY, bytes(70_000)), None),
    (frame(TEXT, b"\x01\x02", rsv=4), "< TEXT 01 02 [2 bytes, compressed]"),
    (frame(PING, b"?"), "< PING 3f [1 bytes]"),
    (close(1000), "< CLOSE 1000 [2 bytes]"),
    (frame(CLOSE, b"\x03\xe9going"), "< CLOSE 1001 'going' [7 bytes]"),
    (frame(7, b"x"), "< opcode 7 'x' [1 bytes]"),
]
SERVERS = [
    (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n", "> HTTP/1.1 101 Switching Protocols"),
    (encode_text("hello"), "> TEXT 'hello' [5 bytes]"),
    (encode_text("x" * 200), f"> TEXT '{'x' * 75}… and 125 more characters' [200 bytes]"),
    (encode_frame(Opcode.PONG, b""), "> PONG [0 bytes]"),
]


@pytest.mark.parametrize("frames", [CLIENTS, SERVERS], ids=["in", "out"])
@pytest.mark.parametrize("size", [1, 2, 3, 7, 100, 1_000_000])
def test_frames_are_read_however_they_are_cut(
    caplog: pytest.LogCaptureFixture, frames: list[tuple[bytes, str | None]], size: int
) -> None:
    caplog.set_level(logging.DEBUG, "gws.connection")
    log = FrameLog("<") if frames is CLIENTS else FrameLog(">", has_head=True)
    data = b"".join(frame for frame, _ in frames)
    for start in range(0, len(data), size):
        log.feed(data[start : start + size])
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == len(frames)
    for line, (_, expected) in zip(said, frames, strict=True):
        assert expected is None or line == expected


def test_a_client_that_speaks_http_is_kept_no_longer_than_a_frame() -> None:
    log = FrameLog("<")
    log.feed(b"HTTP/" * 100_000)
    assert len(log._header) <= 14


def test_bytes_that_are_no_frames_raise_nothing(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "gws.connection")
    chance = random.Random(11)
    for _ in range(200):
        FrameLog("<").feed(chance.randbytes(300))


def test_a_connection_can_be_read_from_its_handshake_to_its_end(start_server: StartServer) -> None:
    server = start_server("echo", values=LOGGING | {"log_levels": {"gws.connection": "DEBUG"}})
    with RawClient(server, behind=text("early")) as client:
        assert client.read_text() == "early"
        client.say("hello")
        assert client.read_text() == "hello"
        peer = "{}:{}".format(*client.socket.getsockname())
        client.close()
        client.wait_for_end()
    wait_for(lambda: "= CLOSED" in server.log(), "the end")
    assert re.findall(rf"^gws\.connection {re.escape(peer)} (.*)$", server.log(), re.M) == [
        "= OPEN",
        "> HTTP/1.1 101 Switching Protocols",
        "< TEXT 'early' [5 bytes]",
        "> TEXT 'early' [5 bytes]",
        "< TEXT 'hello' [5 bytes]",
        "> TEXT 'hello' [5 bytes]",
        "< CLOSE 1000 [2 bytes]",
        "= OPEN: PEER 1000",
        "= CLOSING",
        "> CLOSE 1000 [2 bytes]",
        "= CLOSED",
    ]


def test_who_does_not_ask_hears_nothing_of_it(start_server: StartServer) -> None:
    server = start_server("echo", values=LOGGING | {"log_levels": {"gws": "INFO"}})
    with RawClient(server) as client:
        client.say("hello")
        assert client.read_text() == "hello"
    assert "gws.connection" not in server.log()
