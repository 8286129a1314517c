"""`gws.protocol.messages`: RFC 6455 §5.4, §5.5, §7.1 and §8.1, by the quick way and by the plain one."""

from __future__ import annotations

import dataclasses
import random
import tracemalloc
from collections.abc import Iterable

import pytest

from gws.errors import InvalidPayloadError, MessageTooBigError, ProtocolError
from gws.protocol.frames import Close
from gws.protocol.messages import Message, MessageReader

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
    fragments,
    frame,
    head,
    mask_payload,
    text,
    unfinished,
)

LIMIT = 1 << 20


@dataclasses.dataclass
class Outcome:
    """What a stream of bytes came to."""

    messages: list[Message] = dataclasses.field(default_factory=list)
    sent: list[bytes] = dataclasses.field(default_factory=list)
    close: Close | None = None
    error: int | None = None
    reason: str | None = None


def read(pieces: Iterable[bytes], limit: int = LIMIT) -> Outcome:
    outcome = Outcome()
    reader = MessageReader(outcome.messages, outcome.sent.append, max_message_size=limit)
    try:
        for piece in pieces:
            reader.receive_data(piece)
    except ProtocolError as error:
        outcome.error, outcome.reason = error.code, str(error)
    outcome.close = reader.close
    return outcome


def read_every_way(stream: bytes, limit: int = LIMIT) -> Outcome:
    """Whole, which is the quick way where there is one; byte by byte, which is the plain one; and cut in two."""
    whole = read([stream], limit)
    for pieces in arrivals(stream):
        assert read(pieces, limit) == whole
    return whole


def pong(payload: bytes) -> bytes:
    return frame(PONG, payload, mask=None)


# Messages in one frame


@pytest.mark.parametrize("length", [0, 1, 2, 124, 125, 126, 127, 128, 65535, 65536, 70000])
def test_a_message_of_any_length(length: int) -> None:
    payload = bytes(32 + index % 95 for index in range(length))
    assert read_every_way(frame(TEXT, payload)) == Outcome([payload.decode()])
    assert read_every_way(frame(BINARY, payload)) == Outcome([payload])


@pytest.mark.parametrize("mask", [bytes(4), b"\xff" * 4, b"\0\0\0\1", b"\x80\0\0\0", b"\x81\x85\x37\xfa"])
def test_any_mask_is_taken_off(mask: bytes) -> None:
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


# Fragments


@pytest.mark.parametrize("opcode", [TEXT, BINARY])
@pytest.mark.parametrize(
    "parts", [(b"a", b"b"), (b"", b""), (b"", b"a", b""), (b"a", b"", b"b"), (b"x" * 126, b"y" * 200)]
)
def test_a_fragmented_message_is_one_message(opcode: int, parts: tuple[bytes, ...]) -> None:
    whole = b"".join(parts)
    expected = whole.decode() if opcode == TEXT else whole
    assert read_every_way(b"".join(fragments(opcode, *parts)) + text("next")) == Outcome([expected, "next"])


@pytest.mark.parametrize("opcode", [TEXT, BINARY])
def test_a_message_of_many_fragments(opcode: int) -> None:
    parts = [bytes((65 + index % 26,)) * (index % 4) for index in range(60)]
    whole = b"".join(parts)
    assert read_every_way(b"".join(fragments(opcode, *parts))) == Outcome(
        [whole.decode() if opcode == TEXT else whole]
    )


def test_text_after_binary_and_binary_after_text_are_decoded_as_what_they_are() -> None:
    frames = [
        *fragments(BINARY, b"\xff", b"\xfe"),
        *fragments(TEXT, b"a", b"b"),
        *fragments(BINARY, b"\x80", b"\x81"),
    ]
    assert read_every_way(b"".join(frames)) == Outcome([b"\xff\xfe", "ab", b"\x80\x81"])


@pytest.mark.parametrize("payload", [b"", b"?", bytes(range(125))])
def test_a_ping_between_fragments_is_answered_at_once_with_its_payload(payload: bytes) -> None:
    first, last = fragments(TEXT, b"frag", b"mented")
    assert read([first, frame(PING, payload)]) == Outcome(sent=[pong(payload)])
    assert read_every_way(first + frame(PING, payload) + last) == Outcome(["fragmented"], [pong(payload)])


