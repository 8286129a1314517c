"""`gws.protocol.messages`: how large a message may be, and what it may cost (RFC 6455 §10.4)."""

from __future__ import annotations

import sys
import tracemalloc
from collections.abc import Iterable

import pytest

from gws.protocol.messages import LEAST_SIZE, Message, MessageReader

from ..support.client_frames import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    TEXT,
    fragments,
    frame,
    head,
    text,
    unfinished,
)
from ..support.outcome import LIMIT, Outcome, pong, read, read_every_way


def test_a_message_of_the_limit_passes_and_one_byte_more_does_not() -> None:
    for limit in (1, 2, 10, 124, 125, 126, 200, 65535, 65536, 100_000):
        for opcode in (TEXT, BINARY):
            outcome = read_every_way(frame(opcode, b"x" * limit), limit)
            assert outcome.messages == ["x" * limit if opcode == TEXT else b"x" * limit]
            outcome = read_every_way(frame(opcode, b"x" * (limit + 1)), limit)
            assert (outcome.messages, outcome.error) == ([], 1009)
            assert outcome.reason == f"message is over {limit} bytes"


def test_a_header_alone_is_enough_to_be_too_big() -> None:
    for limit in (1, 10, 125, 126, 1000, LIMIT):
        for opcode in (TEXT, BINARY):
            for fin in (True, False):
                assert read([head(opcode, limit, fin=fin)], limit).error is None
                assert read([head(opcode, limit + 1, fin=fin)], limit).error == 1009
                assert read([head(opcode, (1 << 63) - 1, fin=fin)], limit).error == 1009


def test_the_header_of_a_fragment_is_enough_for_the_sum_to_be_too_big() -> None:
    for limit in (2, 10, 125, 126, 1000):
        for opcode in (TEXT, BINARY):
            begun = frame(opcode, b"x" * (limit - 1), fin=False)
            assert read([begun, head(CONTINUATION, 1, fin=False)], limit).error is None
            assert read([begun, head(CONTINUATION, 2, fin=False)], limit).error == 1009
            full = [begun, frame(CONTINUATION, b"x", fin=False)]
            assert read([*full, frame(CONTINUATION)], limit).messages == [
                "x" * limit if opcode == TEXT else b"x" * limit
            ]
            assert read([*full, head(CONTINUATION, 1)], limit).error == 1009


def test_each_message_has_the_whole_limit() -> None:
    for limit in (3, 125, 200):
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


# Memory


def peak_of(pieces: Iterable[bytes], limit: int = LIMIT) -> tuple[Outcome, int]:
    """Return what it came to, and the bytes that were held at most."""
    tracemalloc.start()
    outcome = read(pieces, limit)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return outcome, peak


def fragments_of(payload: bytes, count: int) -> list[bytes]:
    """Return the middle of a fragmented message, a thousand fragments at a time."""
    return [frame(CONTINUATION, payload, fin=False) * 1000] * (count // 1000)


def test_a_million_fragments_are_one_message() -> None:
    stream = [frame(TEXT, b"", fin=False), *fragments_of(b"x", 1_000_000), frame(CONTINUATION)]
    assert read(stream) == Outcome(["x" * 1_000_000])


def test_a_million_empty_fragments_are_one_message() -> None:
    stream = [frame(TEXT, b"x", fin=False), *fragments_of(b"", 1_000_000), frame(CONTINUATION)]
    assert read(stream) == Outcome(["x"])


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


# What waits


def read_with_space(space: int, *frames: bytes) -> tuple[MessageReader, Outcome]:
    """Return what a reader makes of frames before it has no more space."""
    outcome = Outcome()
    reader = MessageReader(outcome.messages, outcome.sent.append, max_message_size=LIMIT)
    reader.space = space
    # A view, as large reads are: the quick way weighs nothing.
    reader.receive_data(memoryview(b"".join(frames)))
    return reader, outcome


def test_the_message_that_takes_the_last_space_is_the_last_and_the_rest_is_as_it_came() -> None:
    big, ping = frame(BINARY, bytes(3000)), frame(PING, b"?")
    reader, outcome = read_with_space(5000, ping, big, big, ping, big)
    assert outcome == Outcome([bytes(3000)] * 2, [pong(b"?")])
    assert reader.unread == ping + big
    reader.space = 5000
    reader.receive_data(reader.take_unread())
    assert outcome == Outcome([bytes(3000)] * 3, [pong(b"?")] * 2)
    assert reader.unread == b""


def test_text_is_weighed_as_the_memory_that_it_takes() -> None:
    emoji = text("\N{PILE OF POO}" + "x" * 2996)
    reader, outcome = read_with_space(12_000, emoji, emoji)
    assert (len(outcome.messages), len(reader.unread)) == (1, len(emoji))
    reader, outcome = read_with_space(12_000, *[text("x" * 3000)] * 4)
    assert (len(outcome.messages), len(reader.unread)) == (4, 0)


def test_a_short_message_is_weighed_as_a_kibibyte() -> None:
    reader, outcome = read_with_space(LEAST_SIZE * 10, *[text("x")] * 11)
    assert (len(outcome.messages), len(reader.unread)) == (10, len(text("x")))
    # Which is more than any takes that the quick way reads.
    assert sys.getsizeof("\N{PILE OF POO}" + "x" * 121) < LEAST_SIZE


def test_fragments_are_weighed_when_they_are_a_message() -> None:
    one, two, three = fragments(BINARY, bytes(3000), bytes(3000), bytes(3000))
    reader, outcome = read_with_space(5000, one, two, three, text("more"))
    assert outcome == Outcome([bytes(9000)])
    assert reader.unread == text("more")


def test_a_reader_that_discards_answers_pings_and_finds_the_close() -> None:
    outcome = Outcome()
    reader = MessageReader(outcome.messages, outcome.sent.append, max_message_size=LIMIT)
    reader.receive_data(frame(TEXT, b"begun", fin=False))
    reader.discard()
    for piece in (
        b"".join(fragments(BINARY, b"\xff", b"\xff")),
        text("x") * 3,
        frame(PING),
        frame(TEXT, b"\xff"),
    ):
        reader.receive_data(piece)
    reader.receive_data(head(BINARY, LIMIT + 1) + bytes(LIMIT + 1) + frame(CLOSE))
    assert outcome == Outcome(sent=[pong(b"")])
    assert reader.close is not None


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
