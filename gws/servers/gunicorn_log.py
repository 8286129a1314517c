"""Writes gws's log lines as gunicorn's, with time, process and level, where the application has no log of its own."""

from __future__ import annotations

import atexit
import logging
from typing import Final

GUNICORN: Final = "gunicorn.error"

logger = logging.getLogger("gws")


class _ToGunicorn(logging.Handler):
    """Passes records on to gunicorn's handlers, for as long as the application has configured no others.

    It asks at each record: an application may do so after its worker has begun, and gunicorn replaces its own handlers.
    """

    _has_set_level = False

    def join(self) -> None:
        """Log at gunicorn's level, unless the application has set one."""
        logger.addHandler(self)
        if logger.level == logging.NOTSET:
            self._has_set_level = True
            logger.setLevel(logging.getLogger(GUNICORN).level)

    def emit(self, record: logging.LogRecord) -> None:
        if self._has_others():
            self._leave_level()
            return
        for handler in logging.getLogger(GUNICORN).handlers:
            if record.levelno >= handler.level:
                handler.handle(record)

    def _has_others(self) -> bool:
        return any(handler is not self for handler in (*logger.handlers, *logging.getLogger().handlers))

    def _leave_level(self) -> None:
        # The handler stays: to take it out while the logger goes through its handlers would have it pass one over.
        if self._has_set_level:
            self._has_set_level = False
            logger.setLevel(logging.NOTSET)


_handler: _ToGunicorn | None = None
"""None in a process that has no need of one."""


def join() -> None:
    """Log as gunicorn does, at its level, unless the application has configured the logger "gws" or the root."""
    global _handler
    # Once, and before logging's own.
    atexit.unregister(_end)
    atexit.register(_end)
    if _handler is None and not logger.handlers and not logging.getLogger().handlers:
        _handler = _ToGunicorn()
        _handler.join()


def _end() -> None:
    """Flush the handlers, and have none of them called when it dies: by then logging's lock, gevent's, may be gone."""
    logging.shutdown()
    logging._handlerList.clear()  # type: ignore[attr-defined]