def test_control_frames_between_fragments_change_nothing() -> None:
    one, two, three = fragments(BINARY, b"1", b"2", b"3")
    stream = one + frame(PING, b"a") + frame(PONG, b"b") + two + frame(PING) + three + frame(PING, b"c")
    assert read_every_way(stream) == Outcome([b"123"], [pong(b"a"), pong(b""), pong(b"c")])


def test_a_close_between_fragments_ends_the_reading_without_the_message() -> None:
    first, last = fragments(TEXT, b"never", b" whole")
    assert read_every_way(first + close(1001, b"off") + last) == Outcome(close=Close(1001, "off"))


@pytest.mark.parametrize("fin", [True, False])
def test_a_continuation_of_nothing_fails(fin: bool) -> None:
    assert read_every_way(frame(CONTINUATION, b"x", fin=fin)).error == 1002
    assert read_every_way(text("whole") + frame(CONTINUATION, b"x", fin=fin)).error == 1002
    ended = b"".join(fragments(TEXT, b"a", b"b"))
    assert read_every_way(ended + frame(CONTINUATION, b"x", fin=fin)).error == 1002


@pytest.mark.parametrize("first", [TEXT, BINARY])
@pytest.mark.parametrize("second", [TEXT, BINARY])
@pytest.mark.parametrize("fin", [True, False])
def test_a_new_message_inside_a_fragmented_one_fails(first: int, second: int, fin: bool) -> None:
    outcome = read_every_way(frame(first, b"a", fin=False) + frame(second, b"b", fin=fin))
    assert (outcome.messages, outcome.error) == ([], 1002)


# UTF-8

VALID_TEXTS = [
    "Hello-µ@ßöäüàá-UTF-8!!",
    "κόσμε",
    "\x00",
    "\x7f\x80\u07ff\u0800\uffff\U00010000\U0010ffff",
    "\ud7ff\ue000\ufffd",
    "\ufffe\uffff\U0001fffe\U0010fffe",
    "😀👍🏽🇩🇪",
]

# Each with the index of the byte at which it can no longer become UTF-8 (Unicode 15, table 3-7).
INVALID = [
    (b"\x80", 0),
    (b"\xbf", 0),
    (b"\x80\xbf\x80", 0),
    (b"\xc0\xaf", 0),
    (b"\xc1\xbf", 0),
    (b"\xe0\x80\xaf", 1),
    (b"\xe0\x9f\xbf", 1),
    (b"\xf0\x80\x80\xaf", 1),
    (b"\xf0\x8f\xbf\xbf", 1),
    (b"\xf8\x88\x80\x80\x80", 0),
    (b"\xfc\x84\x80\x80\x80\x80", 0),
    (b"\xfe", 0),
    (b"\xff", 0),
    (b"\xed\xa0\x80", 1),
    (b"\xed\xaf\xbf\xed\xbf\xbf", 1),
    (b"\xed\xbf\xbf", 1),
    (b"\xf4\x90\x80\x80", 1),
    (b"\xf5\x80\x80\x80", 0),
    (b"\xf7\xbf\xbf\xbf", 0),
    (b"\xc3(", 1),
    (b"\xc3\xc3", 1),
    (b"\xe2(\xa1", 1),
    (b"\xe2\x82(", 2),
    (b"\xe2\x82\xe2", 2),
    (b"\xf0(\x8c\xbc", 1),
    (b"\xf0\x90(\xbc", 2),
    (b"\xf0\x90\x8c(", 3),
]
TRUNCATED = [
    b"\xc3",
    b"\xdf",
    b"\xe0",
    b"\xe0\xa0",
    b"\xed\x9f",
    b"\xef\xbf",
    b"\xf0",
    b"\xf0\x90",
    b"\xf4\x8f\xbf",
]
PREFIXES = [b"", b"plain ", "κόσμε".encode()]


@pytest.mark.parametrize("message", VALID_TEXTS)
def test_valid_text_is_taken_whole(message: str) -> None:
    assert read_every_way(text(message)) == Outcome([message])


@pytest.mark.parametrize("message", VALID_TEXTS)
def test_valid_text_may_be_cut_anywhere_into_two_fragments(message: str) -> None:
    payload = message.encode()
    for cut in range(len(payload) + 1):
        assert read_every_way(b"".join(fragments(TEXT, payload[:cut], payload[cut:]))) == Outcome([message])


