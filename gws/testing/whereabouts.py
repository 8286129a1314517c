"""Where a handler is, for the message of a wait that was in vain."""

from __future__ import annotations

import sysconfig
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Final

import gevent

_PACKAGE: Final = Path(__file__).parent.parent
_NOBODYS: Final = (f"{_PACKAGE}/", f"{Path(gevent.__file__).parent}/")
"""Folders of code that no application has written."""
_OF_COROUTINES: Final = f"{_PACKAGE / 'aio'}/"
"""Where a greenlet is whose coroutine waits."""
_LIBRARIES: Final = tuple({sysconfig.get_path(name) for name in ("stdlib", "purelib", "platlib")})


def is_in_handler(frame: FrameType | None) -> bool:
    """Return whether the greenlet of a connection, whose innermost frame this is, runs the application's code."""
    return any(
        name.startswith(_OF_COROUTINES) or not name.startswith(_NOBODYS)
        for name in (frame.f_code.co_filename for frame in _outwards(frame))
    )


def describe(frame: FrameType | None) -> str:
    """Return the innermost line of the application, such as 'app.py, line 12, in message'; "" if there is none."""
    for inner in _outwards(frame):
        name = inner.f_code.co_filename
        if not name.startswith((*_NOBODYS, *_LIBRARIES, "<")):
            return f"{name}, line {inner.f_lineno}, in {inner.f_code.co_name}"
    return ""


def _outwards(frame: FrameType | None) -> Iterator[FrameType]:
    while frame is not None:
        yield frame
        frame = frame.f_back
