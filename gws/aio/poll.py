"""`select.poll` in coroutines, after monkey patching.

`poll(0)` asks whether a descriptor is ready and does not wait; httpx and pymongo ask so before they reuse a
connection. gevent's yields to the hub even then, which a coroutine may not. So in a coroutine of ours, the
`poll` of gevent hands this one question to the system's. It is the only thing of gevent's that gws changes.
"""

from __future__ import annotations

import functools
import select
from asyncio.events import _get_running_loop
from typing import Any

import gevent.monkey
import gevent.select

# By what gevent keeps of an event mask: 1 for reading, 2 for writing.
SYSTEM_EVENTS = {1: select.POLLIN, 2: select.POLLOUT, 3: select.POLLIN | select.POLLOUT}

_poll_of_system: Any = gevent.monkey.get_original("select", "poll")


@functools.cache
def let_coroutines_poll(loop_class: type) -> None:
    """Make gevent's `poll(0)` ask the system while a loop of this class runs; at the first one, and once."""
    poll_of_gevent: Any = gevent.select.poll.poll

    def poll(self: Any, timeout: float | None = None) -> list[tuple[int, int]]:
        if timeout == 0 and isinstance(_get_running_loop(), loop_class):
            return _ask_system(self.fds)
        ready: list[tuple[int, int]] = poll_of_gevent(self, timeout)
        return ready

    poll_class: Any = gevent.select.poll
    poll_class.poll = poll


def _ask_system(descriptors: dict[int, int]) -> list[tuple[int, int]]:
    system = _poll_of_system()
    for descriptor, events in descriptors.items():
        system.register(descriptor, SYSTEM_EVENTS[events])
    answer: list[tuple[int, int]] = system.poll(0)
    return answer