@pytest.mark.parametrize("message", VALID_TEXTS)
def test_valid_text_may_come_in_fragments_of_one_byte_with_empty_ones_between(message: str) -> None:
    parts = [part for octet in message.encode() for part in (bytes((octet,)), b"")]
    assert read_every_way(b"".join(fragments(TEXT, *parts))) == Outcome([message])


@pytest.mark.parametrize("prefix", PREFIXES)
@pytest.mark.parametrize(("bad", "index"), INVALID)
def test_invalid_text_fails_with_1007(prefix: bytes, bad: bytes, index: int) -> None:
    outcome = read_every_way(text("before") + frame(TEXT, prefix + bad + b" and on"))
    assert (outcome.messages, outcome.error) == (["before"], 1007)


@pytest.mark.parametrize("prefix", PREFIXES)
@pytest.mark.parametrize(("bad", "index"), INVALID)
def test_text_fails_at_its_first_bad_byte_though_the_frame_goes_on(
    prefix: bytes, bad: bytes, index: int
) -> None:
    good = prefix + bad[:index]
    assert read([unfinished(TEXT, good)]).error is None
    assert read([unfinished(TEXT, good + bad[index : index + 1])]).error == 1007
    stream = unfinished(TEXT, prefix + bad)
    assert read(stream[at : at + 1] for at in range(len(stream))).error == 1007


@pytest.mark.parametrize("prefix", PREFIXES)
@pytest.mark.parametrize(("bad", "index"), INVALID)
def test_text_fails_at_its_first_bad_byte_though_the_message_goes_on(
    prefix: bytes, bad: bytes, index: int
) -> None:
    payload = prefix + bad
    for cut in range(len(payload) + 1):
        stream = frame(TEXT, payload[:cut], fin=False) + frame(CONTINUATION, payload[cut:], fin=False)
        assert read_every_way(stream).error == 1007


@pytest.mark.parametrize("bad", TRUNCATED)
def test_text_that_ends_inside_a_character_fails_at_its_end(bad: bytes) -> None:
    assert read_every_way(frame(TEXT, b"x" + bad)).error == 1007
    assert read_every_way(frame(TEXT, b"x" * 125 + bad)).error == 1007
    assert read_every_way(frame(TEXT, b"x" + bad, fin=False)).error is None
    assert read_every_way(frame(TEXT, bad, fin=False) + frame(CONTINUATION, b"")).error == 1007
    assert read_every_way(frame(TEXT, b"x", fin=False) + frame(CONTINUATION, bad)).error == 1007


def second_byte_may_follow(first: int, second: int) -> bool:
    """Unicode 15, table 3-7: what the first two bytes of UTF-8 text may be."""
    if first <= 0x7F:
        return second <= 0x7F or 0xC2 <= second <= 0xF4
    low = {0xE0: 0xA0, 0xF0: 0x90}.get(first, 0x80)
    high = {0xED: 0x9F, 0xF4: 0x8F}.get(first, 0xBF)
    return 0xC2 <= first <= 0xF4 and low <= second <= high


def test_the_first_two_bytes_are_those_of_the_unicode_standard() -> None:
    seconds = (0x00, 0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC0, 0xC1, 0xC2, 0xF4, 0xF5, 0xFF)
    for first in range(256):
        for second in seconds:
            failed = read([unfinished(TEXT, bytes((first, second)))]).error == 1007
            assert failed is not second_byte_may_follow(first, second), (first, second)


def test_bad_text_among_good_ones_in_one_read_fails_after_those_before_it() -> None:
    outcome = read_every_way(text("one") + text("two") + frame(TEXT, b"\xff") + text("never"))
    assert (outcome.messages, outcome.error) == (["one", "two"], 1007)


def test_binary_may_be_anything() -> None:
    assert read_every_way(frame(BINARY, b"\xff\xc0\x80")) == Outcome([b"\xff\xc0\x80"])
    assert read_every_way(b"".join(fragments(BINARY, b"\xff", b"\xc0"))) == Outcome([b"\xff\xc0"])


def test_pings_may_carry_anything() -> None:
    assert read_every_way(frame(PING, b"\xff\xc0")) == Outcome(sent=[pong(b"\xff\xc0")])


# Control frames


def test_every_ping_is_answered_in_order() -> None:
    stream = frame(PING, b"1") + text("between") + frame(PING, b"2") + frame(PING)
    assert read_every_way(stream) == Outcome(["between"], [pong(b"1"), pong(b"2"), pong(b"")])


