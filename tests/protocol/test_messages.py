"""`gws.protocol.messages`: messages in one frame, control frames (RFC 6455 §5.5, §7.1), in any pieces."""

from __future__ import annotations

import random

import pytest

from gws.errors import InvalidPayloadError, MessageTooBigError, ProtocolError
from gws.protocol.frames import Close

from ..support.client_frames import (
    BINARY,
    CLOSE,
    CONTINUATION,
    CONTROL,
    MASK,
    PING,
    PONG,
    TEXT,
    close,
    fragments,
    frame,
    head,
    mask_payload,
    text,
)
from ..support.outcome import LIMIT, Outcome, pong, read, read_every_way


def test_a_message_of_any_length() -> None:
    for length in (0, 1, 2, 124, 125, 126, 127, 128, 65535, 65536, 70000):
        payload = bytes(32 + index % 95 for index in range(length))
        assert read_every_way(frame(TEXT, payload)) == Outcome([payload.decode()])
        assert read_every_way(frame(BINARY, payload)) == Outcome([payload])


def test_any_mask_is_taken_off() -> None:
    for mask in (bytes(4), b"\xff" * 4, b"\0\0\0\1", b"\x80\0\0\0", b"\x81\x85\x37\xfa"):
        stream = frame(TEXT, b"hello", mask=mask) + frame(BINARY, b"hello", mask=mask)
        assert read_every_way(stream) == Outcome(["hello", b"hello"])


def test_text_is_str_and_binary_is_bytes() -> None:
    messages = read(
        [text("a"), frame(BINARY, b"a"), *fragments(TEXT, b"a", b""), *fragments(BINARY, b"a", b"")]
    ).messages
    assert [type(message) for message in messages] == [str, bytes, str, bytes]


def test_many_messages_in_one_read_come_in_order() -> None:
    expected = [f"message {number}" for number in range(20)]
    assert read_every_way(b"".join(map(text, expected))) == Outcome([*expected])


def test_short_and_long_text_and_binary_mix() -> None:
    long = "ü" * 100
    stream = text("1") + text(long) + text("2") + frame(BINARY, b"3") + text("") + text("5") + frame(BINARY)
    assert read_every_way(stream) == Outcome(["1", long, "2", b"3", "", "5", b""])


def test_text_keeps_what_is_special_elsewhere() -> None:
    special = "\x00\r\n\ufeff\ufffe\uffff\U0010ffff\u2028 Connection closed"
    assert read_every_way(text(special)) == Outcome([special])


def test_nothing_is_nothing() -> None:
    assert read([b"", b""]) == Outcome()


def test_a_message_is_there_with_its_last_byte_and_not_before() -> None:
    for stream in (
        text("hello"),
        frame(BINARY, b"hello"),
        text("x" * 200),
        b"".join(fragments(TEXT, b"a", b"b")),
    ):
        assert read([stream[:-1]]).messages == []
        assert len(read([stream[:-1], stream[-1:]]).messages) == 1


# Control frames


def test_every_ping_is_answered_in_order() -> None:
    stream = frame(PING, b"1") + text("between") + frame(PING, b"2") + frame(PING)
    assert read_every_way(stream) == Outcome(["between"], [pong(b"1"), pong(b"2"), pong(b"")])


def test_a_pong_is_not_answered() -> None:
    for payload in (b"", b"unasked", bytes(125)):
        assert read_every_way(frame(PONG, payload)) == Outcome()


def test_a_control_frame_over_125_bytes_fails() -> None:
    for opcode in CONTROL:
        assert read_every_way(frame(opcode, bytes(126))) == Outcome(
            error=1002, reason="control frame is too long"
        )


def test_a_fragmented_control_frame_fails() -> None:
    for opcode in CONTROL:
        assert read_every_way(frame(opcode, b"", fin=False)) == Outcome(
            error=1002, reason="control frame is fragmented"
        )


# Close


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        (b"", Close(1005, "")),
        (b"\x03\xe8", Close(1000, "")),
        (b"\x0f\xa0" + "¡adiós!".encode(), Close(4000, "¡adiós!")),
        (b"\x03\xe8" + b"x" * 123, Close(1000, "x" * 123)),
    ],
)
def test_a_close_is_kept_and_not_answered(payload: bytes, expected: Close) -> None:
    assert read_every_way(text("last") + frame(CLOSE, payload)) == Outcome(["last"], close=expected)


@pytest.mark.parametrize(
    ("payload", "code"),
    [(b"\x03", 1002), (b"\x03\xe7", 1002), (b"\x03\xed", 1002), (b"\x03\xee", 1002), (b"\x03\xe8\xff", 1007)],
)
def test_a_bad_close_fails_and_is_no_close(payload: bytes, code: int) -> None:
    outcome = read_every_way(frame(CLOSE, payload) + text("late"))
    assert (outcome.messages, outcome.close, outcome.error) == ([], None, code)


def test_nothing_after_a_close_is_looked_at() -> None:
    for rest in (
        text("late"),
        frame(BINARY, b"late"),
        frame(PING, b"late"),
        close(1001, b"again"),
        frame(TEXT, b"unmasked", mask=None),
        frame(TEXT, b"\xff"),
        head(BINARY, LIMIT + 1),
        b"\xff\xff\xff\xff",
    ):
        assert read_every_way(text("hello") + close(1000) + rest) == Outcome(["hello"], close=Close(1000, ""))


# Frames that fail are those of test_frame_reader; here, that nothing gets past by way of the quick path.


