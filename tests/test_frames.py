"""`gws.protocol.frames`: RFC 6455 §5, and the close codes of §7.4."""

from __future__ import annotations

import importlib.util
import sys
import tracemalloc
from types import FunctionType
from typing import Any

import pytest
from websockets.frames import EXTERNAL_CLOSE_CODES, Frame
from websockets.frames import Opcode as TheirOpcode

from gws.errors import InvalidPayloadError, ProtocolError
from gws.protocol import frames, masking
from gws.protocol.frames import Close, FrameReader, Opcode

from .client_frames import (
    BINARY,
    CLOSE,
    CONTINUATION,
    MASK,
    PING,
    PONG,
    TEXT,
    arrivals,
    close,
    frame,
    head,
    mask_payload,
    text,
)

LENGTHS = (0, 1, 2, 124, 125, 126, 127, 128, 255, 256, 65534, 65535, 65536, 70000)
LAST_CODES = {1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014}


def may_be_sent(code: int) -> bool:
    return code in LAST_CODES or 3000 <= code <= 4999


class Recorder:
    """Keeps what a reader tells, a frame's payload in one piece."""

    def __init__(self) -> None:
        self.told: list[tuple[Any, ...]] = []
        self.pieces: list[bytes] = []

    def begin_frame(self, opcode: Opcode, length: int, fin: bool, rsv1: bool) -> None:
        self.told.append(("begin", opcode, length, fin, rsv1))
        self.pieces = []

    def receive_payload(self, payload: bytes, finished: bool) -> None:
        self.pieces.append(payload)
        if finished:
            self.told.append(("payload", b"".join(self.pieces)))

    def receive_control(self, opcode: Opcode, payload: bytes) -> bool:
        self.told.append(("control", opcode, payload))
        return opcode is not Opcode.CLOSE


def read(pieces: list[bytes], *, allow_rsv1: bool = False) -> list[tuple[Any, ...]]:
    reader, recorder = FrameReader(allow_rsv1=allow_rsv1), Recorder()
    try:
        for piece in pieces:
            reader.receive_data(piece, recorder)
    except ProtocolError as error:
        recorder.told.append(("error", error.code, str(error)))
    return recorder.told


def read_every_way(stream: bytes, *, allow_rsv1: bool = False) -> list[tuple[Any, ...]]:
    told = read([stream], allow_rsv1=allow_rsv1)
    for pieces in arrivals(stream):
        assert read(pieces, allow_rsv1=allow_rsv1) == told
    return told


# Frames out


@pytest.mark.parametrize("opcode", list(Opcode))
@pytest.mark.parametrize("fin", [True, False])
@pytest.mark.parametrize("rsv1", [True, False])
def test_a_frame_has_its_opcode_and_bits(opcode: Opcode, fin: bool, rsv1: bool) -> None:
    expected = frame(opcode.value, b"payload", fin=fin, rsv=0b100 if rsv1 else 0, mask=None)
    assert frames.encode_frame(opcode, b"payload", fin=fin, rsv1=rsv1) == expected


@pytest.mark.parametrize("length", LENGTHS)
def test_a_frame_is_unmasked_and_has_the_shortest_length(length: int) -> None:
    expected = Frame(TheirOpcode.BINARY, bytes(length)).serialize(mask=False)
    assert frames.encode_frame(Opcode.BINARY, bytes(length)) == expected
    assert frames.encode_binary(bytes(length)) == expected


@pytest.mark.parametrize("length", [*range(130), 65535, 65536])
def test_a_text_of_any_length_is_one_frame(length: int) -> None:
    assert frames.encode_text("x" * length) == frame(TEXT, b"x" * length, mask=None)


