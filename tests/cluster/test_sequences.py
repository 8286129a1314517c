"""`gws.cluster.sequences`: what others have sent and this node has not had is counted, and nothing else."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gws.cluster.sequences import MAX_CHANNELS, Gaps, Numbering

ORIGIN, OTHER = 1, 2


def test_each_channel_is_numbered_from_0() -> None:
    numbering = Numbering()
    assert [numbering.number("a") for _ in range(3)] == [0, 1, 2]
    assert [numbering.number("b"), numbering.number("a")] == [0, 3]


def test_of_too_many_channels_the_one_that_has_rested_longest_begins_anew() -> None:
    numbering = Numbering()
    for number in range(MAX_CHANNELS):
        numbering.number(str(number))
    assert numbering.number("0") == 1
    numbering.number("one more")
    assert numbering.number("0") == 2
    assert numbering.number("2") == 1
    assert numbering.number("1") == 0


def test_no_more_channels_are_kept_than_that() -> None:
    numbering = Numbering()
    for number in range(2 * MAX_CHANNELS):
        numbering.number(str(number))
    assert len(numbering._next) == MAX_CHANNELS


@given(st.integers(0, 2**64 - 1))
def test_the_first_of_an_origin_misses_nothing(number: int) -> None:
    assert Gaps().count("a", ORIGIN, number) == 0


@given(st.sets(st.integers(0, 100), min_size=1).map(sorted))
def test_all_that_are_lost_between_the_first_and_the_last_are_counted(arrived: list[int]) -> None:
    gaps = Gaps()
    sent = arrived[-1] - arrived[0] + 1
    assert sum(gaps.count("a", ORIGIN, number) for number in arrived) == sent - len(arrived)


def test_an_origin_that_begins_anew_with_0_misses_nothing() -> None:
    gaps = Gaps()
    assert [gaps.count("a", ORIGIN, number) for number in (5, 6, 0, 1, 3)] == [0, 0, 0, 0, 1]


def test_one_that_comes_twice_is_no_gap() -> None:
    gaps = Gaps()
    assert [gaps.count("a", ORIGIN, number) for number in (5, 5, 6)] == [0, 0, 0]


def test_channels_and_origins_are_counted_apart() -> None:
    gaps = Gaps()
    gaps.count("a", ORIGIN, 10)
    gaps.count("a", OTHER, 20)
    gaps.count("b", ORIGIN, 30)
    counted = [gaps.count("a", ORIGIN, 12), gaps.count("a", OTHER, 23), gaps.count("b", ORIGIN, 34)]
    assert counted == [1, 2, 3]


def test_a_channel_that_was_forgotten_misses_nothing_and_the_others_still_do() -> None:
    gaps = Gaps()
    for channel in ("a", "b"):
        gaps.count(channel, ORIGIN, 0)
    gaps.forget_channel("a")
    assert [gaps.count("a", ORIGIN, 5), gaps.count("b", ORIGIN, 5)] == [0, 4]


def test_an_origin_that_was_forgotten_misses_nothing_and_the_others_still_do() -> None:
    gaps = Gaps()
    for origin in (ORIGIN, OTHER):
        for channel in ("a", "b"):
            gaps.count(channel, origin, 0)
    gaps.forget_origin(ORIGIN)
    assert [gaps.count(channel, ORIGIN, 5) for channel in ("a", "b")] == [0, 0]
    assert [gaps.count(channel, OTHER, 5) for channel in ("a", "b")] == [4, 4]


def test_forgetting_what_is_not_known_is_no_error() -> None:
    gaps = Gaps()
    gaps.count("a", ORIGIN, 0)
    gaps.forget_channel("b")
    gaps.forget_origin(OTHER)
    assert gaps.count("a", ORIGIN, 2) == 1


def test_what_was_forgotten_leaves_no_memory_behind() -> None:
    gaps = Gaps()
    for number in range(100):
        gaps.count(str(number), ORIGIN, 0)
        gaps.forget_channel(str(number))
    assert gaps._expected == {}
