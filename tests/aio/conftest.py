"""What every test of `gws.aio` has: a deadline, and nothing left on the loop."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import gevent
import gevent.monkey
import pytest

from gws.aio import get_loop

PATCHED = gevent.monkey.is_module_patched("socket")
# Patched or not, these are the system's.
native_sleep = gevent.monkey.get_original("time", "sleep")
native_start_thread = gevent.monkey.get_original("_thread", "start_new_thread")


@pytest.fixture(autouse=True)
def _deadline() -> Iterator[None]:
    with gevent.Timeout(15):
        yield


@pytest.fixture(autouse=True)
def _nothing_is_left() -> Iterator[None]:
    """No test leaves a task, a timer or a descriptor on the loop, or the loop as the running one."""
    yield
    loop = get_loop()
    with gevent.Timeout(5):
        while asyncio.all_tasks(loop) or loop._timers or loop._descriptors.get_map():
            gevent.sleep(0.001)
    assert asyncio._get_running_loop() is None
    assert not loop.awaited


async def wait_forever() -> None:
    await asyncio.get_running_loop().create_future()