def test_the_examples_of_the_rfc() -> None:
    # RFC 6455 §5.7
    assert frames.encode_text("Hello") == b"\x81\x05Hello"
    assert frames.encode_frame(Opcode.TEXT, b"Hel", fin=False) == b"\x01\x03Hel"
    assert frames.encode_frame(Opcode.CONTINUATION, b"lo") == b"\x80\x02lo"
    assert frames.encode_frame(Opcode.PING, b"Hello") == b"\x89\x05Hello"
    assert frames.encode_binary(bytes(256))[:4] == b"\x82\x7e\x01\x00"
    assert frames.encode_binary(bytes(65536))[:10] == b"\x82\x7f\x00\x00\x00\x00\x00\x01\x00\x00"


@pytest.mark.parametrize("length", [62, 63, 32767, 32768])
def test_the_length_of_a_text_is_counted_in_bytes(length: int) -> None:
    assert frames.encode_text("ü" * length) == frame(TEXT, "ü".encode() * length, mask=None)


def test_a_lone_surrogate_cannot_be_encoded() -> None:
    with pytest.raises(UnicodeEncodeError):
        frames.encode_text("\ud800")


def test_a_close_frame_has_its_code_and_reason() -> None:
    assert frames.encode_close(Close(1000, "")) == b"\x88\x02\x03\xe8"
    assert frames.encode_close(Close(4999, "bÿe")) == b"\x88\x06\x13\x87b\xc3\xbfe"


def test_a_close_without_a_code_is_empty() -> None:
    assert frames.encode_close(Close(frames.NO_CODE, "")) == b"\x88\x00"


# What an application may close with


def test_the_codes_of_the_registry_are_those_of_another_implementation() -> None:
    assert set(EXTERNAL_CLOSE_CODES) == LAST_CODES


def test_an_application_closes_with_sendable_codes_only() -> None:
    for code in range(5001):
        if may_be_sent(code):
            assert frames.check_close(code, "bye") == Close(code, "bye")
        else:
            with pytest.raises(ValueError, match=f"close code {code} may not be sent"):
                frames.check_close(code, "bye")


@pytest.mark.parametrize("code", [-1, 65535, 65536, 1 << 20])
def test_a_code_out_of_range_is_refused(code: int) -> None:
    with pytest.raises(ValueError, match="may not be sent"):
        frames.check_close(code, "")


@pytest.mark.parametrize("code", [1000.0, 3000.5])
def test_a_code_that_is_no_integer_is_refused(code: Any) -> None:
    with pytest.raises((TypeError, ValueError)):
        frames.check_close(code, "")


@pytest.mark.parametrize("reason", ["x" * 123, "ü" * 61 + "x"])
def test_a_reason_of_123_bytes_fits(reason: str) -> None:
    assert frames.check_close(1000, reason).reason == reason
    assert frames.encode_close(Close(1000, reason))[1] == 125


@pytest.mark.parametrize("reason", ["x" * 124, "ü" * 62])
def test_a_reason_of_124_bytes_is_refused(reason: str) -> None:
    with pytest.raises(ValueError, match="at most 123 bytes of UTF-8, this one 124"):
        frames.check_close(1000, reason)


def test_a_reason_with_a_lone_surrogate_is_refused() -> None:
    with pytest.raises(ValueError, match="surrogates"):
        frames.check_close(1000, "\udfff")


# What a Close frame says


def test_an_empty_close_has_no_code() -> None:
    assert frames.parse_close(b"") == Close(1005, "")


def test_half_a_close_code_is_a_protocol_error() -> None:
    with pytest.raises(ProtocolError, match="half a code") as caught:
        frames.parse_close(b"\x03")
    assert caught.value.code == 1002


def test_a_close_has_a_code_and_a_reason() -> None:
    assert frames.parse_close(b"\x03\xe8") == Close(1000, "")
    assert frames.parse_close(b"\x03\xe9" + "größe".encode()) == Close(1001, "größe")
    assert frames.parse_close(b"\x03\xe8" + b"x" * 123) == Close(1000, "x" * 123)


