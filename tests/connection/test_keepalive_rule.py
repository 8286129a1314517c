"""When a peer is pinged and when it is given up, with numbers for the clock: no socket, no waiting."""

from __future__ import annotations

from typing import Final

from gws.connection.keepalive import Keepalive, Verdict

WAIT, PING, GIVE_UP = Verdict.WAIT, Verdict.PING, Verdict.GIVE_UP

BEGAN: Final = 1000.0


def keepalive(interval: float = 20.0, timeout: float = 10.0) -> Keepalive:
    return Keepalive(interval, timeout, BEGAN)


def look(
    one: Keepalive, seconds: float, *, heard: bool = False, has_read: bool = False, behind: bool = False
) -> Verdict:
    return one.look(BEGAN + seconds, heard=heard, has_read=has_read, behind=behind)


def due(one: Keepalive) -> float:
    return one.due - BEGAN


def test_nothing_is_done_before_the_interval_is_over() -> None:
    one = keepalive()
    assert due(one) == 20
    assert look(one, 19.9) is WAIT
    assert due(one) == 20


def test_a_peer_that_answers_is_pinged_at_every_interval() -> None:
    one = keepalive()
    assert look(one, 20) is PING
    # It is looked at when the timeout is over, and has answered by then.
    assert due(one) == 30
    assert look(one, 30, heard=True) is WAIT
    assert due(one) == 40
    assert look(one, 40) is PING
    assert due(one) == 50


def test_a_silent_peer_is_given_up_when_the_timeout_is_over() -> None:
    one = keepalive()
    assert look(one, 20) is PING
    assert look(one, 29.9) is WAIT
    assert look(one, 30) is GIVE_UP


def test_a_look_that_comes_late_counts_from_the_look_and_not_from_when_it_was_due() -> None:
    one = keepalive()
    assert look(one, 27) is PING
    assert due(one) == 37
    assert look(one, 36) is WAIT
    assert look(one, 37) is GIVE_UP


def test_whatever_came_is_an_answer_also_at_the_last_moment() -> None:
    one = keepalive()
    assert look(one, 20) is PING
    assert look(one, 30, heard=True) is WAIT
    assert look(one, 39) is WAIT
    assert look(one, 40) is PING
    assert look(one, 50) is GIVE_UP


def test_with_a_timeout_longer_than_the_interval_more_pings_are_sent_and_the_first_one_counts() -> None:
    one = keepalive(interval=5, timeout=12)
    assert [look(one, at) for at in (5, 10, 15)] == [PING, PING, PING]
    assert due(one) == 17
    assert look(one, 17) is GIVE_UP


def test_a_peer_that_is_behind_is_not_pinged_and_lives_as_long_as_it_reads() -> None:
    one = keepalive()
    assert look(one, 20, behind=True) is WAIT
    assert due(one) == 30
    assert look(one, 30, behind=True, has_read=True) is WAIT
    assert due(one) == 40
    assert look(one, 40, behind=True) is WAIT
    assert look(one, 50, behind=True) is GIVE_UP


def test_what_a_peer_that_is_behind_sends_shows_no_life() -> None:
    one = keepalive()
    assert look(one, 20, behind=True, heard=True) is WAIT
    assert look(one, 30, behind=True, heard=True) is GIVE_UP


def test_a_peer_that_we_hold_back_lives() -> None:
    one = keepalive()
    assert look(one, 20) is PING
    # `has_read` is also said of a peer whose bytes are not being read.
    assert look(one, 30, has_read=True) is WAIT
    assert due(one) == 40


def test_it_is_never_due_in_the_past_after_a_look() -> None:
    one = keepalive(interval=3, timeout=7)
    now = 0.0
    for number in range(200):
        now = max(due(one), now + 0.001)
        assert look(one, now, heard=number % 2 == 0) is not GIVE_UP
        assert due(one) > now
