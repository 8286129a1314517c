"""Looks whether the program was patched for gevent before it imported what waits, and says so if not.

`from time import sleep` above `monkey.patch_all()` keeps a function that holds up the whole process: handlers then run
one after the other, and nothing else tells why.
"""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Iterator
from types import ModuleType
from typing import Any, Final

from gevent import monkey

logger = logging.getLogger("gws.server")

_WAITING: Final = {
    "time": ("sleep",),
    "socket": ("socket", "getaddrinfo", "gethostbyaddr", "gethostbyname", "gethostbyname_ex", "getnameinfo"),
    "select": ("select", "poll"),
    "selectors": ("DefaultSelector",),
    "subprocess": ("Popen",),
    "threading": ("Lock", "local"),
    "queue": ("SimpleQueue",),
    "os": ("waitpid",),
}
"""What holds up the hub, or takes all greenlets for one, if it was taken before gevent replaced it. The rest of what
gevent replaces calls these by names that are replaced too, and of early imports from `ssl` gevent warns itself."""

_EXEMPT: Final = sys.stdlib_module_names | {
    *("gevent", "geventwebsocket", "greenlet", "gws", "gunicorn"),
    *("blinker", "click", "flask", "itsdangerous", "jinja2", "markupsafe", "websockets", "werkzeug"),
}
"""Packages whose unpatched functions do no harm: what gevent patches itself, and what is imported with gws, of which a
few modules hold a lock for the length of a dict's update, and wait for nothing under it."""

TIME_LIMIT: Final = 0.05
"""Seconds of CPU for all of it; a program of a thousand modules takes a fifth. Not of the clock, by which a busy
machine takes many times that just after a fork."""
_SHOWN: Final = 5


def check() -> None:
    """Warn of a program that is not patched for gevent, or was too late. Once the application is loaded."""
    if not monkey.is_module_patched("socket"):
        logger.warning(
            "the standard library is not patched for gevent: a handler that waits (time.sleep, requests, a database) "
            "stops every connection. Begin your program with `from gevent import monkey; monkey.patch_all()`"
        )
        return
    found = list(find_unpatched(TIME_LIMIT))
    if found:
        rest = f", and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
        logger.warning(
            "imported before monkey.patch_all(), so that waiting in it stops every connection: %s%s. "
            "Make `from gevent import monkey; monkey.patch_all()` the first line of the program",
            ", ".join(found[:_SHOWN]),
            rest,
        )


def find_unpatched(time_limit: float) -> Iterator[str]:
    """Yield what modules hold of the library as it was; a leading underscore says that it is on purpose.

    Args:
        time_limit: seconds of CPU, after which the rest is not looked at.
    """
    deadline = time.process_time() + time_limit
    originals = _originals()
    for name, module in tuple(sys.modules.items()):
        if name.partition(".")[0] in _EXEMPT or not issubclass(type(module), ModuleType):
            continue
        if time.process_time() > deadline:
            return
        # Not `vars`, which would have a lazy module imported.
        namespace: dict[str, Any] = object.__getattribute__(module, "__dict__")
        held = set(map(id, tuple(namespace.values())))
        # Most hold nothing; and who asks gevent for originals knows what he does.
        if originals.keys().isdisjoint(held) or id(monkey.get_original) in held:
            continue
        for key, value in tuple(namespace.items()):
            if id(value) in originals and not key.startswith("_"):
                yield f"{originals[id(value)]} as {key} in {_name_of(module)}"


def _originals() -> dict[int, str]:
    """Return the names of what gevent has replaced, by its identity."""
    return {
        id(original): f"{module}.{name}"
        for module, names in _WAITING.items()
        if module in sys.modules
        for name in names
        if (original := monkey.get_original(module, name)) is not getattr(sys.modules[module], name)
    }


def _name_of(module: ModuleType) -> str:
    if module.__name__ != "__main__":
        return module.__name__
    return os.path.basename(getattr(module, "__file__", None) or "__main__")
