"""RFC 6455 §5: frames out, and an incremental reader of frames in.

The reader takes bytes as they come off the socket and passes payload on as soon as it is there: it keeps
at most one incomplete header or control frame (131 bytes), so a slow or endless frame costs nothing, and the
layer above decides from the header, before any payload is kept, whether a frame is welcome.
"""

from __future__ import annotations

import enum
from typing import Final, NamedTuple, Protocol

from ..errors import InvalidPayloadError, ProtocolError
from .masking import apply_mask


class Opcode(enum.IntEnum):
    """RFC 6455 §5.2."""

    CONTINUATION = 0x0
    TEXT = 0x1
    BINARY = 0x2
    CLOSE = 0x8
    PING = 0x9
    PONG = 0xA


class Close(NamedTuple):
    """A close code (RFC 6455 §7.4) and its reason, which is text for people."""

    code: int
    reason: str


NORMAL: Final = 1000
GOING_AWAY: Final = 1001
POLICY_VIOLATION: Final = 1008
INTERNAL_ERROR: Final = 1011
SERVICE_RESTART: Final = 1012
"""The server begins anew: connect again, after a random time if there are many (IANA's registry; not in RFC 6455)."""
NO_CODE: Final = 1005
"""The peer's Close frame carried no code; never on the wire (RFC 6455 §7.4.1)."""
ABNORMAL: Final = 1006
"""The connection ended without a Close frame; never on the wire (RFC 6455 §7.4.1)."""

MAX_CONTROL_PAYLOAD: Final = 125
"""Bytes. "All control frames MUST have a payload length of 125 bytes or less" (RFC 6455 §5.5)."""

_FIN = 0x80
_RSV1 = 0x40
_RSV2_AND_RSV3 = 0x30
_MASKED = 0x80
_OPCODES = {opcode.value: opcode for opcode in Opcode}


def encode_frame(opcode: Opcode, payload: bytes, *, fin: bool = True, rsv1: bool = False) -> bytes:
    """One frame as a server sends it: unmasked (RFC 6455 §5.1), with the shortest length (§5.2)."""
    first = opcode | (_FIN if fin else 0) | (_RSV1 if rsv1 else 0)
    length = len(payload)
    if length < 126:
        return bytes((first, length)) + payload
    if length < 65536:
        return bytes((first, 126)) + length.to_bytes(2, "big") + payload
    return bytes((first, 127)) + length.to_bytes(8, "big") + payload


def header_size(frame: bytes) -> int:
    """Return the bytes before the payload of a frame that is not masked (RFC 6455 §5.2)."""
    length = frame[1]
    return 2 if length < 126 else 4 if length == 126 else 10


_SMALL_TEXT = tuple(bytes((_FIN | Opcode.TEXT, length)) for length in range(126))
"""The whole header of a short text frame, ready made: most frames of most servers."""


def encode_text(text: str) -> bytes:
    """Return a text message as one frame.

    Raises:
        UnicodeEncodeError: the text holds a lone surrogate, which UTF-8 cannot carry.
    """
    payload = text.encode()
    if len(payload) < 126:
        return _SMALL_TEXT[len(payload)] + payload
    return encode_frame(Opcode.TEXT, payload)


def encode_binary(payload: bytes) -> bytes:
    """Return a binary message as one frame."""
    return encode_frame(Opcode.BINARY, payload)


def encode_close(close: Close) -> bytes:
    """Return a Close frame; `NO_CODE` becomes an empty one, as it is answered when the peer's was empty."""
    return encode_frame(Opcode.CLOSE, b"" if close.code == NO_CODE else encode_close_payload(close))


def encode_close_payload(close: Close) -> bytes:
    """Return what a Close frame carries (RFC 6455 §5.5.1)."""
    return close.code.to_bytes(2, "big") + close.reason.encode()


def check_close(code: int, reason: str) -> Close:
    """Return what an application may close with; refuse any other code and reason.

    Raises:
        TypeError: the code is no `int`, or the reason no `str`.
        ValueError: the code may not stand in a Close frame, or the reason is longer than 123 bytes of UTF-8.
    """
    if not isinstance(code, int) or not isinstance(reason, str):
        raise TypeError(f"a connection is closed with an int and a str, not {code!r} and {reason!r}")
    if not _is_sendable(code):
        raise ValueError(f"close code {code} may not be sent: use 1000-1003, 1007-1014 or 3000-4999")
    if len(reason.encode()) > MAX_CONTROL_PAYLOAD - 2:
        raise ValueError(f"a close reason holds at most 123 bytes of UTF-8, this one {len(reason.encode())}")
    return Close(code, reason)


def parse_close(payload: bytes) -> Close:
    """Return the code and the reason in a Close frame's payload (RFC 6455 §5.5.1).

    Raises:
        ProtocolError: half a code, or a code that may not be sent.
        InvalidPayloadError: the reason is not UTF-8.
    """
    if not payload:
        return Close(NO_CODE, "")
    if len(payload) == 1:
        raise ProtocolError("close frame with half a code")
    code = int.from_bytes(payload[:2], "big")
    if not _is_sendable(code):
        raise ProtocolError("close code that may not be sent")
    try:
        return Close(code, payload[2:].decode())
    except UnicodeDecodeError as error:
        raise InvalidPayloadError("close reason is not UTF-8") from error


def _is_sendable(code: int) -> bool:
    # RFC 6455 §7.4.1 and the IANA registry (1012 to 1014); §7.4.2 gives 3000 to 4999 to applications.
    return 1000 <= code <= 1003 or 1007 <= code <= 1014 or 3000 <= code <= 4999


