"""What a client sends, right or wrong, built by hand from RFC 6455 §4.1 and §5.2; and how it may arrive."""

from __future__ import annotations

import enum
from collections.abc import Iterator


class Opcode(enum.IntEnum):
    """Those of RFC 6455 §5.2."""

    CONTINUATION = 0x0
    TEXT = 0x1
    BINARY = 0x2
    CLOSE = 0x8
    PING = 0x9
    PONG = 0xA


CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = Opcode
DATA = (CONTINUATION, TEXT, BINARY)
CONTROL = (CLOSE, PING, PONG)

MIB = 1024 * 1024

MASK = b"\x37\xfa\x21\x3d"
"""That of the examples in RFC 6455 §5.7."""

ANNOUNCED = 0xFFFF
"""A length that `unfinished` announces and never sends."""


def request(
    path: str = "/web_socket", without: str = "", start: str = "GET {} HTTP/1.1", **headers: str
) -> bytes:
    """Return an upgrade request.

    Args:
        path: what is asked for.
        without: a header that is left out.
        start: the first line.
        headers: what differs, with underscores for the hyphens.
    """
    fields = {
        "Host": "127.0.0.1",
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Version": "13",
    }
    fields |= {name.replace("_", "-"): value for name, value in headers.items()}
    fields.pop(without, None)
    lines = [start.format(path), *(f"{name}: {value}" for name, value in fields.items()), "", ""]
    return "\r\n".join(lines).encode()


def mask_payload(payload: bytes, mask: bytes = MASK) -> bytes:
    """RFC 6455 §5.3."""
    repeated = (mask * (len(payload) // 4 + 1))[: len(payload)]
    number = int.from_bytes(payload, "big") ^ int.from_bytes(repeated, "big")
    return number.to_bytes(len(payload), "big")


def head(opcode: int, length: int, *, fin: bool = True, rsv: int = 0, mask: bytes | None = MASK) -> bytes:
    """Return a frame's header, mask included."""
    first = (0x80 if fin else 0) | rsv << 4 | opcode
    masked = 0 if mask is None else 0x80
    if length <= 125:
        octets = bytes((first, masked | length))
    elif length <= 0xFFFF:
        octets = bytes((first, masked | 126)) + length.to_bytes(2, "big")
    else:
        octets = bytes((first, masked | 127)) + length.to_bytes(8, "big")
    return octets + (mask or b"")


def frame(
    opcode: int, payload: bytes = b"", *, fin: bool = True, rsv: int = 0, mask: bytes | None = MASK
) -> bytes:
    """Return a frame; without a mask as no client may send it."""
    octets = payload if mask is None else mask_payload(payload, mask)
    return head(opcode, len(payload), fin=fin, rsv=rsv, mask=mask) + octets


def text(message: str) -> bytes:
    """Return a text message in one frame."""
    return frame(TEXT, message.encode())


def close(code: int, reason: bytes = b"") -> bytes:
    """Return a Close frame."""
    return frame(CLOSE, code.to_bytes(2, "big") + reason)


def unfinished(opcode: int, payload: bytes, *, fin: bool = True) -> bytes:
    """Return the beginning of a frame that announces more."""
    return head(opcode, ANNOUNCED, fin=fin) + mask_payload(payload)


def fragments(opcode: int, *payloads: bytes) -> list[bytes]:
    """Return the frames of one fragmented message."""
    last = len(payloads) - 1
    return [
        frame(CONTINUATION if index else opcode, payload, fin=index == last)
        for index, payload in enumerate(payloads)
    ]


def arrivals(stream: bytes) -> Iterator[list[bytes]]:
    """Return a stream whole, byte by byte, and cut in two at every position (of a long one: near its ends)."""
    yield [stream]
    if len(stream) <= 1024:
        yield [stream[index : index + 1] for index in range(len(stream))]
        positions = range(1, len(stream))
        yield from ([stream[:cut], stream[cut:]] for cut in positions)
    else:
        for cut in (*range(1, 24), len(stream) // 2, *range(len(stream) - 8, len(stream))):
            yield [stream[:cut], stream[cut:]]
        yield [stream[index : index + 1000] for index in range(0, len(stream), 1000)]
