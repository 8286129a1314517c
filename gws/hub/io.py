"""What the connections of one hub share: a receive buffer, compressors, timers, and the outboxes to flush next."""

from __future__ import annotations

import time
from asyncio.events import _get_running_loop
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol

import gevent
from gevent import monkey
from gevent.event import Event
from greenlet import greenlet

from ..aio.loop import HubLoop
from ..metrics import counters
from ..protocol.deflate import Allowance, Compression, Deflater
from .callbacks import CanFail, guard, report_fault
from .threads import get_thread, poll_once
from .timers import SharedTimers

RECEIVE_SIZE: Final = 256 * 1024
"""Bytes to read from a peer that sends much. Large messages come in few reads, and the one buffer is never allocated
again: a `recv` of this size would map and unmap memory at every call."""

BURST_SIZE: Final = 256 * 1024
"""Bytes that a greenlet may queue for one connection before it lets the hub write, so that a burst does not make a
client that reads look like one that does not."""

TURN: Final = 0.002
"""Seconds for which one client may keep the hub with what it has sent already."""
TURNS: Final = 0.01
"""Seconds for all those together that have had a turn and have more to do; then the hub looks at every socket again."""

COMPRESSING: Final = 0.02
"""Seconds for compressing what is sent, before the hub looks at the sockets again: enough for a thousand receivers of a
short message. Who comes later gets it as it is."""
SENDING: Final = 16 * 1024 * 1024
"""Bytes to send meanwhile: about as long."""

MAX_HANDED_OVER: Final = 64
"""Messages of other threads that may wait for a hub, of `BURST_SIZE` bytes in all; then the thread waits."""
HAND_OVER_TIMEOUT: Final = 5.0
"""Seconds for which a thread waits: by then a handler has held the hub up for as long, and nobody is served at all."""

_sleep_in_thread: Callable[[float], None] = monkey.get_original("time", "sleep")


class CanFlush(CanFail, Protocol):
    """A connection, as far as its hub is concerned."""

    def queue(self, frame: bytes) -> bool:
        """Queue a frame, without waiting."""

    def flush(self) -> None:
        """Send what is queued, without waiting."""


class TakesTurns(Protocol):
    """A connection that has more to do than others should wait for."""

    def take_turn(self) -> None:
        """Go on with it."""


