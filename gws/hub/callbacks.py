"""Faults in callbacks of the hub, which would only print them: each ends its connection."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable
from typing import Protocol, TypeVar

import gevent

logger = logging.getLogger("gws.hub")


class CanFail(Protocol):
    """A connection, as far as a fault is concerned."""

    def fail_internally(self) -> None:
        """End after a fault of gws itself."""


_Connection = TypeVar("_Connection", bound=CanFail)


def hub_callback(method: Callable[[_Connection], None]) -> Callable[[_Connection], None]:
    """Return a method that the hub calls: what it raises ends its connection, since the hub would only print it."""

    @functools.wraps(method)
    def guarded(self: _Connection) -> None:
        guard(self, method, self)

    return guarded


def guard(connection: CanFail, function: Callable[..., object], *arguments: object) -> None:
    """Call a function; what it raises ends the connection."""
    try:
        function(*arguments)
    except Exception as error:
        report_fault(error)
        connection.fail_internally()


def report_fault(error: Exception) -> None:
    """Log a fault of gws itself. Not in the hub, where a logging handler may not wait for its lock."""
    gevent.spawn(logger.error, "a fault in gws ended one connection", exc_info=error)
