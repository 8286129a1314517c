"""Handlers that yield: each value is sent, a slow client holds them back, and the client's end ends them."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import inspect
import sys
from collections.abc import AsyncGenerator, Callable, Generator, Iterator
from time import monotonic
from typing import Any

import gevent

from ..connection.backpressure import async_drain, drain
from ..connection.connection import Connection
from ..hub.io import TURN
from ..hub.threads import poll_once
from .connector import WebSocketConnector, connection_of, is_behind, queue_value


class _ClientGone(gevent.GreenletExit):
    """Raised where a generator waits for something else, once its client has gone."""


def sending(
    function: Callable[..., Any], call: Callable[[Any, Any], Any], outlives: bool
) -> Callable[[Any, Any], Any]:
    """Return what sends all that a handler yields; one that yields nothing is returned as it is.

    Args:
        function: the user's, without what a `functools.partial` gives it.
        call: calls it as `call(ws, msg)`.
        outlives: whether the connection's end leaves it alone, as it does a close handler.
    """
    functions = (function, type(function).__call__)
    if any(map(inspect.isgeneratorfunction, functions)):
        return functools.partial(_send_all, call, outlives)
    if any(map(inspect.isasyncgenfunction, functions)):
        return functools.partial(_async_send_all, call, outlives)
    return call


def _send_all(
    call: Callable[[Any, Any], Generator[Any, None, None]],
    outlives: bool,
    ws: WebSocketConnector,
    msg: object,
) -> None:
    values = call(ws, msg)
    turn_ends = monotonic() + TURN
    connection = connection_of(ws)
    ending = _Ending(connection, functools.partial(gevent.getcurrent().throw, _ClientGone))
    with (
        contextlib.suppress(_ClientGone),
        contextlib.closing(values),
        _told(connection, ending, outlives),
    ):
        for value in values:
            if ending.has_ended or not queue_value(ws, value):
                return
            if is_behind(ws):
                drain(connection)
            if monotonic() > turn_ends:
                poll_once()
                turn_ends = monotonic() + TURN


async def _async_send_all(
    call: Callable[[Any, Any], AsyncGenerator[Any, None]],
    outlives: bool,
    ws: WebSocketConnector,
    msg: object,
) -> None:
    task = asyncio.current_task()
    assert task is not None
    connection = connection_of(ws)
    ending = _Ending(connection, task.cancel)
    turn_ends = monotonic() + TURN
    try:
        async with contextlib.aclosing(call(ws, msg)) as values:
            with _told(connection, ending, outlives):
                async for value in values:
                    if ending.has_ended or not queue_value(ws, value):
                        return
                    if is_behind(ws):
                        await async_drain(connection)
                    if monotonic() > turn_ends:
                        # Not 0, with which the sockets are not polled.
                        await asyncio.sleep(1e-6)
                        turn_ends = monotonic() + TURN
    except asyncio.CancelledError:
        if not ending.has_ended:
            raise
        if sys.version_info >= (3, 11):
            task.uncancel()


class _Ending:
    """Ends a generator that waits when its connection ends; as a waker of the connection's inbox."""

    def __init__(self, connection: Connection, end: Callable[[], object]) -> None:
        self.has_ended = False
        self.is_over = False
        """Whether the generator is done."""
        self._connection = connection
        self._end = end

    def switch(self) -> None:
        """Look at the connection, in the hub."""
        if self._connection.ending is not None and not self.has_ended and not self.is_over:
            self.has_ended = True
            self._end()


@contextlib.contextmanager
def _told(connection: Connection, ending: _Ending, outlives: bool) -> Iterator[None]:
    """Tell it of the connection's changes in the body, unless what it ends outlives the connection."""
    if outlives:
        yield
        return
    before = connection.inbox.notify(ending)
    if connection.ending is not None:
        # It is of a message that came before the end: it may answer, and not wait.
        connection.io.loop.run_callback(ending.switch)
    try:
        yield
    finally:
        connection.inbox.notify(before)
        ending.is_over = True
