"""Nothing is left of calls that end in any way."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import sys
from collections.abc import Callable

import gevent
import gevent.monkey
import pytest
from gevent import get_hub

from gws.aio import get_loop, run

from .conftest import wait_forever


def time_out_by_wait_for() -> None:
    async def call() -> None:
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(wait_forever(), 0.0005)

    run(call())


def time_out_by_gevent() -> None:
    with pytest.raises(gevent.Timeout), gevent.Timeout(0.0005):
        run(wait_forever())


def time_out_of_a_timer_by_gevent() -> None:
    with pytest.raises(gevent.Timeout), gevent.Timeout(0.0005):
        run(asyncio.sleep(60))


WAYS_TO_TIME_OUT = [time_out_by_wait_for, time_out_by_gevent, time_out_of_a_timer_by_gevent]

if sys.version_info >= (3, 11):

    def time_out_by_timeout() -> None:
        async def call() -> None:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.0005):
                    await wait_forever()

        run(call())

    WAYS_TO_TIME_OUT.append(time_out_by_timeout)


@pytest.mark.parametrize("time_out", WAYS_TO_TIME_OUT)
def test_ten_thousand_timeouts_leave_nothing(time_out: Callable[[], None]) -> None:
    def repeat(times: int) -> None:
        for _ in range(times):
            time_out()

    def left_after(times: int) -> tuple[int, int, int, int]:
        gevent.joinall([gevent.spawn(repeat, times // 100) for _ in range(100)], raise_error=True)
        gevent.sleep(0.001)
        gc.collect()
        objects = gc.get_objects()
        greenlets = sum(issubclass(type(thing), gevent.Greenlet) for thing in objects)
        tasks = len(asyncio.all_tasks(get_loop()))
        return tasks, greenlets, get_hub().loop.activecnt, sys.getallocatedblocks()

    # Once before, for the caches.
    *before, blocks_before = left_after(2000)
    *after, blocks_after = left_after(10_000)
    assert after == before
    # One object for each call would be ten thousand.
    assert blocks_after - blocks_before < 1000


def wait_a_little() -> None:
    run(asyncio.sleep(0.0001))


def fail_later() -> None:
    async def fail() -> None:
        await asyncio.sleep(0)
        raise ValueError

    with contextlib.suppress(ValueError):
        run(fail())


# From 3.12 on, any asyncio loop leaves the frames of a step that failed.
@pytest.mark.parametrize(
    "call", [wait_a_little, fail_later] if sys.version_info < (3, 12) else [wait_a_little]
)
def test_a_run_leaves_nothing_to_the_garbage_collector(call: Callable[[], None]) -> None:
    def garbage_after(times: int) -> int:
        for _ in range(times):
            call()
        return gc.collect()

    gc.collect()
    gc.disable()
    try:
        garbage_after(10)
        assert garbage_after(200) < 100
    finally:
        gc.enable()
