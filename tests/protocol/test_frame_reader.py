"""`gws.protocol.frames.FrameReader` and the mask: RFC 6455 §5.2 to §5.5, however the bytes arrive."""

from __future__ import annotations

import importlib.util
import sys
import tracemalloc
from types import FunctionType
from typing import Any

import pytest

from gws.errors import ProtocolError
from gws.protocol import masking
from gws.protocol.frames import FrameReader, Opcode

from ..support.client_frames import (
    BINARY,
    CONTROL,
    DATA,
    MASK,
    PING,
    TEXT,
    arrivals,
    close,
    frame,
    head,
    mask_payload,
    text,
)

LENGTHS = (0, 1, 2, 124, 125, 126, 127, 128, 255, 256, 65534, 65535, 65536, 70000)


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


# Frames in


def test_a_data_frame_of_any_length_is_read() -> None:
    for length in LENGTHS:
        for opcode in DATA:
            payload = bytes(index * 7 % 251 for index in range(length))
            told = read_every_way(frame(opcode, payload))
            assert told == [("begin", Opcode(opcode), length, True, False), ("payload", payload)]


def test_a_control_frame_is_read_whole() -> None:
    for length in (0, 1, 2, 124, 125):
        for opcode in CONTROL:
            payload = bytes(range(length))
            assert read_every_way(frame(opcode, payload)) == [("control", Opcode(opcode), payload)]


def test_a_frame_that_is_not_final_says_so() -> None:
    for opcode in DATA:
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


def test_any_mask_is_taken_off() -> None:
    for mask in (bytes(4), b"\xff" * 4, b"\0\0\0\1", b"\1\0\0\0", b"\x81\x85\x37\xfa", b"\x7f\xfe\0\xff"):
        payload = b"the quick brown fox"
        stream = frame(BINARY, payload, mask=mask) + frame(PING, payload, mask=mask)
        assert read_every_way(stream)[1:] == [("payload", payload), ("control", Opcode.PING, payload)]


def test_every_octet_of_a_mask_counts() -> None:
    for octet in range(256):
        mask = bytes((octet, 255 - octet, octet ^ 0x55, octet ^ 0xAA))
        assert read([frame(BINARY, b"abcdefg", mask=mask)])[1] == ("payload", b"abcdefg")


def test_the_mask_goes_on_where_the_last_piece_ended() -> None:
    for first in range(9):
        for second in range(9):
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


def test_a_reserved_opcode_fails() -> None:
    for opcode in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15):
        for fin in (True, False):
            fails(frame(opcode, b"x", fin=fin), "reserved opcode")


def test_a_reserved_bit_fails() -> None:
    for rsv in range(1, 8):
        for opcode in DATA + CONTROL:
            fails(frame(opcode, b"", rsv=rsv), "reserved bits are set")


def test_an_unmasked_frame_fails() -> None:
    for opcode in DATA + CONTROL:
        for length in (0, 1, 125, 126, 65536):
            assert read([frame(opcode, bytes(length), mask=None)]) == [("error", 1002, "frame is not masked")]


def test_a_control_frame_over_125_bytes_fails() -> None:
    for opcode in CONTROL:
        for length in (126, 127, 65535, 65536):
            assert read([frame(opcode, bytes(length))]) == [("error", 1002, "control frame is too long")]


def test_a_fragmented_control_frame_fails() -> None:
    for opcode in CONTROL:
        fails(frame(opcode, b"x", fin=False), "control frame is fragmented")


def test_a_16_bit_length_that_fits_in_7_fails() -> None:
    for length in (0, 1, 124, 125):
        fails(b"\x82\xfe" + length.to_bytes(2, "big") + MASK, "length is not encoded in the fewest bytes")


def test_a_64_bit_length_that_fits_in_16_fails() -> None:
    for length in (0, 1, 125, 126, 65535):
        fails(b"\x82\xff" + length.to_bytes(8, "big") + MASK, "length is not encoded in the fewest bytes")


def test_a_length_with_its_most_significant_bit_set_fails() -> None:
    for length in (1 << 63, (1 << 63) + 126, (1 << 64) - 1):
        fails(b"\x82\xff" + length.to_bytes(8, "big") + MASK, "length has its most significant bit set")


def test_a_bad_frame_fails_at_its_second_byte() -> None:
    for start in (b"\x83\x80", b"\xf1\x80", b"\x81\x05", b"\x89\xfe", b"\x09\x80"):
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


def test_rsv1_passes_where_an_extension_uses_it() -> None:
    for opcode in DATA:
        told = read_every_way(frame(opcode, b"x", rsv=0b100), allow_rsv1=True)
        assert told == [("begin", Opcode(opcode), 1, True, True), ("payload", b"x")]


def test_the_other_reserved_bits_fail_all_the_same() -> None:
    for rsv in (0b001, 0b010, 0b011, 0b101, 0b110, 0b111):
        assert read_every_way(frame(TEXT, b"x", rsv=rsv), allow_rsv1=True) == [
            ("error", 1002, "reserved bits are set")
        ]


def test_no_extension_changes_control_frames() -> None:
    for opcode in CONTROL:
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


def test_the_mask_is_that_of_the_rfc() -> None:
    for length in (*range(20), 125, 126, 65536):
        payload = bytes(index * 7 % 251 for index in range(length))
        masked = bytes(octet ^ MASK[index % 4] for index, octet in enumerate(payload))
        assert masking.apply_mask(payload, MASK) == masked


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