@pytest.mark.parametrize("payload", [b"", b"unasked", bytes(125)])
def test_a_pong_is_not_answered(payload: bytes) -> None:
    assert read_every_way(frame(PONG, payload)) == Outcome()


@pytest.mark.parametrize("opcode", [CLOSE, PING, PONG])
def test_a_control_frame_over_125_bytes_fails(opcode: int) -> None:
    assert read_every_way(frame(opcode, bytes(126))) == Outcome(
        error=1002, reason="control frame is too long"
    )


@pytest.mark.parametrize("opcode", [CLOSE, PING, PONG])
def test_a_fragmented_control_frame_fails(opcode: int) -> None:
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


@pytest.mark.parametrize(
    "rest",
    [
        text("late"),
        frame(BINARY, b"late"),
        frame(PING, b"late"),
        close(1001, b"again"),
        frame(TEXT, b"unmasked", mask=None),
        frame(TEXT, b"\xff"),
        head(BINARY, LIMIT + 1),
        b"\xff\xff\xff\xff",
    ],
)
def test_nothing_after_a_close_is_looked_at(rest: bytes) -> None:
    assert read_every_way(text("hello") + close(1000) + rest) == Outcome(["hello"], close=Close(1000, ""))


# The size limit


@pytest.mark.parametrize("limit", [1, 2, 10, 124, 125, 126, 200, 65535, 65536, 100_000])
@pytest.mark.parametrize("opcode", [TEXT, BINARY])
def test_a_message_of_the_limit_passes_and_one_byte_more_does_not(limit: int, opcode: int) -> None:
    outcome = read_every_way(frame(opcode, b"x" * limit), limit)
    assert outcome.messages == ["x" * limit if opcode == TEXT else b"x" * limit]
    outcome = read_every_way(frame(opcode, b"x" * (limit + 1)), limit)
    assert (outcome.messages, outcome.error) == ([], 1009)
    assert outcome.reason == f"message is over {limit} bytes"


@pytest.mark.parametrize("limit", [1, 10, 125, 126, 1000, LIMIT])
@pytest.mark.parametrize("opcode", [TEXT, BINARY])
@pytest.mark.parametrize("fin", [True, False])
def test_a_header_alone_is_enough_to_be_too_big(limit: int, opcode: int, fin: bool) -> None:
    assert read([head(opcode, limit, fin=fin)], limit).error is None
    assert read([head(opcode, limit + 1, fin=fin)], limit).error == 1009
    assert read([head(opcode, (1 << 63) - 1, fin=fin)], limit).error == 1009


@pytest.mark.parametrize("limit", [2, 10, 125, 126, 1000])
@pytest.mark.parametrize("opcode", [TEXT, BINARY])
def test_the_header_of_a_fragment_is_enough_for_the_sum_to_be_too_big(limit: int, opcode: int) -> None:
    begun = frame(opcode, b"x" * (limit - 1), fin=False)
    assert read([begun, head(CONTINUATION, 1, fin=False)], limit).error is None
    assert read([begun, head(CONTINUATION, 2, fin=False)], limit).error == 1009
    full = [begun, frame(CONTINUATION, b"x", fin=False)]
    assert read([*full, frame(CONTINUATION)], limit).messages == [
        "x" * limit if opcode == TEXT else b"x" * limit
    ]
    assert read([*full, head(CONTINUATION, 1)], limit).error == 1009


@pytest.mark.parametrize("limit", [3, 125, 200])
def test_each_message_has_the_whole_limit(limit: int) -> None:
    whole = "x" * limit
    stream = text(whole) + b"".join(fragments(TEXT, whole[:-1].encode(), b"x")) + text(whole)
    assert read_every_way(stream, limit) == Outcome([whole] * 3)


def test_control_frames_do_not_count() -> None:
    one, two = fragments(TEXT, b"1", b"2")
    stream = one + frame(PING, bytes(125)) + frame(PONG, bytes(125)) + two
    assert read_every_way(stream, 2) == Outcome(["12"], [pong(bytes(125))])


def test_the_limit_counts_bytes_and_not_characters() -> None:
    assert read_every_way(text("üü"), 4) == Outcome(["üü"])
    assert read_every_way(text("üü"), 3).error == 1009


def test_a_message_that_is_too_big_is_not_checked_as_text() -> None:
    assert read([frame(TEXT, b"\xff" * 11)], 10).error == 1009


# Frames that fail are those of test_frames; here, that nothing gets past by way of the quick path.


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


