"""`gws.protocol.messages`: messages in several frames (RFC 6455 §5.4)."""

from __future__ import annotations

from gws.protocol.frames import Close

from ..support.client_frames import BINARY, CONTINUATION, PING, PONG, TEXT, close, fragments, frame, text
from ..support.outcome import Outcome, pong, read, read_every_way


def test_a_fragmented_message_is_one_message() -> None:
    for opcode in (TEXT, BINARY):
        for parts in (
            (b"a", b"b"),
            (b"", b""),
            (b"", b"a", b""),
            (b"a", b"", b"b"),
            (b"x" * 126, b"y" * 200),
        ):
            whole = b"".join(parts)
            expected = whole.decode() if opcode == TEXT else whole
            assert read_every_way(b"".join(fragments(opcode, *parts)) + text("next")) == Outcome(
                [expected, "next"]
            )


def test_a_message_of_many_fragments() -> None:
    for opcode in (TEXT, BINARY):
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


def test_a_ping_between_fragments_is_answered_at_once_with_its_payload() -> None:
    for payload in (b"", b"?", bytes(range(125))):
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


def test_a_continuation_of_nothing_fails() -> None:
    for fin in (True, False):
        assert read_every_way(frame(CONTINUATION, b"x", fin=fin)).error == 1002
        assert read_every_way(text("whole") + frame(CONTINUATION, b"x", fin=fin)).error == 1002
        ended = b"".join(fragments(TEXT, b"a", b"b"))
        assert read_every_way(ended + frame(CONTINUATION, b"x", fin=fin)).error == 1002


def test_a_new_message_inside_a_fragmented_one_fails() -> None:
    for first in (TEXT, BINARY):
        for second in (TEXT, BINARY):
            for fin in (True, False):
                outcome = read_every_way(frame(first, b"a", fin=False) + frame(second, b"b", fin=fin))
                assert (outcome.messages, outcome.error) == ([], 1002)
