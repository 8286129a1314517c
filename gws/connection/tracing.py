"""Every frame in and out and every change of state, as log lines of `logging.getLogger("gws.connection")` at DEBUG.

A connection that begins while that is so gets a socket that writes down what passes; all others have nothing to do with
this module, and their messages pay nothing for it. A line is as `websockets` writes it, behind the peer's address:

    192.0.2.7:51234 < TEXT 'hello' [5 bytes]
    192.0.2.7:51234 > TEXT 'hello' [5 bytes]
    192.0.2.7:51234 = OPEN: OURS 1000
    192.0.2.7:51234 = CLOSING
"""

from __future__ import annotations

import logging
from typing import Any, Final

from ..printable import printable
from ..protocol.frames import Opcode

MAX_SHOWN: Final = 75
"""Characters of a payload that are shown, as of `websockets`."""
_MAX_KEPT: Final = 4 * MAX_SHOWN
"""Bytes of it that are kept until its frame is complete: enough for so many characters of UTF-8."""

logger = logging.getLogger("gws.connection")


class TracedSocket:
    """A socket that logs the frames which pass through it; for anything else it is the socket.

    Args:
        socket: a connection's, which nobody has read from or written to.
    """

    def __init__(self, socket: Any) -> None:
        self._socket = socket
        self._peer = _name_of(socket)
        self._in = FrameLog(f"{self._peer} <")
        self._out = FrameLog(f"{self._peer} >", has_head=True)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._socket, name)

    def recv(self, size: int) -> bytes:
        """Read, and log the frames that are complete by then."""
        data: bytes = self._socket.recv(size)
        self._in.feed(data)
        return data

    def recv_into(self, buffer: memoryview, size: int) -> int:
        """Read into a buffer, and log the frames that are complete by then."""
        count: int = self._socket.recv_into(buffer, size)
        self._in.feed(buffer[:count])
        return count

    def send(self, data: bytes | memoryview) -> int:
        """Write, and log the frames that have gone out whole."""
        count: int = self._socket.send(data)
        self._out.feed(memoryview(data)[:count])
        return count

    def note_received(self, data: bytes) -> None:
        """Log what came with the handshake, and was read by the server."""
        self._in.feed(data)

    def note_state(self, state: object, why: object = "") -> None:
        """Log that the connection's state has changed."""
        logger.debug("%s = %s%s", self._peer, state, why and f": {why}")


class FrameLog:
    """Logs the frames of one direction of a byte stream, as far as they can be read; it never raises.

    Args:
        prefix: of each line.
        has_head: whether the head of the 101 may come first. A client's bytes never are one: it would have no bound.
    """

    def __init__(self, prefix: str, *, has_head: bool = False) -> None:
        self._prefix = prefix
        self._has_head = has_head
        self._header = bytearray()
        self._missing = 0
        """Bytes of the payload that have not passed."""
        self._passed = 0
        self._kept = bytearray()

    def feed(self, data: bytes | memoryview) -> None:
        """Take the next bytes, in pieces of any size."""
        rest = memoryview(data)
        while rest:
            rest = rest[self._read_payload(rest) :] if self._missing else rest[self._read_header(rest) :]

    def _read_header(self, data: memoryview) -> int:
        """Read one byte of a frame's header, or of the head of the 101."""
        self._header += data[:1]
        header = self._header
        if self._has_head and header.startswith(b"HTTP/"):
            if header.endswith(b"\r\n\r\n"):
                self._has_head = False
                logger.debug("%s %s", self._prefix, printable(header.split(b"\r\n")[0].decode("latin-1")))
                header.clear()
        elif not (self._has_head and b"HTTP/".startswith(header)) and len(header) == _header_size(header):
            self._missing = _payload_size(header)
            if not self._missing:
                self._log()
        return 1

    def _read_payload(self, data: memoryview) -> int:
        piece = data[: self._missing]
        self._kept += piece[: _MAX_KEPT - len(self._kept)]
        self._passed += len(piece)
        self._missing -= len(piece)
        if not self._missing:
            self._log()
        return len(piece)

    def _log(self) -> None:
        first = self._header[0]
        payload = _unmask(bytes(self._kept), self._header)
        shown = "" if not payload else f" {_shown(first, payload)}"
        marks = f"{'' if first & 0x80 else ', continued'}{', compressed' if first & 0x40 else ''}"
        logger.debug("%s %s%s [%d bytes%s]", self._prefix, _opcode(first), shown, self._passed, marks)
        self._header.clear()
        self._kept.clear()
        self._passed = 0


def _header_size(header: bytearray) -> int:
    """Return the bytes of a frame's header (RFC 6455 §5.2), of which two are there, or the two if they are not."""
    if len(header) < 2:
        return 2
    length = header[1] & 0x7F
    return 2 + (2 if length == 126 else 8 if length == 127 else 0) + (4 if header[1] & 0x80 else 0)


def _payload_size(header: bytearray) -> int:
    length = header[1] & 0x7F
    if length < 126:
        return length
    return int.from_bytes(header[2 : 4 if length == 126 else 10], "big")


def _unmask(payload: bytes, header: bytearray) -> bytes:
    if not header[1] & 0x80:
        return payload
    return bytes(byte ^ header[-4 + position % 4] for position, byte in enumerate(payload))


def _opcode(first: int) -> str:
    try:
        return Opcode(first & 0x0F).name
    except ValueError:
        return f"opcode {first & 0x0F}"


def _shown(first: int, payload: bytes) -> str:
    """Return the beginning of a payload: text as text, a Close as code and reason, anything else in hexadecimal."""
    opcode = first & 0x0F
    if opcode == Opcode.CLOSE and len(payload) >= 2:
        code, reason = int.from_bytes(payload[:2], "big"), payload[2:].decode(errors="replace")
        return f"{code} {printable(reason, MAX_SHOWN)!r}" if reason else str(code)
    if opcode in (Opcode.BINARY, Opcode.PING, Opcode.PONG) or first & 0x40:
        return printable(payload.hex(" "), MAX_SHOWN)
    return f"'{printable(payload.decode(errors='replace'), MAX_SHOWN)}'"


def _name_of(socket: Any) -> str:
    """Return the peer's address."""
    try:
        peer = socket.getpeername()
    except OSError:
        return "a peer that is gone"
    return f"{peer[0]}:{peer[1]}" if isinstance(peer, tuple) else "a Unix socket"
