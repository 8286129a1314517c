"""`gws.hub.timers`: who is due together is looked at together, not early, and not after it has left."""

from __future__ import annotations

import time
from collections.abc import Callable

import gevent
import pytest
from gevent import get_hub

from gws.hub.timers import SharedTimer, SharedTimers

WIDTH = 0.02


class Member:
    """Of a timer; notes when it is looked at, and may do something then."""

    def __init__(self, then: Callable[[], object] = lambda: None) -> None:
        self.looked_at: list[float] = []
        self.shared: SharedTimer | None = None
        self._then = then

    def keep_alive(self) -> None:
        self.looked_at.append(time.monotonic())
        self._then()


@pytest.fixture
def timers() -> SharedTimers:
    return SharedTimers(get_hub().loop)


def wait_for_all(*members: Member) -> None:
    with gevent.Timeout(5):
        while not all(member.looked_at for member in members):
            gevent.sleep(0.001)


def test_nobody_is_looked_at_early(timers: SharedTimers) -> None:
    now = time.monotonic()
    whens = [now + number * 0.003 for number in range(-2, 20)]
    members = [Member() for _ in whens]
    for member, when in zip(members, whens, strict=True):
        timers.add(member, when, WIDTH)
    wait_for_all(*members)
    # libev's clock ticks a little beside Python's.
    assert all(member.looked_at[0] > when - 0.005 for member, when in zip(members, whens, strict=True))
    assert [len(member.looked_at) for member in members] == [1] * len(members)


def test_who_is_due_together_shares_a_timer(timers: SharedTimers) -> None:
    edge = (time.monotonic() // WIDTH + 3) * WIDTH
    members = [Member() for _ in range(10)]
    found = [
        timers.add(member, edge + WIDTH * 0.05 * number, WIDTH) for number, member in enumerate(members, 1)
    ]
    assert len(set(map(id, found))) == 1
    assert timers.add(Member(), edge + WIDTH * 1.5, WIDTH) is not found[0]
    assert timers.add(Member(), edge + WIDTH * 0.5, WIDTH / 2) is not found[0]


def test_who_has_left_is_not_looked_at_whenever_it_left(timers: SharedTimers) -> None:
    when = time.monotonic()
    left, last = Member(), Member()
    first = Member(lambda: shared.pop(last))
    shared = timers.add(first, when, WIDTH)
    for member in (left, last):
        assert timers.add(member, when, WIDTH) is shared
    shared.pop(left)
    wait_for_all(first)
    gevent.sleep(0)
    assert (left.looked_at, last.looked_at) == ([], [])


def test_a_timer_that_is_over_is_forgotten(timers: SharedTimers) -> None:
    again = Member()
    first = timers.add(again, time.monotonic(), WIDTH)
    wait_for_all(again)
    assert timers.add(again, time.monotonic(), WIDTH) is not first
    assert len(timers._timers) == 1