class FrameSink(Protocol):
    """Who is told of the frames: each method may raise `ProtocolError` to fail the connection."""

    def begin_frame(self, opcode: Opcode, length: int, fin: bool, rsv1: bool) -> None:
        """Begin a data frame of `length` bytes."""

    def receive_payload(self, payload: bytes, finished: bool) -> None:
        """More of that frame's payload, unmasked; `finished` with its last piece."""

    def receive_control(self, opcode: Opcode, payload: bytes) -> bool:
        """Take a whole control frame. False ends the reading: nothing that follows is looked at."""


class FrameReader:
    """Cuts a client's byte stream into frames and tells a sink of them.

    Args:
        allow_rsv1: whether an extension that uses RSV1 was negotiated.
    """

    __slots__ = ("_allow_rsv1", "_is_paused", "_kept", "_last_length", "_mask", "bytes_expected")

    def __init__(self, *, allow_rsv1: bool = False) -> None:
        self._allow_rsv1 = allow_rsv1
        self._is_paused = False
        self._kept = b""
        """An incomplete header, or an incomplete control frame."""
        self.bytes_expected = 0
        """Bytes of the current data frame's payload that are still to come."""
        self._last_length = 0
        self._mask = b""
        """The current data frame's mask, turned so that it starts at the next byte."""

    @property
    def between_frames(self) -> bool:
        """Whether the next byte is the first of a frame."""
        return not self._kept and not self.bytes_expected

    def guess_next(self) -> int:
        """Bytes of payload that are about to come: the rest of a data frame, or as many as the last one had.

        From each frame this is guessed once, for a flood of small ones may follow a large one.
        """
        if self.bytes_expected:
            return self.bytes_expected
        guess, self._last_length = self._last_length, 0
        return guess

    def pause(self) -> None:
        """Have `receive_data`, which is telling its sink of a frame, read no further. For the sink."""
        self._is_paused = True

    def receive_data(self, data: bytes | memoryview, sink: FrameSink) -> bytes:
        """Take bytes from the socket, of which nothing is kept uncopied, and tell the sink, in order, what they held.

        Returns:
            What is left of them, to be given again, if the sink has called `pause`; otherwise nothing.

        Raises:
            ProtocolError: the connection fails with its code; the reader must not be used again.
        """
        self._is_paused = False
        if self._kept:
            data = self._kept + data
            self._kept = b""
        position = 0
        while position < len(data):
            if self._is_paused:
                return bytes(data[position:])
            if self.bytes_expected:
                position = self._read_payload(data, position, sink)
                continue
            after = self._read_frame(data, position, sink)
            if after is None:
                self._kept = bytes(data[position:])
                break
            position = after
        return b""

    def _read_frame(self, data: bytes | memoryview, start: int, sink: FrameSink) -> int | None:
        """Read a header, with the payload if it is a control frame; None when some of it is missing.

        Returns where the next frame or this one's payload begins; past the end when reading is over.
        """
        if len(data) - start < 2:
            return None
        opcode = self._check(data[start], data[start + 1])
        short = data[start + 1] & 0x7F
        payload_start = start + (6 if short < 126 else 8 if short == 126 else 14)
        if len(data) < payload_start:
            return None
        length = short if short < 126 else _read_length(data[start + 2 : payload_start - 4])
        mask = bytes(data[payload_start - 4 : payload_start])
        if opcode >= Opcode.CLOSE:
            end = payload_start + length
            if len(data) < end:
                return None
            goes_on = sink.receive_control(opcode, apply_mask(data[payload_start:end], mask))
            return end if goes_on else len(data)
        sink.begin_frame(opcode, length, bool(data[start] & _FIN), bool(data[start] & _RSV1))
        self.bytes_expected = self._last_length = length
        self._mask = mask
        if not length:
            sink.receive_payload(b"", True)
        return payload_start

    def _check(self, first: int, second: int) -> Opcode:
        # "If a nonzero value is received and none of the negotiated extensions defines the meaning of such a
        # nonzero value, the receiving endpoint MUST Fail the WebSocket Connection" (RFC 6455 §5.2)
        if first & _RSV2_AND_RSV3 or (first & _RSV1 and not self._allow_rsv1):
            raise ProtocolError("reserved bits are set")
        opcode = _OPCODES.get(first & 0x0F)
        if opcode is None:
            raise ProtocolError("reserved opcode")
        # "The server MUST close the connection upon receiving a frame that is not masked" (RFC 6455 §5.1)
        if not second & _MASKED:
            raise ProtocolError("frame is not masked")
        if opcode >= Opcode.CLOSE:
            # "All control frames MUST have a payload length of 125 bytes or less and MUST NOT be fragmented"
            # (RFC 6455 §5.5); an extension may change data frames only (RFC 7692 §6).
            if second & 0x7F > MAX_CONTROL_PAYLOAD:
                raise ProtocolError("control frame is too long")
            if not first & _FIN:
                raise ProtocolError("control frame is fragmented")
            if first & _RSV1:
                raise ProtocolError("reserved bits are set")
        return opcode

    def _read_payload(self, data: bytes | memoryview, start: int, sink: FrameSink) -> int:
        payload = memoryview(data)[start : start + self.bytes_expected]
        length = len(payload)
        self.bytes_expected -= length
        mask = self._mask
        turn = length % 4
        self._mask = mask[turn:] + mask[:turn]
        sink.receive_payload(apply_mask(payload, mask), not self.bytes_expected)
        return start + length


def _read_length(field: bytes | memoryview) -> int:
    """Return the extended payload length (RFC 6455 §5.2)."""
    length = int.from_bytes(field, "big")
    # "the minimal number of bytes MUST be used to encode the length"
    if length < (126 if len(field) == 2 else 65536):
        raise ProtocolError("length is not encoded in the fewest bytes")
    # "the most significant bit MUST be 0"
    if length >= 1 << 63:
        raise ProtocolError("length has its most significant bit set")
    return length
