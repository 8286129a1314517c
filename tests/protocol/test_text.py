"""`gws.protocol.messages`: text is UTF-8, and fails at its first bad byte (RFC 6455 §8.1)."""

from __future__ import annotations

from ..support.client_frames import BINARY, CONTINUATION, PING, TEXT, fragments, frame, text, unfinished
from ..support.outcome import Outcome, pong, read, read_every_way

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
PREFIXED = [(prefix, bad, index) for prefix in (b"", b"plain ", "κόσμε".encode()) for bad, index in INVALID]


def test_valid_text_is_taken_whole() -> None:
    for message in VALID_TEXTS:
        assert read_every_way(text(message)) == Outcome([message])


def test_valid_text_may_be_cut_anywhere_into_two_fragments() -> None:
    for message in VALID_TEXTS:
        payload = message.encode()
        for cut in range(len(payload) + 1):
            assert read_every_way(b"".join(fragments(TEXT, payload[:cut], payload[cut:]))) == Outcome(
                [message]
            )


def test_valid_text_may_come_in_fragments_of_one_byte_with_empty_ones_between() -> None:
    for message in VALID_TEXTS:
        parts = [part for octet in message.encode() for part in (bytes((octet,)), b"")]
        assert read_every_way(b"".join(fragments(TEXT, *parts))) == Outcome([message])


def test_invalid_text_fails_with_1007() -> None:
    for prefix, bad, _ in PREFIXED:
        outcome = read_every_way(text("before") + frame(TEXT, prefix + bad + b" and on"))
        assert (outcome.messages, outcome.error) == (["before"], 1007)


def test_text_fails_at_its_first_bad_byte_though_the_frame_goes_on() -> None:
    for prefix, bad, index in PREFIXED:
        good = prefix + bad[:index]
        assert read([unfinished(TEXT, good)]).error is None
        assert read([unfinished(TEXT, good + bad[index : index + 1])]).error == 1007
        stream = unfinished(TEXT, prefix + bad)
        assert read(stream[at : at + 1] for at in range(len(stream))).error == 1007


def test_text_fails_at_its_first_bad_byte_though_the_message_goes_on() -> None:
    for prefix, bad, _ in PREFIXED:
        payload = prefix + bad
        for cut in range(len(payload) + 1):
            stream = frame(TEXT, payload[:cut], fin=False) + frame(CONTINUATION, payload[cut:], fin=False)
            assert read_every_way(stream).error == 1007


def test_text_that_ends_inside_a_character_fails_at_its_end() -> None:
    for bad in TRUNCATED:
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
