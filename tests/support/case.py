"""A server that survives many tests, and what a test looks at to see that it does."""

from __future__ import annotations

import itertools

from .harness import Server
from .program import wait_for

_tags = itertools.count()


def new_tag() -> str:
    """Return a name for one client, to be found in the log."""
    return f"client-{next(_tags)}-"


class Case:
    """One test's part of a server that many share: what it has written from a place in its log on."""

    def __init__(self, server: Server, begin: int) -> None:
        self.server = server
        self._begin = begin

    def log(self) -> str:
        """Return what the server has written since the test began."""
        return self.server.log()[self._begin :]

    def wait_for_log(self, words: str) -> None:
        """Wait until it has written this."""
        wait_for(lambda: words in self.log(), f"{words!r} in the log:\n{self.log()}")

    def expect_closed(self, tag: str, code: int) -> None:
        """Return the close handler runs once, and is told this code."""
        self.wait_for_log(f"closed {tag} {code}")
        assert self.log().count(f"closed {tag}") == 1

    def closed(self, tag: str) -> int:
        """How many close handlers have run, of clients of this tag."""
        return self.log().count(f"closed {tag}")

    def wait_until_unregistered(self) -> None:
        """Wait until nobody but the bystander can be reached."""
        wait_for(lambda: self.server.vitals()["registered"] == 1, "the client to be out of the registry")

    def lines_about(self, words: str) -> list[str]:
        """Return the lines with these words, besides those that the close handlers write."""
        return [line for line in self.log().splitlines() if words in line and not line.startswith("closed")]
