"""Waiting while a client is behind, for as long as it reads: in a greenlet, and in a coroutine."""

from __future__ import annotations

import asyncio
from time import monotonic

from gevent.event import Event

from ..errors import WouldBlockError
from .states import OPEN
from .transport import Transport


def drain(connection: Transport) -> None:
    """Wait until the client has caught up, or drop it. Any greenlet; another thread does not wait.

    Raises:
        WouldBlockError: the caller is a coroutine or a callback of the hub, which may not wait.
    """
    while connection.io.is_current() and connection.is_behind():
        if not connection.io.may_wait():
            raise WouldBlockError(
                "the client reads slower than this coroutine sends: "
                "write `await ws.async_send(...)` or `await ws.async_send_to(...)`, which wait for it"
            )
        before, deadline = connection.outbox.size, monotonic() + connection.stall_timeout
        while _is_stalled(connection, before):
            if not connection.changed().wait(max(deadline - monotonic(), 0)) and _is_stalled(
                connection, before
            ):
                connection.drop_slow_consumer()


async def async_drain(connection: Transport) -> None:
    """`drain` for coroutines of any event loop."""
    while connection.io.is_current() and connection.is_behind():
        before = connection.outbox.size
        while _is_stalled(connection, before):
            # Taken before anything else runs: whoever changes it tells only those who are there.
            changed = connection.changed()
            try:
                await asyncio.wait_for(_wait_in_loop(changed), connection.stall_timeout)
            except asyncio.TimeoutError:
                if _is_stalled(connection, before):
                    connection.drop_slow_consumer()


def _is_stalled(connection: Transport, before: int) -> bool:
    """Return whether the client has read nothing since so many bytes waited for it, and nobody has given it up."""
    return connection.outbox.size == before and connection.state is OPEN


async def _wait_in_loop(event: Event) -> None:
    """Wait for an event of gevent's on whatever event loop runs."""
    loop = asyncio.get_running_loop()
    is_set = asyncio.Event()

    def tell(_: object) -> None:
        loop.call_soon_threadsafe(is_set.set)

    event.rawlink(tell)
    try:
        await is_set.wait()
    finally:
        event.unlink(tell)