def test_the_first_byte_of_a_frame_counts_on_every_way() -> None:
    errors = {0x01: None, 0x02: None, 0x81: 1007, 0x82: None, 0x88: None, 0x89: None, 0x8A: None}
    for first in range(256):
        outcome = read_every_way(text("ok") + bytes((first, 0x82)) + MASK + mask_payload(b"\x03\xe8"))
        assert outcome.error == errors.get(first, 1002), first
        assert outcome.messages[0] == "ok"


def test_an_unmasked_frame_of_any_length_fails_on_every_way() -> None:
    for second in range(128):
        stream = text("ok") + bytes((0x81, second)) + b"x" * 20
        assert read_every_way(stream) == Outcome(["ok"], error=1002, reason="frame is not masked")


def test_a_length_that_is_not_minimal_fails_on_every_way() -> None:
    for second in (0xFE, 0xFF):
        length = (125).to_bytes(2 if second == 0xFE else 8, "big")
        stream = text("ok") + bytes((0x81, second)) + length + MASK + b"x" * 125
        assert read_every_way(stream).error == 1002


def test_the_middle_of_a_frame_is_no_frame_though_it_looks_like_one() -> None:
    for opcode in (BINARY, PING):
        for seen in range(20):
            like_a_frame = text("")
            stream = frame(opcode, mask_payload(like_a_frame * 3, like_a_frame[:4]), mask=like_a_frame[:4])
            assert like_a_frame in stream[2:]
            outcome = read([stream[:seen], stream[seen:]])
            assert outcome == read(bytes((octet,)) for octet in stream)
            assert len(outcome.messages) == (0 if opcode == PING else 1)


def test_a_small_limit_holds_after_whatever_came_before() -> None:
    for before in (frame(BINARY, b"x"), frame(PING), frame(PONG), text("x" * 10), b"", b"\x81"):
        rest = text("x" * 11)
        rest = rest[1:] if before == b"\x81" else rest
        outcome = read([before, rest], 10)
        assert ("x" * 11 in outcome.messages, outcome.error) == (False, 1009)


def test_errors_have_their_codes() -> None:
    assert (ProtocolError.code, InvalidPayloadError.code, MessageTooBigError.code) == (1002, 1007, 1009)


# Everything at once


class Client:
    """A client that says something different for each seed, and knows what it ought to come to."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.stream = b""
        self.expected = Outcome()

    def talk(self) -> None:
        for _ in range(self.random.randrange(1, 25)):
            self.random.choice((self.say, self.say, self.say_in_fragments, self.ping, self.pong))()
        if self.random.random() < 0.7:
            self.end()

    def payload(self, opcode: int) -> bytes:
        length = self.random.choice((0, 1, 5, 32, 124, 125, 126, 300))
        if opcode == BINARY:
            return self.random.randbytes(length)
        return "".join(self.random.choice("aé€😀") for _ in range(length)).encode()

    def frame(self, opcode: int, payload: bytes, fin: bool = True) -> None:
        self.stream += frame(opcode, payload, fin=fin, mask=self.random.randbytes(4))

    def expect(self, opcode: int, payload: bytes) -> None:
        self.expected.messages.append(payload.decode() if opcode == TEXT else payload)

    def say(self) -> None:
        opcode = self.random.choice((TEXT, TEXT, BINARY))
        payload = self.payload(opcode)
        self.frame(opcode, payload)
        self.expect(opcode, payload)

    def say_in_fragments(self) -> None:
        opcode = first = self.random.choice((TEXT, BINARY))
        payload = rest = self.payload(opcode)
        while self.random.random() < 0.7:
            cut = self.random.randint(0, len(rest))
            self.frame(opcode, rest[:cut], fin=False)
            opcode, rest = CONTINUATION, rest[cut:]
            self.random.choice((self.ping, self.pong, bool))()
        self.frame(opcode, rest)
        self.expect(first, payload)

    def ping(self) -> None:
        payload = self.random.randbytes(self.random.choice((0, 4, 125)))
        self.frame(PING, payload)
        self.expected.sent.append(pong(payload))

    def pong(self) -> None:
        self.frame(PONG, self.random.randbytes(4))

    def end(self) -> None:
        bad, code = self.random.choice(
            [
                (frame(TEXT, b"x", mask=None), 1002),
                (frame(TEXT, b"\xff"), 1007),
                (frame(CONTINUATION, b"x"), 1002),
                (frame(PING, bytes(126)), 1002),
                (frame(BINARY, b"", rsv=1), 1002),
                (head(TEXT, 5000), 1009),
                (close(1000), None),
            ]
        )
        self.stream += bad + text("never seen")
        self.expected.error = code
        self.expected.close = Close(1000, "") if code is None else None

    def pieces(self) -> list[bytes]:
        pieces, rest = [], self.stream
        while rest:
            size = self.random.choice((1, 2, 3, 7, 64, 1000))
            pieces.append(rest[:size])
            rest = rest[size:]
        return pieces


def test_any_conversation_in_any_pieces_comes_to_what_was_said() -> None:
    for seed in range(100):
        client = Client(seed)
        client.talk()
        for pieces in (
            [client.stream],
            client.pieces(),
            client.pieces(),
            [bytes((octet,)) for octet in client.stream],
        ):
            outcome = read(pieces, 4999)
            outcome.reason = None
            assert outcome == client.expected, seed


def test_noise_ends_in_an_error_of_the_protocol_or_nothing() -> None:
    for seed in range(100):
        noise = random.Random(seed)
        stream = text("hello") + noise.randbytes(200)
        stream = (
            stream[:11]
            + bytes((noise.choice((0x01, 0x81, 0x02, 0x82, 0x80, 0x89)), 0x80 | noise.randrange(128)))
            + stream[13:]
        )
        outcome = read_every_way(stream, 1000)
        assert outcome.error in (None, 1002, 1007, 1009)
        assert outcome.messages[0] == "hello"
