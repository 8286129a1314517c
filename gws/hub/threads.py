"""Native threads and hubs: gevent makes one for every thread that waits, and it stays when the thread has ended."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import Any

from gevent import get_hub, monkey
from gevent._hub_local import get_hub_if_exists


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
