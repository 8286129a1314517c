"""Native threads and hubs: which thread has a hub, and who may wait in it.

gevent makes a hub for every thread that waits, and it stays when the thread has ended.
"""

from __future__ import annotations

import contextlib
import threading
from asyncio.events import _get_running_loop
from collections.abc import Callable, Iterator
from typing import Any

import gevent
from gevent import get_hub, monkey
from gevent._hub_local import get_hub_if_exists
from gevent.hub import Hub

from ..aio.loop import HubLoop

get_thread: Callable[[], int] = monkey.get_original("_thread", "get_ident")
"""The native thread that runs; monkey patching makes the usual one name the greenlet."""

make_lock: Callable[[], Any] = monkey.get_original("_thread", "allocate_lock")
"""Make a lock between native threads; monkey patching makes the usual one a greenlet's."""


def poll_once() -> None:
    """Have the hub look at every socket once, and come back. A greenlet."""
    # Not 0, which may resume before the sockets are polled.
    gevent.sleep(1e-6)


def is_patched() -> bool:
    """Return whether sockets are gevent's, each its hub's."""
    return bool(monkey.is_module_patched("socket"))


def get_own_hub() -> Any:
    """Return the hub of this thread, which the main one always has; None in another that has none. Any thread."""
    hub = get_hub_if_exists()
    if hub is None and threading.main_thread().native_id == threading.get_native_id():
        hub = get_hub()
    return hub


@contextlib.contextmanager
def passing_hub() -> Iterator[None]:
    """Leave no hub behind that is made meanwhile, because something waits. Any thread."""
    has_one = get_own_hub() is not None
    try:
        yield
    finally:
        made = get_hub_if_exists()
        if not has_one and made is not None:
            made.destroy(destroy_loop=True)


def in_coroutine() -> bool:
    """Return whether the caller is a coroutine, on gws's event loop or any other of asyncio's. Any thread."""
    loop: Any = _get_running_loop()
    # asyncio notes the running loop for the native thread, of which other greenlets see it as well. gws's own is noted
    # while a coroutine has its turn only, and the others know who runs them.
    return isinstance(loop, HubLoop) or (
        loop is not None and getattr(loop, "_thread_id", None) == threading.get_ident()
    )


def in_hub() -> bool:
    """Return whether the caller is a callback of a hub, which may not wait. Any thread."""
    return isinstance(gevent.getcurrent(), Hub)