def test_a_received_close_code_is_sendable_or_a_protocol_error() -> None:
    for code in range(65536):
        payload = code.to_bytes(2, "big") + b"bye"
        if may_be_sent(code):
            assert frames.parse_close(payload) == Close(code, "bye")
        else:
            with pytest.raises(ProtocolError, match="close code that may not be sent"):
                frames.parse_close(payload)


@pytest.mark.parametrize("reason", [b"\xff", b"ok\xc3", b"\xed\xa0\x80", b"\xc0\x80", b"\xf4\x90\x80\x80"])
def test_a_close_reason_that_is_not_utf8_is_an_invalid_payload(reason: bytes) -> None:
    with pytest.raises(InvalidPayloadError) as caught:
        frames.parse_close(b"\x03\xe8" + reason)
    assert caught.value.code == 1007


# Frames in


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("opcode", [CONTINUATION, TEXT, BINARY])
def test_a_data_frame_of_any_length_is_read(opcode: int, length: int) -> None:
    payload = bytes(index * 7 % 251 for index in range(length))
    told = read_every_way(frame(opcode, payload))
    assert told == [("begin", Opcode(opcode), length, True, False), ("payload", payload)]


@pytest.mark.parametrize("length", [0, 1, 2, 124, 125])
@pytest.mark.parametrize("opcode", [CLOSE, PING, PONG])
def test_a_control_frame_is_read_whole(opcode: int, length: int) -> None:
    payload = bytes(range(length))
    assert read_every_way(frame(opcode, payload)) == [("control", Opcode(opcode), payload)]


@pytest.mark.parametrize("opcode", [CONTINUATION, TEXT, BINARY])
def test_a_frame_that_is_not_final_says_so(opcode: int) -> None:
    told = read_every_way(frame(opcode, b"part", fin=False))
    assert told == [("begin", Opcode(opcode), 4, False, False), ("payload", b"part")]


def test_frames_follow_each_other() -> None:
    stream = frame(BINARY, b"one") + frame(PING, b"?") + frame(BINARY) + frame(BINARY, b"two" * 50)
    assert read_every_way(stream) == [
        ("begin", Opcode.BINARY, 3, True, False),
        ("payload", b"one"),
        ("control", Opcode.PING, b"?"),
        ("begin", Opcode.BINARY, 0, True, False),
        ("payload", b""),
        ("begin", Opcode.BINARY, 150, True, False),
        ("payload", b"two" * 50),
    ]


@pytest.mark.parametrize(
    "mask", [bytes(4), b"\xff" * 4, b"\0\0\0\1", b"\1\0\0\0", b"\x81\x85\x37\xfa", b"\x7f\xfe\0\xff"]
)
def test_any_mask_is_taken_off(mask: bytes) -> None:
    payload = b"the quick brown fox"
    stream = frame(BINARY, payload, mask=mask) + frame(PING, payload, mask=mask)
    assert read_every_way(stream)[1:] == [("payload", payload), ("control", Opcode.PING, payload)]


def test_every_octet_of_a_mask_counts() -> None:
    for octet in range(256):
        mask = bytes((octet, 255 - octet, octet ^ 0x55, octet ^ 0xAA))
        assert read([frame(BINARY, b"abcdefg", mask=mask)])[1] == ("payload", b"abcdefg")


@pytest.mark.parametrize("first", range(9))
@pytest.mark.parametrize("second", range(9))
def test_the_mask_goes_on_where_the_last_piece_ended(first: int, second: int) -> None:
    stream = frame(BINARY, bytes(range(32)))
    begin = len(stream) - 32
    pieces = [
        stream[: begin + first],
        stream[begin + first : begin + first + second],
        stream[begin + first + second :],
    ]
    assert read(pieces)[1] == ("payload", bytes(range(32)))


def test_a_header_is_told_before_any_payload() -> None:
    assert read([head(BINARY, 1 << 40)]) == [("begin", Opcode.BINARY, 1 << 40, True, False)]