@pytest.mark.parametrize("second", [0xFE, 0xFF])
def test_a_length_that_is_not_minimal_fails_on_every_way(second: int) -> None:
    length = (125).to_bytes(2 if second == 0xFE else 8, "big")
    stream = text("ok") + bytes((0x81, second)) + length + MASK + b"x" * 125
    assert read_every_way(stream).error == 1002


@pytest.mark.parametrize("opcode", [BINARY, PING])
@pytest.mark.parametrize("seen", range(20))
def test_the_middle_of_a_frame_is_no_frame_though_it_looks_like_one(opcode: int, seen: int) -> None:
    like_a_frame = text("")
    stream = frame(opcode, mask_payload(like_a_frame * 3, like_a_frame[:4]), mask=like_a_frame[:4])
    assert like_a_frame in stream[2:]
    outcome = read([stream[:seen], stream[seen:]])
    assert outcome == read(bytes((octet,)) for octet in stream)
    assert len(outcome.messages) == (0 if opcode == PING else 1)


@pytest.mark.parametrize(
    "before", [frame(BINARY, b"x"), frame(PING), frame(PONG), text("x" * 10), b"", b"\x81"]
)
def test_a_small_limit_holds_after_whatever_came_before(before: bytes) -> None:
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


@pytest.mark.parametrize("seed", range(100))
def test_any_conversation_in_any_pieces_comes_to_what_was_said(seed: int) -> None:
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
        assert outcome == client.expected


@pytest.mark.parametrize("seed", range(100))
def test_noise_ends_in_an_error_of_the_protocol_or_nothing(seed: int) -> None:
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


# Memory


def peak_of(pieces: Iterable[bytes], limit: int = LIMIT) -> tuple[Outcome, int]:
    """What it came to, and the bytes that were held at most."""
    tracemalloc.start()
    outcome = read(pieces, limit)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return outcome, peak


def fragments_of(payload: bytes, count: int) -> list[bytes]:
    """The middle of a fragmented message, a thousand fragments at a time."""
    return [frame(CONTINUATION, payload, fin=False) * 1000] * (count // 1000)


def test_a_million_fragments_are_one_message() -> None:
    stream = [frame(TEXT, b"", fin=False), *fragments_of(b"x", LIMIT // 1000 * 1000), frame(CONTINUATION)]
    assert read(stream) == Outcome(["x" * (LIMIT // 1000 * 1000)])


@pytest.mark.parametrize("opcode", [TEXT, BINARY])
def test_fragments_of_one_byte_cost_a_few_times_their_payload(opcode: int) -> None:
    stream = [frame(opcode, b"", fin=False), *fragments_of(b"x", 20_000), frame(CONTINUATION)]
    outcome, peak = peak_of(stream)
    assert [len(message) for message in outcome.messages] == [20_000]
    assert peak < 4 * 20_000


def test_empty_fragments_cost_nothing() -> None:
    stream = [frame(TEXT, b"x", fin=False), *fragments_of(b"", 20_000), frame(CONTINUATION)]
    outcome, peak = peak_of(stream)
    assert outcome == Outcome(["x"])
    assert peak < 10_000


@pytest.mark.parametrize("opcode", [TEXT, BINARY])
def test_a_message_that_arrives_byte_by_byte_costs_a_few_times_its_payload(opcode: int) -> None:
    stream = frame(opcode, b"x" * 50_000)
    outcome, peak = peak_of(stream[index : index + 1] for index in range(len(stream)))
    assert [len(message) for message in outcome.messages] == [50_000]
    assert peak < 4 * 50_000


def test_a_message_that_never_ends_costs_what_has_come_of_it() -> None:
    begun = unfinished(BINARY, b"x" * 10_000)
    outcome, peak = peak_of([begun])
    assert outcome == Outcome()
    assert peak < 50_000


def test_a_message_that_is_too_big_costs_nothing() -> None:
    outcome, peak = peak_of([head(BINARY, LIMIT + 1), bytes(LIMIT)])
    assert outcome.error == 1009
    assert peak < 10_000


def test_an_ended_message_is_not_held_on_to() -> None:
    messages: list[Message] = []
    reader = MessageReader(messages, bytes, max_message_size=LIMIT)
    stream = b"".join(fragments(TEXT, b"x" * 250_000, b"y" * 250_000))
    tracemalloc.start()
    reader.receive_data(stream)
    messages.clear()
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert kept < 10_000
