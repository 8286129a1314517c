"""Clients of `tests.apps.chat` that know which of its processes serves them."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from .client_frames import TEXT
from .harness import Server
from .program import wait_for
from .raw_client import FIN, RESET, RawClient


class Client(RawClient):
    """A client of `tests.apps.chat`.

    Args:
        server: whom to connect to.
        rooms: what to join.

    Attributes:
        id: the connection's.
        process: the pid of the worker that serves it.
    """

    def __init__(self, server: Server, *rooms: str) -> None:
        super().__init__(server, f"/chat?{urlencode([('room', room) for room in rooms])}")
        self._heard: list[str] = []
        self.id, self.process = self._read_answer()

    def ask(self, command: str, *arguments: object) -> Any:
        """Return what the server answers to a command; messages that come before are kept."""
        self.say(json.dumps([command, *arguments]))
        return self._read_answer()

    def hear(self, last: str) -> list[str]:
        """Return the messages until the one that says `last`, without it."""
        while last not in self._heard:
            self._heard.append(self.read_text())
        at = self._heard.index(last)
        messages = self._heard[:at]
        del self._heard[: at + 1]
        return messages

    def hear_next(self) -> str:
        """Return the next message."""
        return self._heard.pop(0) if self._heard else self.read_text()

    def hear_end(self) -> None:
        """Wait for the end of the connection, whatever it is and whatever comes before."""
        while self.read_frame() not in (FIN, RESET):
            pass

    def state(self) -> dict[str, Any]:
        """Whether the server's process is ready, and its counters of the backplane, without that word."""
        return dict(self.ask("state"))

    def counter(self, name: str) -> int:
        """One of them."""
        return int(self.state().get(name, 0))

    def _read_answer(self) -> Any:
        while True:
            opcode, payload = self.read_frame()
            assert opcode == TEXT, (opcode, payload)
            if str(payload).startswith('{"answer"'):
                return json.loads(str(payload))["answer"]
            self._heard.append(str(payload))


def connect_everywhere(server: Server, workers: int, count: int = 0) -> list[Client]:
    """Clients, at least `count`, of so many workers: their connections go to whoever is first."""
    clients: list[Client] = []

    def is_enough() -> bool:
        clients.append(Client(server))
        return len(clients) >= count and len({client.process for client in clients}) >= workers

    wait_for(is_enough, f"a client of each of {workers} workers")
    return clients


def one_of_each(clients: Iterable[Client]) -> list[Client]:
    """One client of each worker."""
    return list({client.process: client for client in clients}.values())


def wait_until_acquainted(clients: Iterable[Client]) -> None:
    """Wait until every worker answers for every other."""
    workers = one_of_each(clients)
    for client in workers:
        others = [other.id for other in workers if other is not client]
        wait_for(lambda: set(others) <= set(client.ask("connections")), "the workers to know each other")  # noqa: B023


def memory(process: int) -> int:
    """Bytes of memory that a process has now."""
    pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
    return pages * 4096
