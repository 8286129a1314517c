"""How an application is tested: `Client` in a test, `gws.Server` beside one, and pytest's fixtures.

Each name is imported when it is first asked for (PEP 562): pytest loads the plugin in every run, also where no test
wants it, and before `monkey.patch_all()`.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..errors import ClosedError, RefusedError
    from .client import Client
    from .client_websocket import ClientWebSocket

__all__ = ["Client", "ClientWebSocket", "ClosedError", "RefusedError"]

_HOMES = {
    "Client": "gws.testing.client",
    "ClientWebSocket": "gws.testing.client_websocket",
    "ClosedError": "gws.errors",
    "RefusedError": "gws.errors",
}

if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        if name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        found = globals()[name] = getattr(importlib.import_module(_HOMES[name]), name)
        return found
