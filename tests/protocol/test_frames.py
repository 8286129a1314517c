"""`gws.protocol.frames`: the frames that gws sends (RFC 6455 §5), and the close codes of §7.4."""

from __future__ import annotations

import re
from typing import Any

import pytest
from websockets.frames import EXTERNAL_CLOSE_CODES, Frame
from websockets.frames import Opcode as TheirOpcode

from gws.errors import InvalidPayloadError, ProtocolError
from gws.protocol import frames
from gws.protocol.frames import Close, Opcode

from ..support.client_frames import TEXT, frame

LENGTHS = (0, 1, 2, 124, 125, 126, 127, 128, 255, 256, 65534, 65535, 65536, 70000)
LAST_CODES = {1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014}


def may_be_sent(code: int) -> bool:
    return code in LAST_CODES or 3000 <= code <= 4999


# Frames out


def test_a_frame_has_its_opcode_and_bits() -> None:
    for opcode in Opcode:
        for fin in (True, False):
            for rsv1 in (True, False):
                expected = frame(opcode.value, b"payload", fin=fin, rsv=0b100 if rsv1 else 0, mask=None)
                assert frames.encode_frame(opcode, b"payload", fin=fin, rsv1=rsv1) == expected


def test_a_frame_is_unmasked_and_has_the_shortest_length() -> None:
    for length in LENGTHS:
        expected = Frame(TheirOpcode.BINARY, bytes(length)).serialize(mask=False)
        assert frames.encode_frame(Opcode.BINARY, bytes(length)) == expected
        assert frames.encode_binary(bytes(length)) == expected


def test_a_text_of_any_length_is_one_frame() -> None:
    for length in (*range(130), 65535, 65536):
        assert frames.encode_text("x" * length) == frame(TEXT, b"x" * length, mask=None)


def test_the_examples_of_the_rfc() -> None:
    # RFC 6455 §5.7
    assert frames.encode_text("Hello") == b"\x81\x05Hello"
    assert frames.encode_frame(Opcode.TEXT, b"Hel", fin=False) == b"\x01\x03Hel"
    assert frames.encode_frame(Opcode.CONTINUATION, b"lo") == b"\x80\x02lo"
    assert frames.encode_frame(Opcode.PING, b"Hello") == b"\x89\x05Hello"
    assert frames.encode_binary(bytes(256))[:4] == b"\x82\x7e\x01\x00"
    assert frames.encode_binary(bytes(65536))[:10] == b"\x82\x7f\x00\x00\x00\x00\x00\x01\x00\x00"


def test_the_length_of_a_text_is_counted_in_bytes() -> None:
    for length in (62, 63, 32767, 32768):
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


def test_a_code_out_of_range_is_refused() -> None:
    for code in (-1, 65535, 65536, 1 << 20):
        with pytest.raises(ValueError, match="may not be sent"):
            frames.check_close(code, "")


@pytest.mark.parametrize(("code", "reason"), [(1000.0, ""), ("1000", ""), (1000, b"bye"), (1000, None)])
def test_a_code_that_is_no_int_or_a_reason_that_is_no_str_is_refused(code: Any, reason: Any) -> None:
    with pytest.raises(TypeError, match=re.escape(f"an int and a str, not {code!r} and {reason!r}")):
        frames.check_close(code, reason)


def test_a_reason_of_123_bytes_fits() -> None:
    for reason in ("x" * 123, "ü" * 61 + "x"):
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


def test_a_close_reason_that_is_not_utf8_is_an_invalid_payload() -> None:
    for reason in (b"\xff", b"ok\xc3", b"\xed\xa0\x80", b"\xc0\x80", b"\xf4\x90\x80\x80"):
        with pytest.raises(InvalidPayloadError) as caught:
            frames.parse_close(b"\x03\xe8" + reason)
        assert caught.value.code == 1007
