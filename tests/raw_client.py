"""A client that is only a socket: it sends any bytes, and records every frame until the server's FIN."""

from __future__ import annotations

import base64
import os
import socket
import time
from types import TracebackType
from typing import Final, TypeAlias

from .harness import DEADLINE, Server

Frame: TypeAlias = tuple[str, object]
"""An opcode's name, and its payload: `str` for TEXT, code and reason for CLOSE, otherwise bytes."""

OPCODES: Final = {"CONTINUATION": 0x0, "TEXT": 0x1, "BINARY": 0x2, "CLOSE": 0x8, "PING": 0x9, "PONG": 0xA}
_NAMES: Final = {number: name for name, number in OPCODES.items()}

FIN: Final[Frame] = ("FIN", b"")
"""The server has ended the TCP connection in order."""
RESET: Final[Frame] = ("RESET", b"")
"""The server has broken the TCP connection off."""


def text(payload: str) -> Frame:
    """A text frame, as `frame` gives it."""
    return "TEXT", payload


def close(code: int, reason: str = "") -> Frame:
    """A Close frame, as `frame` gives it; 1005 is one without a code."""
    return "CLOSE", (code, reason)


def encode(
    opcode: str, payload: bytes = b"", *, fin: bool = True, mask: bytes = b"\x37\xfa\x21\x3d"
) -> bytes:
    """A frame as a client sends it; without a mask, as it may not."""
    length = len(payload)
    flag = 0x80 if mask else 0
    head = bytes([OPCODES[opcode] | (0x80 if fin else 0)])
    if length < 126:
        head += bytes([flag | length])
    elif length < 65536:
        head += bytes([flag | 126]) + length.to_bytes(2, "big")
    else:
        head += bytes([flag | 127]) + length.to_bytes(8, "big")
    if not mask:
        return head + payload
    repeated = mask * (length // 4 + 1)
    masked = int.from_bytes(payload, "big") ^ int.from_bytes(repeated[:length], "big")
    return head + mask + masked.to_bytes(length, "big")


def encode_close(code: int, reason: str = "") -> bytes:
    """A client's Close frame."""
    return encode("CLOSE", code.to_bytes(2, "big") + reason.encode())


class RawClient:
    """Shakes hands with `path`; what the server answered is in `status`, `headers` and, if it is not 101, `body`.

    Args:
        server: whom to connect to, or its port.
        path: the path and query of the URL.
        headers: more request headers.
        behind: bytes to send in the same segment as the request.
        receive_buffer: bytes of SO_RCVBUF, to be a client that is soon full.
        wait: whether to wait for the answer; otherwise `read_head` does.
    """

    def __init__(
        self,
        server: Server | int,
        path: str = "/web_socket",
        *,
        headers: dict[str, str] | None = None,
        behind: bytes = b"",
        receive_buffer: int | None = None,
        wait: bool = True,
    ) -> None:
        port = server if isinstance(server, int) else server.port
        self.socket = socket.socket()
        if receive_buffer is not None:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(DEADLINE)
        self.socket.connect(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._received = bytearray()
        key = base64.b64encode(os.urandom(16)).decode()
        request = {
            "Host": f"127.0.0.1:{port}",
            "Upgrade": "websocket",
            "Connection": "Upgrade",
            "Sec-WebSocket-Key": key,
            "Sec-WebSocket-Version": "13",
            **(headers or {}),
        }
        lines = "".join(f"{name}: {value}\r\n" for name, value in request.items())
        self.socket.sendall(f"GET {path} HTTP/1.1\r\n{lines}\r\n".encode() + behind)
        if wait:
            self.read_head()

    def __enter__(self) -> RawClient:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.drop()

    def send(self, *frames: bytes) -> None:
        """Send frames, made by `encode`, in one piece."""
        self.socket.sendall(b"".join(frames))

    def say(self, *messages: str) -> None:
        """Send text messages in one piece."""
        self.send(*(encode("TEXT", message.encode()) for message in messages))

    def close(self, code: int = 1000, reason: str = "") -> None:
        """Send a Close frame."""
        self.send(encode_close(code, reason))

    def drop(self) -> None:
        """End the TCP connection without a word."""
        self.socket.close()

    def frame(self) -> Frame:
        """The next frame, or FIN or RESET."""
        end = time.monotonic() + DEADLINE
        head = self._read(2, end)
        if isinstance(head, tuple):
            return head
        assert head[0] & 0x80, "the server never fragments"
        assert not head[0] & 0x70, "the server negotiates no extension"
        assert not head[1] & 0x80, "a server does not mask"
        length = head[1]
        if length >= 126:
            field = self._read(2 if length == 126 else 8, end)
            assert isinstance(field, bytes), "the frame ends in its header"
            length = int.from_bytes(field, "big")
        payload = self._read(length, end)
        assert isinstance(payload, bytes), "the frame is cut off"
        return _parse(_NAMES[head[0] & 0x0F], payload)

    def frames(self, count: int) -> list[Frame]:
        """The next frames."""
        return [self.frame() for _ in range(count)]

    def frames_to_end(self) -> list[Frame]:
        """Every frame up to and with FIN or RESET."""
        frames = [self.frame()]
        while frames[-1] not in (FIN, RESET):
            frames.append(self.frame())
        return frames

    def read_head(self) -> None:
        """Wait for the answer to the handshake."""
        end = time.monotonic() + DEADLINE
        while b"\r\n\r\n" not in self._received:
            assert self._receive(end) is None, f"no whole answer: {bytes(self._received)!r}"
        head, _, self._received = self._received.partition(b"\r\n\r\n")
        lines = head.decode().split("\r\n")
        self.status = int(lines[0].split()[1])
        pairs = [line.split(": ", 1) for line in lines[1:]]
        self.headers = {name.lower(): value for name, value in pairs}
        self.body = ""
        if self.status != 101:
            length = int(self.headers.get("content-length", 0))
            body = self._read(length, end)
            assert isinstance(body, bytes), "the body is cut off"
            self.body = body.decode()

    def _read(self, size: int, end: float) -> bytes | Frame:
        while len(self._received) < size:
            over = self._receive(end)
            if over is not None:
                assert not self._received, f"the server ended amid a frame: {bytes(self._received)!r}"
                return over
        data = bytes(self._received[:size])
        del self._received[:size]
        return data

    def _receive(self, end: float) -> Frame | None:
        self.socket.settimeout(max(end - time.monotonic(), 0.001))
        try:
            data = self.socket.recv(65536)
        except TimeoutError:
            raise AssertionError(
                f"waited {DEADLINE} s for the server; so far {bytes(self._received[:200])!r}"
            ) from None
        except ConnectionResetError:
            return RESET
        if not data:
            return FIN
        self._received += data
        return None


def _parse(name: str, payload: bytes) -> Frame:
    if name == "TEXT":
        return name, payload.decode()
    if name == "CLOSE":
        return name, (int.from_bytes(payload[:2], "big") if payload else 1005, payload[2:].decode())
    return name, payload
