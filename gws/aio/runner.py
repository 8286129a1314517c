"""asyncio on the gevent hub, for `async def` handlers.

`Runner.run` is how a greenlet calls a coroutine, and `run` is the same for one. The first step is made at
once, in the calling greenlet, so a coroutine that awaits nothing costs no turn of the hub; if it suspends,
its task goes on in callbacks of the hub (`loop`) and the greenlet waits as greenlets do. Each hub has
one loop for as long as it lives, so what a coroutine leaves open (a client's connection pool, a background
task) is there for the next one. A forked child begins anew.
"""

from __future__ import annotations

import asyncio
import builtins
import sys
import types
import weakref
from asyncio.events import _get_running_loop
from collections.abc import Callable, Coroutine, Generator
from contextvars import Context
from typing import Any, TypeVar

from gevent import get_hub, getcurrent
from gevent.exceptions import BlockingSwitchOutError
from gevent.hub import Waiter

from ..errors import WouldBlockError
from ..forks import Step, after_fork
from .handles import NextStep
from .loop import HubLoop

T = TypeVar("T")

_ExceptionGroup: Any = getattr(builtins, "BaseExceptionGroup", ())
"""Python 3.10 has none."""


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run one coroutine as `Runner.run` does, with the caller's context variables."""
    runner = Runner()
    try:
        return runner.run(coroutine)
    finally:
        runner.close()


class Runner:
    """Runs coroutines one after the other on this thread's hub, in one task, for a new one takes longer than an echo.

    It is for one greenlet at a time.

    Args:
        context: the context variables that the task sees, which Python 3.10 copies; the caller's, if none is given.
    """

    __slots__ = ("_context", "_worker")

    def __init__(self, context: Context | None = None) -> None:
        self._context = context
        self._worker: _Worker | None = None

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine and wait for it.

        It is cancelled when the caller is killed or the caller's `gevent.Timeout` expires. After any error the next
        one gets a task of its own.

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
        worker, self._worker = self._worker, None
        if worker is None:
            worker = _Worker(loop, self._context)
        try:
            result: T = worker.run(coroutine)
            self._worker = worker
        except BaseException as error:
            if not _has_blocked(error):
                raise
            raise WouldBlockError(
                "A coroutine made a gevent call that blocks, which would stop every connection: "
                "await asyncio.sleep(...) or another asyncio call instead, or make the handler a plain `def`"
            ) from error
        finally:
            # Its task holds the exception, and the exception this frame: do not close the circle.
            del worker
        return result

    def close(self) -> None:
        """End the task, which is not left pending."""
        if self._worker is not None:
            self._worker.close()
            self._worker = None


class _Worker:
    """A task that runs the coroutines that it is given; between two of them it is parked."""

    __slots__ = ("_coroutine", "_is_last", "_loop", "_result", "_step", "_task", "_waiter")

    def __init__(self, loop: HubLoop, context: Context | None) -> None:
        self._loop = loop
        self._coroutine: Coroutine[Any, Any, Any] | None = None
        self._result: Any = None
        self._is_last = False
        """Whether the task ends with the coroutine that it runs."""
        self._waiter: Waiter[None] | None = None
        """Of the greenlet that waits for the coroutine, if it has suspended."""
        self._step = NextStep()
        self._task = loop.make_task(self._work(), self._step, context)
        # Not among `asyncio.all_tasks()`: who cancels and awaits all others would wait for every connection.
        asyncio._unregister_task(self._task)

    def run(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        """Return what the coroutine returns; after what it raises, the worker is done with."""
        self._coroutine = coroutine
        try:
            self._loop.make_step(self._step)
        except (SystemExit, KeyboardInterrupt):
            # The task's own is its result; else it is a signal's.
            if not self._task.done():
                self.close()
                raise
        if self._is_busy():
            self._wait()
        if self._task.done():
            try:
                return self._task.result()
            finally:
                # It holds the exception, and the exception the frames that hold this.
                del self._task
        result, self._result = self._result, None
        return result

    def close(self) -> None:
        """End the task: now if it is parked, else with its coroutine, which is cancelled."""
        self._is_last = True
        if self._coroutine is None:
            self._loop.make_step(self._step)
        else:
            self._task.cancel()

    async def _work(self) -> None:
        try:
            while self._coroutine is not None:
                self._result = await self._coroutine
                self._coroutine = None
                if self._is_last:
                    return
                self._wake()
                try:
                    self._loop.hold(self._step)
                    await _yield_once()
                except asyncio.CancelledError:
                    # Whoever cancels it now is late: the coroutine that was meant is over.
                    pass
                if sys.version_info >= (3, 11):
                    while self._task.cancelling():
                        self._task.uncancel()
        finally:
            self._wake()

    def _is_busy(self) -> bool:
        return self._coroutine is not None and not self._task.done()

    def _wait(self) -> None:
        # A Waiter switches to its greenlet only while that is in `get`, never to one that has gone on.
        waiter = self._waiter = Waiter(self._loop.hub)
        self._loop.awaited.add(self._task)
        try:
            # Anybody may switch to a greenlet: it goes on waiting until there is a result.
            while self._is_busy():
                waiter.get()
        except BaseException:
            self.close()
            raise
        finally:
            self._waiter = None
            self._loop.awaited.discard(self._task)

    def _wake(self) -> None:
        """Let the greenlet go on, by way of the hub: it must not run inside a turn of the loop."""
        if self._waiter is not None:
            self._loop.hub.loop.run_callback(self._waiter.switch, None)


@types.coroutine
def _yield_once() -> Generator[None, None, None]:
    """Have the task ask its loop for its next step."""
    yield


def _has_blocked(error: BaseException) -> bool:
    """Return whether the error is gevent's refusal to block, or a group with one in it, as a TaskGroup raises it."""
    if isinstance(error, _ExceptionGroup):
        return error.subgroup(BlockingSwitchOutError) is not None
    return isinstance(error, BlockingSwitchOutError)


async def in_greenlet(function: Callable[..., T], *args: Any) -> T:
    """Call a function that may wait as gevent's do, and wait for it. In a coroutine of any event loop.

    On gws's own loop a greenlet calls it, which is killed if the caller is cancelled; on another one, its executor.
    """
    loop = asyncio.get_running_loop()
    if isinstance(loop, HubLoop):
        return await loop.in_greenlet(function, *args)
    return await loop.run_in_executor(None, function, *args)


def get_loop() -> HubLoop:
    """Return the event loop of the calling thread's hub, made on first use."""
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


@after_fork(Step.LOOPS)
def _abandon_loops() -> None:
    """Leave the loops to the process that this one was forked from: the next `get_loop` makes a new one."""
    for loop in list(_loops):
        loop.abandon()
        del loop.hub.asyncio_loop
    _abandoned.extend(_loops)
    _loops.clear()