def test_payload_is_passed_on_as_soon_as_it_is_there() -> None:
    reader, recorder = FrameReader(), Recorder()
    reader.receive_data(head(BINARY, 10) + mask_payload(b"abc"), recorder)
    assert recorder.pieces == [b"abc"]
    reader.receive_data(mask_payload(b"abcdefg")[3:], recorder)
    assert recorder.pieces == [b"abc", b"defg"]


def test_the_longest_length_is_accepted() -> None:
    longest = (1 << 63) - 1
    assert read([head(BINARY, longest)]) == [("begin", Opcode.BINARY, longest, True, False)]


def test_the_next_byte_begins_a_frame_or_does_not() -> None:
    reader, recorder = FrameReader(), Recorder()
    answers = []
    for octet in frame(BINARY, b"ab") + frame(PING, b"c"):
        reader.receive_data(bytes((octet,)), recorder)
        answers.append(reader.between_frames)
    assert answers == [False] * 7 + [True] + [False] * 6 + [True]


def test_nothing_is_nothing() -> None:
    assert read([b"", b""]) == []


def test_nothing_after_a_close_is_looked_at() -> None:
    for rest in (text("late"), frame(PING), frame(TEXT, mask=None), b"\xff" * 20, close(1001), b"\x81"):
        assert read([close(1000) + rest]) == [("control", Opcode.CLOSE, b"\x03\xe8")]


# Frames that fail the connection


def fails(stream: bytes, message: str) -> None:
    """Fails with 1002, however it arrives."""
    assert read_every_way(stream)[-1] == ("error", 1002, message)


@pytest.mark.parametrize("opcode", [3, 4, 5, 6, 7, 11, 12, 13, 14, 15])
@pytest.mark.parametrize("fin", [True, False])
def test_a_reserved_opcode_fails(opcode: int, fin: bool) -> None:
    fails(frame(opcode, b"x", fin=fin), "reserved opcode")


@pytest.mark.parametrize("rsv", range(1, 8))
@pytest.mark.parametrize("opcode", [CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG])
def test_a_reserved_bit_fails(opcode: int, rsv: int) -> None:
    fails(frame(opcode, b"", rsv=rsv), "reserved bits are set")


@pytest.mark.parametrize("opcode", [CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG])
@pytest.mark.parametrize("length", [0, 1, 125, 126, 65536])
def test_an_unmasked_frame_fails(opcode: int, length: int) -> None:
    assert read([frame(opcode, bytes(length), mask=None)]) == [("error", 1002, "frame is not masked")]


@pytest.mark.parametrize("opcode", [CLOSE, PING, PONG])
@pytest.mark.parametrize("length", [126, 127, 65535, 65536])
def test_a_control_frame_over_125_bytes_fails(opcode: int, length: int) -> None:
    assert read([frame(opcode, bytes(length))]) == [("error", 1002, "control frame is too long")]


@pytest.mark.parametrize("opcode", [CLOSE, PING, PONG])
def test_a_fragmented_control_frame_fails(opcode: int) -> None:
    fails(frame(opcode, b"x", fin=False), "control frame is fragmented")


@pytest.mark.parametrize("length", [0, 1, 124, 125])
def test_a_16_bit_length_that_fits_in_7_fails(length: int) -> None:
    fails(b"\x82\xfe" + length.to_bytes(2, "big") + MASK, "length is not encoded in the fewest bytes")


@pytest.mark.parametrize("length", [0, 1, 125, 126, 65535])
def test_a_64_bit_length_that_fits_in_16_fails(length: int) -> None:
    fails(b"\x82\xff" + length.to_bytes(8, "big") + MASK, "length is not encoded in the fewest bytes")


@pytest.mark.parametrize("length", [1 << 63, (1 << 63) + 126, (1 << 64) - 1])
def test_a_length_with_its_most_significant_bit_set_fails(length: int) -> None:
    fails(b"\x82\xff" + length.to_bytes(8, "big") + MASK, "length has its most significant bit set")


