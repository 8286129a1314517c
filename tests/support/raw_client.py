"""A client that is only a socket: it sends any bytes, reads every frame until the server's FIN, and drops any way."""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, Final, TypeAlias

from .client_frames import CLOSE, TEXT, Opcode, close, request, text
from .program import DEADLINE, Program

Frame: TypeAlias = tuple[Opcode | str, object]
"""An opcode, and its payload: `str` for TEXT, code and reason for CLOSE, otherwise bytes."""

FIN: Final[Frame] = ("FIN", b"")
"""The server has ended the TCP connection in order."""
RESET: Final[Frame] = ("RESET", b"")
"""The server has broken the TCP connection off."""


def said(payload: str) -> Frame:
    """Return a text frame of the server's, as `read_frame` gives it."""
    return TEXT, payload


def closed(code: int, reason: str = "") -> Frame:
    """Return a Close frame of the server's, as `read_frame` gives it; 1005 is one without a code."""
    return CLOSE, (code, reason)


class RawClient:
    """Shakes hands with `path`; what the server answered is in `status`, `headers` and, if it is not 101, `body`.

    Args:
        server: whom to connect to, or its port.
        path: the path and query of the URL; None asks for nothing yet.
        headers: more request headers.
        behind: bytes to send in the same segment, and TLS record, as the request.
        receive_buffer: bytes of SO_RCVBUF, to be a client that is soon full.
        tls: to speak TLS with.
        source_address: the address to connect from.
        wait: whether to wait for the answer; otherwise `read_head` does.
    """

    status: int | None
    """None when the server ended without an answer."""
    headers: dict[str, str]
    body: str

    def __init__(
        self,
        server: Program | int,
        path: str | None = "/web_socket",
        *,
        headers: dict[str, str] | None = None,
        behind: bytes = b"",
        receive_buffer: int | None = None,
        tls: ssl.SSLContext | None = None,
        source_address: str | None = None,
        wait: bool = True,
    ) -> None:
        port = server if isinstance(server, int) else server.port
        self._received = bytearray()
        self.socket: Any = socket.socket()
        if receive_buffer is not None:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(DEADLINE)
        try:
            if source_address is not None:
                self.socket.bind((source_address, 0))
            self.socket.connect(("127.0.0.1", port))
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if tls is not None:
                self.socket = tls.wrap_socket(self.socket, server_hostname="127.0.0.1")
        except OSError:
            self.socket.close()
            raise
        if path is not None:
            self.send(request(path, **{"Host": f"127.0.0.1:{port}"} | (headers or {})) + behind)
            if wait:
                assert self.read_head() is not None, "no answer"

    def __enter__(self) -> RawClient:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.drop()

    # Sending

    def send(self, *frames: bytes) -> None:
        """Send frames, or anything, in one piece."""
        self.socket.settimeout(DEADLINE)
        self.socket.sendall(b"".join(frames))

    def say(self, *messages: str) -> None:
        """Send text messages in one piece."""
        self.send(*map(text, messages))

    def close(self, code: int = 1000, reason: str = "") -> None:
        """Send a Close frame."""
        self.send(close(code, reason.encode()))

    def send_until_cut_off(self, data: bytes) -> None:
        """Send the same again and again; that the server lets it go on until the deadline is a failure."""
        end = time.monotonic() + DEADLINE
        with contextlib.suppress(ConnectionError):
            while time.monotonic() < end:
                self.send(data)
            raise AssertionError("the server listens for ever")

    # Being gone

    def drop(self) -> None:
        """FIN: end the TCP connection without a word."""
        self.socket.close()

    def half_close(self) -> None:
        """FIN, and read on."""
        self.socket.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """RST, and nothing more: the server reads an error and no FIN."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    # Reading

    def read_head(self, *, with_body: bool = True) -> int | None:
        """Wait for the answer to a request, and return its status; None when the server ends without one."""
        end = time.monotonic() + DEADLINE
        self.status, self.headers, self.body = None, {}, ""
        while b"\r\n\r\n" not in self._received:
            if self._receive(end) is not None:
                assert not self._received, f"no whole answer: {bytes(self._received)!r}"
                return None
        head, _, self._received = self._received.partition(b"\r\n\r\n")
        lines = head.decode().split("\r\n")
        self.status = int(lines[0].split()[1])
        pairs = [line.split(": ", 1) for line in lines[1:]]
        self.headers = {name.lower(): value for name, value in pairs}
        if self.status != 101 and with_body:
            body = self._read(int(self.headers.get("content-length", 0)), end)
            assert isinstance(body, bytes), "the body is cut off"
            self.body = body.decode()
        return self.status

    def read_frame(self) -> Frame:
        """Return the next frame, or FIN or RESET."""
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
        return _parse(Opcode(head[0] & 0x0F), payload)

    def read_frames(self, count: int) -> list[Frame]:
        """Return the next frames."""
        return [self.read_frame() for _ in range(count)]

    def read_to_end(self) -> list[Frame]:
        """Every frame up to and with FIN or RESET."""
        frames = [self.read_frame()]
        while frames[-1] not in (FIN, RESET):
            frames.append(self.read_frame())
        return frames

    def read_text(self) -> str:
        """Return the next message, which is text."""
        opcode, payload = self.read_frame()
        assert opcode == TEXT, (opcode, payload)
        return str(payload)

    def read_close(self) -> Any:
        """Code and reason of the server's Close; messages before it are passed over."""
        opcode, payload = self.read_frame()
        while opcode != CLOSE:
            assert (opcode, payload) not in (FIN, RESET), "the server ended without a Close"
            opcode, payload = self.read_frame()
        return payload

    def has_ended(self) -> bool:
        """Whether there is nothing more to read, ever."""
        return self.read_frame() in (FIN, RESET)

    def wait_for_end(self) -> None:
        """Read until there is nothing more, whatever it is."""
        end = time.monotonic() + DEADLINE
        while self._receive(end) is None:
            self._received.clear()

    def _read(self, size: int, end: float) -> bytes | Frame:
        while len(self._received) < size:
            over = self._receive(end)
            if over is not None:
                assert not self._received, f"the server ended amid a frame: {bytes(self._received[:200])!r}"
                return over
        data = bytes(self._received[:size])
        del self._received[:size]
        return data

    def _receive(self, end: float) -> Frame | None:
        self.socket.settimeout(max(end - time.monotonic(), 0.001))
        try:
            data = self.socket.recv(256 * 1024)
        except TimeoutError:
            raise AssertionError(
                f"waited {DEADLINE} s for the server; so far {bytes(self._received[:200])!r}"
            ) from None
        except ConnectionError:
            return RESET
        if not data:
            return FIN
        self._received += data
        return None


DROPS: Final[dict[str, Callable[[RawClient], None]]] = {
    "reset": RawClient.reset,
    "FIN": RawClient.drop,
    "half-close": RawClient.half_close,
}
"""The ways to be gone."""


def _parse(opcode: Opcode, payload: bytes) -> Frame:
    if opcode is TEXT:
        return opcode, payload.decode()
    if opcode is CLOSE:
        return opcode, (int.from_bytes(payload[:2], "big") if payload else 1005, payload[2:].decode())
    return opcode, payload