class HubIO:
    """One for each hub; everything here runs in the hub's thread unless it says otherwise."""

    __slots__ = (
        "_burst",
        "_dirty",
        "_flush_timer",
        "_handed_over",
        "_is_deaf",
        "_is_flushing",
        "_renewal",
        "_turn_timer",
        "_turns",
        "buffer",
        "compressing",
        "deflaters",
        "hub",
        "loop",
        "send_space",
        "switch_to_hub",
        "thread",
        "timers",
    )

    def __init__(self, hub: Any) -> None:
        self.hub = hub
        self.loop = hub.loop
        self.switch_to_hub: Callable[[], object] = greenlet.switch.__get__(hub)
        """Without gevent's look for a `switch_out` hook, which is there for calls that may not block."""
        self.thread: int = hub.thread_ident
        self.buffer = memoryview(bytearray(RECEIVE_SIZE))
        self.timers = SharedTimers(hub.loop)
        self.deflaters: dict[tuple[Compression, int], Deflater] = {}
        """Those that connections without context takeover share, by window bits."""
        self.compressing = Allowance(COMPRESSING, time.monotonic, self._renew_soon)
        self._renewal = hub.loop.timer(0)
        self.send_space = SENDING
        """Bytes that the kernel may still take before the hub looks at the sockets, or has flushed all. Counted down,
        since a comparison with 0 costs a message nothing."""
        self._turns: deque[TakesTurns] = deque()
        """Those that have had a turn and have more to do, in the order in which they get the next one."""
        self._turn_timer = hub.loop.timer(0)
        """Not a callback of the hub, which may run on before the sockets are polled."""
        self._dirty: list[CanFlush] = []
        self._is_flushing = False
        """Whether some of them are left for later, because enough has been sent."""
        self._flush_timer = hub.loop.timer(0)
        self._handed_over: deque[tuple[Sequence[CanFlush], bytes]] = deque()
        """Frames from other threads, and whom they are for."""
        self._is_deaf = False
        """True from a thread's timeout until the hub next takes a frame."""
        self._burst = 0
        """Bytes queued for any one connection, at most, since the hub last flushed."""

    def flush_soon(self, connection: CanFlush) -> None:
        """Flush this connection's outbox once the running greenlet yields; one hub callback serves all."""
        if not self._dirty:
            self.loop.run_callback(self._flush)
        self._dirty.append(connection)

    def wait_turn(self, connection: TakesTurns) -> None:
        """Have a connection `take_turn` when the others have had theirs, those included that send something now."""
        if not self._turns:
            self._turn_timer.start(self._give_turns)
        self._turns.append(connection)

    def drop_turn(self, connection: TakesTurns) -> None:
        """Forget that a connection waits for its turn."""
        self._turns.remove(connection)

    def _give_turns(self) -> None:
        end = time.monotonic() + TURNS
        try:
            for _ in range(len(self._turns)):
                self._turns.popleft().take_turn()
                if time.monotonic() > end:
                    break
        finally:
            if self._turns:
                self._turn_timer.start(self._give_turns)

    def hand_over(self, connections: Sequence[CanFlush], frame: bytes) -> bool:
        """Queue a frame on connections of this hub. Any other thread, which waits while this one is behind.

        Returns:
            Whether the hub takes it; False when it has taken nothing for `HAND_OVER_TIMEOUT`.
        """
        deadline = time.monotonic() + HAND_OVER_TIMEOUT
        while self._is_behind():
            if self._is_deaf or time.monotonic() > deadline:
                # Until it hears again nobody waits: the handler that holds it up may be waiting for this very thread.
                self._is_deaf = True
                counters["undelivered"] += len(connections)
                return False
            _pause()
        self._handed_over.append((connections, frame))
        self.loop.run_callback_threadsafe(self._take_over)
        return True

    def call(self, function: Callable[..., object], *args: object) -> None:
        """Call in the hub's thread: now if this is it, else as soon as the hub can. Any thread."""
        if self.is_current():
            function(*args)
        else:
            self.loop.run_callback_threadsafe(function, *args)

    def is_current(self) -> bool:
        """Return whether the caller is in the hub's thread. Any thread."""
        return get_thread() == self.thread

    def may_wait(self) -> bool:
        """Return whether the caller is a greenlet of this hub, which may wait; a coroutine may not. Any thread."""
        return (
            self.is_current()
            and gevent.getcurrent() is not self.hub
            and not isinstance(_get_running_loop(), HubLoop)
        )

    def wait(self, event: Event, seconds: float) -> bool:
        """Wait for an event of this hub, for so long at most; whether it was set. A greenlet, or any other thread."""
        if self.is_current():
            return bool(event.wait(seconds))
        # gevent would make a hub for the thread, and leave it there.
        deadline = time.monotonic() + seconds
        while not event.is_set() and time.monotonic() < deadline:
            _pause()
        return bool(event.is_set())

    def end_burst(self, size: int) -> None:
        """Count `size` bytes that were queued; let the hub poll, write and read when it is time to. Any thread."""
        self._burst += size
        if self.has_burst() and self.may_wait():
            self._burst = 0
            poll_once()
            for _ in range(self.count_unflushed()):
                if self._is_flushing:
                    poll_once()

    def count_unflushed(self) -> int:
        """How often at most to wait for the hub to look at the sockets, until all that is queued now has been sent."""
        return len(self._dirty) if self._is_flushing else 0

    def has_burst(self) -> bool:
        """Return whether it is time to let the hub write."""
        return self._burst > BURST_SIZE

    def _is_behind(self) -> bool:
        waiting = self._handed_over.copy()
        return len(waiting) >= MAX_HANDED_OVER or sum(len(frame) for _, frame in waiting) > BURST_SIZE

    def _take_over(self) -> None:
        self._is_deaf = False
        connections, frame = self._handed_over.popleft()
        for connection in connections:
            guard(connection, connection.queue, frame)

    def _flush(self) -> None:
        dirty, self._dirty = self._dirty, []
        self._burst = 0
        rest = iter(dirty)
        for connection in rest:
            # Not `_guard`: every message passes.
            try:
                connection.flush()
            except Exception as error:
                report_fault(error)
                connection.fail_internally()
            if self.send_space < 0:
                self._dirty[:0] = rest
                self._is_flushing = True
                self._flush_timer.start(self._flush_on)
                return
        self.send_space = SENDING

    def _flush_on(self) -> None:
        """Go on now that the hub has looked at the sockets."""
        self._is_flushing = False
        self.send_space = SENDING
        self._flush()

    def _renew_soon(self) -> None:
        self._renewal.start(self.compressing.renew)


_of_hub: dict[Any, HubIO] = {}
"""A process has one hub, and rarely another for a thread that serves too."""


def get_hub_io() -> HubIO:
    """Return the one of the hub that runs this greenlet."""
    hub = gevent.get_hub()
    found = _of_hub.get(hub)
    if found is None:
        found = _of_hub[hub] = HubIO(hub)
    return found


def forget_hub_io() -> None:
    """Let go of the hub of the calling native thread, which has served and is about to end."""
    hub = gevent.get_hub()
    _of_hub.pop(hub, None)
    hub.destroy(destroy_loop=True)


def _pause() -> None:
    """Wait a millisecond, for other threads and, if this one serves connections too, for its other greenlets."""
    if any(io.may_wait() for io in list(_of_hub.values())):
        gevent.sleep(0.001)
    else:
        _sleep_in_thread(0.001)