@pytest.mark.parametrize("start", [b"\x83\x80", b"\xf1\x80", b"\x81\x05", b"\x89\xfe", b"\x09\x80"])
def test_a_bad_frame_fails_at_its_second_byte(start: bytes) -> None:
    assert [told[:2] for told in read([start])] == [("error", 1002)]


def test_what_came_before_a_bad_frame_is_told() -> None:
    told = read_every_way(frame(PING, b"x") + text("ok") + frame(TEXT, b"bad", mask=None))
    assert told == [
        ("control", Opcode.PING, b"x"),
        ("begin", Opcode.TEXT, 2, True, False),
        ("payload", b"ok"),
        ("error", 1002, "frame is not masked"),
    ]


def test_every_second_byte_and_first_byte_is_accepted_or_a_protocol_error() -> None:
    for first in range(256):
        for second in range(256):
            opcode, control, length = first & 0x0F, bool(first & 0x08), second & 0x7F
            legal = opcode in (0, 1, 2, 8, 9, 10) and not first & 0x70 and second & 0x80
            if control:
                legal = legal and first & 0x80 and length <= 125
            told = read([bytes((first, second))])
            assert [entry[:2] for entry in told] == ([] if legal else [("error", 1002)])


# Extensions


@pytest.mark.parametrize("opcode", [CONTINUATION, TEXT, BINARY])
def test_rsv1_passes_where_an_extension_uses_it(opcode: int) -> None:
    told = read_every_way(frame(opcode, b"x", rsv=0b100), allow_rsv1=True)
    assert told == [("begin", Opcode(opcode), 1, True, True), ("payload", b"x")]


@pytest.mark.parametrize("rsv", [0b001, 0b010, 0b011, 0b101, 0b110, 0b111])
def test_the_other_reserved_bits_fail_all_the_same(rsv: int) -> None:
    assert read_every_way(frame(TEXT, b"x", rsv=rsv), allow_rsv1=True) == [
        ("error", 1002, "reserved bits are set")
    ]


@pytest.mark.parametrize("opcode", [CLOSE, PING, PONG])
def test_no_extension_changes_control_frames(opcode: int) -> None:
    told = read_every_way(frame(opcode, b"", rsv=0b100), allow_rsv1=True)
    assert told == [("error", 1002, "reserved bits are set")]


# Memory


def test_an_endless_frame_costs_nothing() -> None:
    class Sink(Recorder):
        def receive_payload(self, payload: bytes, finished: bool) -> None:
            pass

    reader, sink, piece = FrameReader(), Sink(), bytes(65536)
    reader.receive_data(head(BINARY, 1 << 40), sink)
    reader.receive_data(piece, sink)
    tracemalloc.start()
    for _ in range(500):
        reader.receive_data(piece, sink)
    kept, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert kept < 2_000
    assert peak < 4 * len(piece)


def test_an_incomplete_control_frame_keeps_no_more_than_itself() -> None:
    reader, sink = FrameReader(), Recorder()
    tracemalloc.start()
    for octet in frame(PING, bytes(125))[:-1]:
        reader.receive_data(bytes((octet,)), sink)
    kept, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert kept < 1_000
    assert peak < 3_000
    assert sink.told == []


# The mask


@pytest.mark.parametrize("length", [*range(20), 125, 126, 65536])
def test_the_mask_is_that_of_the_rfc(length: int) -> None:
    payload = bytes(index * 7 % 251 for index in range(length))
    assert masking.apply_mask(payload, MASK) == mask_payload(payload)


def test_without_the_c_extension_masks_come_off_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "websockets.speedups", None)
    monkeypatch.delitem(sys.modules, "websockets.utils", raising=False)
    spec = importlib.util.spec_from_file_location("masking_in_python", masking.__file__)
    assert spec is not None
    assert spec.loader is not None
    in_python = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(in_python)
    assert isinstance(in_python.apply_mask, FunctionType)
    assert in_python.apply_mask(b"0123456789", MASK) == mask_payload(b"0123456789")
