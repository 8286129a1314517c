"""asyncio on the gevent hub, for `async def` handlers.

`run` is how a greenlet calls a coroutine. The first step is made at once, in the calling greenlet, so a
coroutine that awaits nothing costs no turn of the hub; if it suspends, its task goes on in callbacks of the
hub (`hub_loop`) and the greenlet waits as greenlets do. Each hub has one loop for as long as it lives, so
what a coroutine leaves open (a client's connection pool, a background task) is there for the next one. A
forked child begins anew.
"""

from __future__ import annotations

import asyncio
import builtins
import os
import weakref
from asyncio.events import _get_running_loop
from collections.abc import Coroutine
from contextvars import Context
from typing import Any, TypeVar

from gevent import get_hub, getcurrent
from gevent.exceptions import BlockingSwitchOutError
from gevent.hub import Waiter

from .errors import WouldBlockError
from .hub_loop import HubLoop

T = TypeVar("T")

_ExceptionGroup: Any = getattr(builtins, "BaseExceptionGroup", ())
"""Python 3.10 has none."""


def run(coroutine: Coroutine[Any, Any, T], context: Context | None = None) -> T:
    """Runs a coroutine on this thread's hub and waits for it. May be called from any greenlet of any thread.

    The coroutine is a task: it sees the caller's context variables, or those of the context given (which Python
    3.10 copies), and it is cancelled when the caller is killed or the caller's `gevent.Timeout` expires.

    Raises:
        WouldBlockError: The coroutine made a gevent call that blocks; or this was called from a coroutine or
            a callback of the hub, which may not wait.
        BaseException: What the coroutine raised, SystemExit and asyncio.CancelledError included.
    """
    loop = get_loop()
    if _get_running_loop() is loop or getcurrent() is loop.hub:
        coroutine.close()
        raise WouldBlockError(
            "gws.aio.run() cannot wait on the event loop itself: `await` the coroutine instead"
        )
    task = loop.start(coroutine, context)
    try:
        if not task.done():
            _wait(loop, task)
        return task.result()
    except BaseException as error:
        if not _has_blocked(error):
            raise
        raise WouldBlockError(
            "A coroutine made a gevent call that blocks, which would stop every connection: "
            "await asyncio.sleep(...) or another asyncio call instead, or make the handler a plain `def`"
        ) from error
    finally:
        # The task holds its exception, and the exception this frame: do not close the circle.
        del task


def _has_blocked(error: BaseException) -> bool:
    """Whether the error is gevent's refusal to block, or a group with one in it, as a TaskGroup raises it."""
    if isinstance(error, _ExceptionGroup):
        return error.subgroup(BlockingSwitchOutError) is not None
    return isinstance(error, BlockingSwitchOutError)


def _wait(loop: HubLoop, task: asyncio.Task[Any]) -> None:
    # A Waiter switches to its greenlet only while that is in `get`, never to one that has gone on.
    waiter: Waiter[None] = Waiter(loop.hub)
    # By way of the hub, because the greenlet must not run inside a turn of the loop.
    task.add_done_callback(lambda _: loop.hub.loop.run_callback(waiter.switch, None))
    loop.awaited.add(task)
    try:
        # Anybody may switch to a greenlet: it goes on waiting until there is a result.
        while not task.done():
            waiter.get()
    except BaseException:
        task.cancel()
        raise
    finally:
        loop.awaited.discard(task)


def get_loop() -> HubLoop:
    """Returns the event loop of the calling thread's hub, made on first use."""
    hub: Any = get_hub()
    try:
        # An attribute of the hub, to go when it goes. A threading.local is each greenlet's own, once patched.
        loop: HubLoop = hub.asyncio_loop
    except AttributeError:
        loop = hub.asyncio_loop = HubLoop(hub)
        _loops.add(loop)
    return loop


_loops: weakref.WeakSet[HubLoop] = weakref.WeakSet()
_abandoned: list[HubLoop] = []


def _abandon_loops() -> None:
    """Leaves the parent's loops alone, in a forked child: the next `get_loop` makes a new one."""
    for loop in list(_loops):
        loop.abandon()
        del loop.hub.asyncio_loop
    _abandoned.extend(_loops)
    _loops.clear()


os.register_at_fork(after_in_child=_abandon_loops)
