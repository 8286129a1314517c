"""The frames that wait to be sent: their order, and their size in bytes."""

from __future__ import annotations

import pytest

from gws.connection.outbox import Outbox


@pytest.fixture
def outbox() -> Outbox:
    return Outbox()


def send(outbox: Outbox, count: int) -> bytes:
    """Have the kernel take so many bytes, and return them."""
    data = outbox.take()
    outbox.sent(data, count)
    return bytes(data[:count])


def test_frames_go_out_in_order_and_in_one_piece(outbox: Outbox) -> None:
    for frame in (b"one", b"two", b"three"):
        outbox.queue_last(frame)
    outbox.queue_first(b"head")
    assert outbox.size == 15
    data = outbox.take()
    assert data == b"headonetwothree"
    assert outbox.sent(data, 15)
    assert outbox.size == 0


def test_one_frame_is_not_copied(outbox: Outbox) -> None:
    frame = b"x" * 1000
    outbox.queue_last(frame)
    assert outbox.take() is frame


def test_what_the_kernel_did_not_take_goes_out_before_everything_else(outbox: Outbox) -> None:
    outbox.queue_last(b"begun")
    data = outbox.take()
    assert not outbox.sent(data, 2)
    outbox.queue_last(b"next")
    assert outbox.size == 7
    assert send(outbox, 1) == b"g"
    assert send(outbox, 2) == b"un"
    assert send(outbox, 4) == b"next"
    assert outbox.size == 0


def test_nothing_taken_is_nothing_lost(outbox: Outbox) -> None:
    outbox.queue_last(b"frame")
    assert send(outbox, 0) == b""
    assert outbox.size == 5
    assert send(outbox, 5) == b"frame"


def test_a_frame_that_has_begun_is_not_dropped_with_the_others(outbox: Outbox) -> None:
    outbox.queue_last(b"begun")
    send(outbox, 2)
    outbox.queue_last(b"dropped")
    outbox.drop_queued()
    outbox.queue_last(b"close")
    assert outbox.size == 8
    assert send(outbox, 3) == b"gun"
    assert send(outbox, 5) == b"close"


def test_clear_drops_everything(outbox: Outbox) -> None:
    outbox.queue_last(b"begun")
    send(outbox, 2)
    outbox.queue_last(b"queued")
    outbox.clear()
    assert outbox.size == 0
    outbox.queue_last(b"later")
    assert send(outbox, 5) == b"later"
