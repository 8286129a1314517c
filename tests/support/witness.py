"""Somebody who only wants an echo while others attack: how long each one takes is noted."""

from __future__ import annotations

import threading
import time
from types import TracebackType

from .program import DEADLINE, Program
from .raw_client import RawClient


class Witness:
    """Echoes on a connection of its own, one message after the other, for as long as the context lasts.

    Args:
        server: one with the harness's "/echo".

    Attributes:
        waits: seconds that each echo took.
    """

    def __init__(self, server: Program) -> None:
        self._client = RawClient(server, "/echo", tls=server.tls)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._is_over = threading.Event()
        self.waits: list[float] = []

    def __enter__(self) -> Witness:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._is_over.set()
        self._thread.join(DEADLINE)
        self._client.drop()

    def _run(self) -> None:
        while not self._is_over.is_set():
            began = time.monotonic()
            self._client.say("still there?")
            assert self._client.read_text() == "still there?"
            self.waits.append(time.monotonic() - began)
            # A person's pace, so that it is no load itself.
            self._is_over.wait(0.005)

    def assert_is_served(self, longest: float = 0.25) -> None:
        """Check that no echo took longer than so many seconds; a machine with other work has pauses of its own."""
        assert len(self.waits) >= 5, f"the witness heard {len(self.waits)} echoes"
        assert max(self.waits) < longest, (
            f"{len(self.waits)} echoes, the slowest took {max(self.waits):.3f} s"
        )
