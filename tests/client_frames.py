"""What a client sends, built by hand from RFC 6455 §5.2, and the ways in which it may arrive."""

from __future__ import annotations

from collections.abc import Iterator

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA

MASK = b"\x37\xfa\x21\x3d"
"""That of the examples in RFC 6455 §5.7."""

ANNOUNCED = 0xFFFF
"""A length that `unfinished` announces and never sends."""


def mask_payload(payload: bytes, mask: bytes = MASK) -> bytes:
    """RFC 6455 §5.3, octet by octet."""
    return bytes(octet ^ mask[index % 4] for index, octet in enumerate(payload))


def head(opcode: int, length: int, *, fin: bool = True, rsv: int = 0, mask: bytes | None = MASK) -> bytes:
    """A frame's header, mask included."""
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
    """A frame; without a mask as no client may send it."""
    octets = payload if mask is None else mask_payload(payload, mask)
    return head(opcode, len(payload), fin=fin, rsv=rsv, mask=mask) + octets


def text(message: str) -> bytes:
    """A text message in one frame."""
    return frame(TEXT, message.encode())


def close(code: int, reason: bytes = b"") -> bytes:
    """A Close frame."""
    return frame(CLOSE, code.to_bytes(2, "big") + reason)


def unfinished(opcode: int, payload: bytes, *, fin: bool = True) -> bytes:
    """The beginning of a frame that announces more."""
    return head(opcode, ANNOUNCED, fin=fin) + mask_payload(payload)


def fragments(opcode: int, *payloads: bytes) -> list[bytes]:
    """The frames of one fragmented message."""
    last = len(payloads) - 1
    return [
        frame(CONTINUATION if index else opcode, payload, fin=index == last)
        for index, payload in enumerate(payloads)
    ]


def arrivals(stream: bytes) -> Iterator[list[bytes]]:
    """A stream whole, byte by byte, and cut in two at every position (of a long one: near its ends)."""
    yield [stream]
    if len(stream) <= 1024:
        yield [stream[index : index + 1] for index in range(len(stream))]
        positions = range(1, len(stream))
        yield from ([stream[:cut], stream[cut:]] for cut in positions)
    else:
        for cut in (*range(1, 24), len(stream) // 2, *range(len(stream) - 8, len(stream))):
            yield [stream[:cut], stream[cut:]]
        yield [stream[index : index + 1000] for index in range(0, len(stream), 1000)]
