"""An asyncio event loop that has no loop of its own: the gevent hub does its work.

asyncio's selector loop brings the transports, the TLS, the servers and the `sock_` calls; where it would
block in `select`, the hub takes over. A descriptor is a `hub.loop.io` watcher, a timer is a
`hub.loop.timer`, and `call_soon` asks the hub for one callback, a turn, which runs what was ready when it
began and no more, so that a `call_soon` chain cannot keep the hub from its sockets. There is no thread, no
self-pipe and no greenlet that runs anything. asyncio's running loop is set while a turn runs, and what was
there before is put back after it, so the other asyncio loops of the process never see this one.

Longer than other modules: asyncio asks one class for all of it.
"""

from __future__ import annotations

import asyncio
import selectors
import sys
from asyncio.events import _get_running_loop, _set_running_loop
from collections import deque
from collections.abc import AsyncGenerator, Callable, Coroutine
from concurrent.futures import Executor
from contextvars import Context
from functools import partial
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import gevent
import gevent.socket
from gevent import getcurrent
from gevent.exceptions import BlockingSwitchOutError
from gevent.hub import Hub

from .handles import HubTimer, NextStep
from .poll import let_coroutines_poll
from .selector import HubSelector
from .subprocess import HubSubprocess

if TYPE_CHECKING:
    from typing_extensions import TypeVarTuple, Unpack

    Ts = TypeVarTuple("Ts")

T = TypeVar("T")


