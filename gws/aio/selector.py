"""A selector for asyncio that never selects: the gevent hub watches the descriptors, and calls.

asyncio registers a descriptor with the handles to run when it is readable or writable. Each registration is
one `hub.loop.io` watcher, started at once and closed when it is unregistered; what `select` would have
returned goes to a callback.
"""

from __future__ import annotations

import selectors
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NoReturn

from gevent.hub import Hub


class HubSelector(selectors.BaseSelector):
    """Watches descriptors on a hub.

    Args:
        hub: The gevent hub that watches.
        on_ready: Called in the hub with the ready events and the key of a descriptor.
    """

    def __init__(self, hub: Hub, on_ready: Callable[[int, selectors.SelectorKey], None]) -> None:
        self._hub: Any = hub
        self._on_ready = on_ready
        self._keys = KeysByFile()
        self._watchers: dict[int, Any] = {}

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        descriptor = _descriptor(fileobj)
        key = selectors.SelectorKey(fileobj, descriptor, events, data)
        # EVENT_READ and EVENT_WRITE are the hub's numbers too.
        watcher = self._hub.loop.io(descriptor, events)
        watcher.start(self._on_ready, key, pass_events=True)
        self._watchers[descriptor] = watcher
        self._keys.by_descriptor[descriptor] = key
        return key

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        key = self._keys.by_descriptor.pop(_descriptor(fileobj))
        watcher = self._watchers.pop(key.fd)
        watcher.stop()
        watcher.close()
        return key

    def select(self, timeout: float | None = None) -> NoReturn:
        raise RuntimeError("The hub selects")

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        return self._keys

    def close(self) -> None:
        """Stop watching, but keep what is registered; see `HubLoop.abandon`."""
        for watcher in self._watchers.values():
            watcher.stop()


class KeysByFile(Mapping[Any, selectors.SelectorKey]):
    """A selector's keys, by descriptor or by the object that has one."""

    def __init__(self) -> None:
        self.by_descriptor: dict[int, selectors.SelectorKey] = {}

    def __getitem__(self, fileobj: Any) -> selectors.SelectorKey:
        return self.by_descriptor[_descriptor(fileobj)]

    def __iter__(self) -> Iterator[int]:
        return iter(self.by_descriptor)

    def __len__(self) -> int:
        return len(self.by_descriptor)


def _descriptor(fileobj: Any) -> int:
    return fileobj if isinstance(fileobj, int) else int(fileobj.fileno())
