"""What the access log says of a WebSocket: a line with 101 when it opens, and one with its close code when it ends."""

from __future__ import annotations

import contextlib
import datetime
import time
from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any, Final

from ..printable import printable

MAX_LINE: Final = 10 * 1024
"""Characters of a line: the longest request line, and what stands beside it."""

OPENED: Final = "101 Switching Protocols"


def write_line(handler: Any, status: str) -> None:
    """Write a line for a request whose WebSocket has opened or ended, in the format of its server.

    Args:
        handler: the pywsgi handler of the request.
        status: what the line has for a status: `OPENED`, an HTTP status, or a close code.
    """
    before = handler.status, handler._orig_status
    handler.status = handler._orig_status = status
    handler.time_finish = time.time()
    # A log that cannot be written any more, since its reader has gone or the disk is full, ends no WebSocket.
    with contextlib.suppress(OSError, ValueError):
        if hasattr(handler, "write_log"):
            handler.write_log()
        else:
            _write_as_guest(handler)
    handler.status, handler._orig_status = before


def _write_as_guest(handler: Any) -> None:
    """Write the line for gevent-websocket's handler, which writes none for a WebSocket, nor any for gunicorn."""
    log = handler.server.log
    if not hasattr(log, "access"):
        log.write(f"{printable(handler.format_request(), MAX_LINE)}\n")
        return
    # As with gws's own worker: what a WebSocket sends is not counted.
    response = SimpleNamespace(status=handler.status, headers=handler.response_headers, sent=0)
    took = datetime.timedelta(seconds=handler.time_finish - handler.time_start)
    environ = {"RAW_URI": handler.path, **handler.environ}
    log.access(response, _shown(handler.headers.items()), dict(_shown(environ.items())), took)


def _shown(items: Iterable[tuple[str, object]]) -> list[tuple[str, object]]:
    return [(name, printable(value, MAX_LINE) if isinstance(value, str) else value) for name, value in items]
