"""A process that a newer one replaces, with the same listener, so that nobody is refused: `gws run --reload`.

A line to the supervisor, one end of a socket pair, says it all: this process says that it serves, and the supervisor
hangs up as soon as a newer one does. A supervisor that is killed hangs up too.
"""

from __future__ import annotations

import os
import signal
from typing import Final

import gevent
import gevent.socket

from ..protocol.frames import SERVICE_RESTART, Close
from .shutdown import shutdown

VARIABLE: Final = "GWS_HANDOVER"
"""Of the environment: the file descriptor of this end of the line, if there is a supervisor."""

RESTART: Final = Close(SERVICE_RESTART, "service restart")

LAST_REQUESTS: Final = 3.0
"""Seconds for the plain requests that have come before the newer process served."""

_line: gevent.socket.socket | None = None


def begin(leader: int) -> None:
    """Tell the supervisor, if there is one, that this process serves.

    Args:
        leader: the process that ends this one when it gets SIGTERM: itself, or gunicorn's master.
    """
    global _line
    descriptor = os.environ.pop(VARIABLE, None)
    if descriptor is None:
        return
    # Its own programs are no part of this.
    os.set_inheritable(int(descriptor), False)
    _line = gevent.socket.socket(fileno=int(descriptor))
    _line.setblocking(False)
    _line.send(b".")
    gevent.spawn(_end_with_line, leader)


def look() -> bool:
    """Return whether a newer process serves; a stop that is about to begin closes with 1012 then."""
    if _line is None or not _has_hung_up(_line):
        return False
    shutdown.close = RESTART
    return True


def _has_hung_up(line: gevent.socket.socket) -> bool:
    try:
        return not line.recv(1)
    except BlockingIOError:
        return False
    except OSError:
        return True


def _end_with_line(leader: int) -> None:
    assert _line is not None
    gevent.socket.wait_read(_line.fileno())
    os.kill(leader, signal.SIGTERM)
