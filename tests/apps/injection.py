"""Dependencies that come while clients are connected."""

from __future__ import annotations

from gws import WebSocket
from tests.apps.base import app, start

one = WebSocket(app, "/one")
other = WebSocket(app, "/other")


@one.on("message")
@other.on("message")
def dependencies(
    msg: str, global_dependencies: dict[str, int], router_dependencies: dict[str, int]
) -> list[dict[str, int]]:
    if msg == "inject":
        one.inject(late=1)
        other.inject_global(later=2)
    return [global_dependencies, router_dependencies]


if __name__ == "__main__":
    start(app)
