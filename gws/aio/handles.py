"""What `HubLoop` has to do: a task's next step, and a timer of the hub."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextvars import Context
from typing import Any


class NextStep(asyncio.Handle):
    """What a task does next, when somebody else than a turn of the hub is to decide when."""

    __slots__ = ("_do", "_in", "coroutine")

    def __init__(self) -> None:
        # Not asyncio's, whose handles are for one use; this is filled in again and again.
        self._cancelled = False
        self.coroutine: Coroutine[Any, Any, Any] | None = None
        """What its task runs."""

    def is_due(self, callback: Callable[..., object]) -> bool:
        """Return whether this is the task's step. A finalizer, which runs anywhere, may call `call_soon` as well."""
        task = getattr(callback, "__self__", None)
        return isinstance(task, asyncio.Task) and task.get_coro() is self.coroutine

    def fill(self, callback: Callable[..., object], context: Context | None) -> None:
        """Take what the task asks `call_soon` for: its step, without arguments, in its own context."""
        assert context is not None
        self._do, self._in = callback, context

    def _run(self) -> None:
        do = self._do
        # It holds the task, and the task, once it has failed, whoever ran it.
        del self._do
        self._in.run(do)


class HubTimer(asyncio.TimerHandle):
    """A timer whose watcher goes when it is cancelled, not when it would have been due."""

    __slots__ = ("hub_loop", "watcher")

    def __init__(self, loop: Any, watcher: Any, when: float, callback: Any, args: Any, context: Any) -> None:
        super().__init__(when, callback, args, loop, context)
        self.hub_loop = loop
        self.watcher = watcher

    def cancel(self) -> None:
        self.hub_loop.drop_timer(self)
        super().cancel()