class HubLoop(asyncio.SelectorEventLoop):
    """The asyncio event loop of one hub. It always runs: there is nothing to start, stop or close.

    `call_soon_threadsafe` may be called from any thread, everything else from any greenlet of the hub.

    Args:
        hub: The gevent hub that does the work.
    """

    # What we use of asyncio's that it does not document. It reads what `select` returns, a key and its ready
    # events: it queues the key's reader, or writer, or both,
    _process_events: Callable[[list[tuple[selectors.SelectorKey, int]]], None]
    # here, in the queue of ready handles, which for this reason is ours too.
    _ready: deque[asyncio.Handle]

    def __init__(self, hub: Hub) -> None:
        let_coroutines_poll(HubLoop)
        self.hub: Any = hub
        # The tasks that somebody waits for in `gws.aio.run`: what they raise is raised there.
        self.awaited: set[asyncio.Task[Any]] = set()
        self._timers: dict[Any, HubTimer] = {}
        # From when a turn is asked for to its end, which looks for new work, `call_soon` need not ask again.
        self._turn_is_due = False
        self._held: NextStep | None = None
        self._descriptors = HubSelector(hub, self._on_descriptor)
        super().__init__(self._descriptors)

    def call_soon(
        self, callback: Callable[[Unpack[Ts]], object], *args: Unpack[Ts], context: Context | None = None
    ) -> asyncio.Handle:
        if self._held is not None and self._held.is_due(callback):
            held, self._held = self._held, None
            held.fill(callback, context)
            return held
        handle = asyncio.Handle(callback, args, self, context)
        self._ready.append(handle)
        if not self._turn_is_due:
            self._ask_for_turn()
        return handle

    def call_soon_threadsafe(
        self, callback: Callable[[Unpack[Ts]], object], *args: Unpack[Ts], context: Context | None = None
    ) -> asyncio.Handle:
        self._check_not_abandoned()
        handle = asyncio.Handle(callback, args, self, context)
        self._ready.append(handle)
        self.hub.loop.run_callback_threadsafe(self._turn)
        return handle

    def make_task(
        self, coroutine: Coroutine[Any, Any, T], step: NextStep, context: Context | None
    ) -> asyncio.Task[T]:
        """Make a task that does not begin by itself: its first step is the one given, for `make_step`."""
        step.coroutine = coroutine
        self.hold(step)
        if context is None:
            return asyncio.Task(coroutine, loop=self)
        if sys.version_info >= (3, 11):
            return asyncio.Task(coroutine, loop=self, context=context)
        return context.run(partial(asyncio.Task, coroutine, loop=self))

    def hold(self, step: NextStep) -> None:
        """Has the next `call_soon` of the step's task fill it in and ask for no turn."""
        self._held = step

    def make_step(self, step: NextStep) -> None:
        """Run a task's step here and now, up to its next suspension, without a turn of the hub."""
        greenlet: Any = getcurrent()
        # A gevent call that blocks would leave a task amid a step. Before a switch, the hub calls this.
        greenlet.switch_out = _refuse_to_block
        self._ready.appendleft(step)
        try:
            self._run_ready(1)
        finally:
            del greenlet.switch_out

    def _ask_for_turn(self) -> None:
        self._check_not_abandoned()
        self._turn_is_due = True
        self.hub.loop.run_callback(self._turn)

    def _turn(self) -> None:
        self._turn_is_due = False
        # A forked child inherits the turns that were asked for.
        if not self.is_closed():
            self._run_ready(len(self._ready))

    def _run_ready(self, count: int) -> None:
        """Run the first `count` ready handles with this as asyncio's running loop."""
        was_due, self._turn_is_due = self._turn_is_due, True
        previous_loop, previous_hooks = _get_running_loop(), sys.get_asyncgen_hooks()
        _set_running_loop(self)
        sys.set_asyncgen_hooks(None, self._close_generator)
        popleft = self._ready.popleft
        try:
            for _ in range(count):
                handle = popleft()
                if not handle.cancelled():
                    # In its context; what it raises goes to `call_exception_handler`, but for SystemExit and
                    # KeyboardInterrupt.
                    handle._run()
        except (SystemExit, KeyboardInterrupt) as error:
            # From a hub callback it goes to the main greenlet, as from any greenlet. But where `run` waits
            # for the task it is raised there, and once is enough.
            if not self._is_awaited(error):
                raise
        finally:
            _set_running_loop(previous_loop)
            sys.set_asyncgen_hooks(*previous_hooks)
            self._turn_is_due = was_due
            if self._ready and not was_due and not self.is_closed():
                self._ask_for_turn()

    def _close_generator(self, generator: AsyncGenerator[Any, Any]) -> None:
        """Close, as asyncio does, an async generator that was dropped half-way, maybe in another thread."""
        if not self.is_closed():
            self.call_soon_threadsafe(self.create_task, generator.aclose())

    def _is_awaited(self, error: BaseException) -> bool:
        return any(
            task.done() and not task.cancelled() and task.exception() is error for task in self.awaited
        )

    def call_at(
        self,
        when: float,
        callback: Callable[[Unpack[Ts]], object],
        *args: Unpack[Ts],
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        self._check_not_abandoned()
        watcher = self.hub.loop.timer(max(0.0, when - self.time()))
        timer = self._timers[watcher] = HubTimer(self, watcher, when, callback, args, context)
        # `update`: the hub's clock stands still while its callbacks run.
        watcher.start(self._on_timer, timer, update=True)
        return timer

    def drop_timer(self, timer: HubTimer) -> None:
        """Close the watcher of a timer that is due or cancelled. Idempotent."""
        if self._timers.pop(timer.watcher, None) is not None:
            timer.watcher.stop()
            timer.watcher.close()

    def _on_timer(self, timer: HubTimer) -> None:
        self.drop_timer(timer)
        self._ready.append(timer)
        self._run_ready(len(self._ready))

    def _on_descriptor(self, events: int, key: selectors.SelectorKey) -> None:
        self._process_events([(key, events)])
        self._run_ready(len(self._ready))

    def _make_self_pipe(self) -> None:
        """Make none: it would be for ending a `select` from outside, and the hub has its own way."""

    def in_greenlet(self, function: Callable[..., T], *args: Any) -> asyncio.Future[T]:
        """Call a function that may block as gevent's do. To cancel the future kills the greenlet."""
        future: asyncio.Future[T] = self.create_future()
        greenlet = gevent.spawn(lambda: _settle(future, *_outcome(function, args)))
        future.add_done_callback(lambda _: greenlet.kill(block=False))
        return future

    def run_in_executor(
        self, executor: Executor | None, func: Callable[[Unpack[Ts]], T], *args: Unpack[Ts]
    ) -> asyncio.Future[T]:
        if executor is None:
            return self.create_task(self._run_in_threadpool(func, args))
        return self.create_task(self._run_in(executor, func, args))

    async def _run_in_threadpool(self, function: Callable[..., T], args: tuple[Any, ...]) -> T:
        # In a greenlet, because a full pool blocks. An outcome, because the pool prints what is raised.
        outcome = await self.in_greenlet(self.hub.threadpool.apply, _outcome, (function, args))
        result: T
        result, error = outcome
        if error is not None:
            raise error
        return result

    async def _run_in(self, executor: Executor, function: Callable[..., T], args: tuple[Any, ...]) -> T:
        # After monkey patching, `submit` waits for a "thread" to start.
        submitted = await self.in_greenlet(executor.submit, function, *args)
        return await asyncio.wrap_future(submitted, loop=self)

    async def getaddrinfo(self, host: Any, port: Any, **hints: int) -> Any:
        # Not in the thread pool: gevent's patched resolver would make a hub for that thread.
        return await self.in_greenlet(partial(gevent.socket.getaddrinfo, host, port, **hints))

    async def getnameinfo(self, sockaddr: Any, flags: int = 0) -> tuple[str, str]:
        return await self.in_greenlet(gevent.socket.getnameinfo, sockaddr, flags)

    # asyncio calls it to make a child process, and leaves it to the platform's loop.
    async def _make_subprocess_transport(self, *arguments: Any, **options: Any) -> HubSubprocess:
        connected = options["waiter"] = self.create_future()
        # In a greenlet, because gevent waits for the child's exec.
        transport = await self.in_greenlet(partial(HubSubprocess, self, *arguments, **options))
        try:
            await connected
        except BaseException:
            transport.close()
            raise
        return transport

    def add_signal_handler(
        self, sig: int, callback: Callable[[Unpack[Ts]], object], *args: Unpack[Ts]
    ) -> NoReturn:
        raise NotImplementedError("Signals belong to the hub: use gevent.signal_handler(signal, function)")

    def _check_not_abandoned(self) -> None:
        if self.is_closed():
            raise RuntimeError("This event loop is the parent process's; make what uses it after the fork")

    def is_running(self) -> bool:
        """Return True: who asks wants to know whether `run_coroutine_threadsafe` will do."""
        return not self.is_closed()

    def run_forever(self) -> NoReturn:
        raise RuntimeError("This event loop runs on the gevent hub, always; use gws.aio.run(coroutine)")

    def run_until_complete(self, future: Any) -> NoReturn:
        raise RuntimeError("This event loop runs on the gevent hub, always; use gws.aio.run(coroutine)")

    def stop(self) -> NoReturn:
        raise RuntimeError("This event loop runs on the gevent hub, always; it cannot be stopped")

    def close(self) -> NoReturn:
        raise RuntimeError("This event loop lives as long as its gevent hub; it cannot be closed")

    def __del__(self) -> None:
        """Do not warn, as asyncio's does, of a loop that was not closed: nothing of it stays open."""

    def abandon(self) -> None:
        """Stop for good, in a forked child: the sockets, timers and tasks are the parent's.

        They are stopped, not dropped, lest the `finally` of a coroutine talk on the parent's connection.
        """
        # What `is_closed` returns; asyncio's `close` would drop the queue.
        self._closed = True
        self._descriptors.close()
        for watcher in self._timers:
            watcher.stop()


def _outcome(function: Callable[..., T], args: tuple[Any, ...]) -> tuple[Any, BaseException | None]:
    try:
        return function(*args), None
    except BaseException as error:  # noqa: BLE001 - it is raised where the result is awaited
        return None, error


def _settle(future: asyncio.Future[Any], result: Any, error: BaseException | None) -> None:
    if future.done():
        return
    if error is None:
        future.set_result(result)
    else:
        future.set_exception(error)


def _refuse_to_block() -> NoReturn:
    raise BlockingSwitchOutError("Impossible to call blocking function in a coroutine")
