"""The engine that a URL names."""

from __future__ import annotations

from .contract import Backplane
from .memory import MemoryBackplane
from .urls import EMBEDDED, MEMORY


def make_backplane(url: str) -> Backplane:
    """Return the engine of a URL that `urls.check` has passed, not started.

    Raises:
        BackplaneError: the URL has a part that cannot be.
    """
    if url == MEMORY:
        return MemoryBackplane()
    # Not at the top: most applications have one process, and need not have the package redis.
    if url == EMBEDDED:
        from .embedded.engine import EmbeddedBackplane

        return EmbeddedBackplane()
    from .redis.engine import RedisBackplane

    return RedisBackplane(url)
