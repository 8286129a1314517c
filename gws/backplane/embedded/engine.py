"""`embedded://`: the workers of one machine, by way of a private Valkey server that they start themselves."""

from __future__ import annotations

from urllib.parse import quote

from ..redis.engine import RedisBackplane
from .private_server import ensure_running, find_owner, socket_path


class EmbeddedBackplane(RedisBackplane):
    """A `RedisBackplane` to the server of this process's owner; to be made in the worker, after the fork.

    Raises:
        BackplaneError: there is nowhere to put the server's socket.
    """

    def __init__(self) -> None:
        self._owner = find_owner()
        super().__init__(f"unix://{quote(socket_path(self._owner))}")

    def _prepare(self) -> None:
        ensure_running(self._owner)
