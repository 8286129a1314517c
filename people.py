"""Who is on the line, and whose name is whose.

A SQLite file has it: the workers of a machine share that file, and it outlives a restart. Servers on several machines
would keep the same table in a database server.

A name belongs to whoever knows its token, a secret of the page that was given the name. It stays theirs while they are
connected, and for a while after their connection was lost; somebody else who wishes for it gets a number behind it.
"""

import hashlib
import itertools
import secrets
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

import gevent

GRACE: Final = 60.0
"""Seconds that a name waits for its owner: a page whose connection was lost calls every 15. After a crash, nobody who
was there is still listed when they are over."""

TABLE: Final = """
CREATE TABLE IF NOT EXISTS people (
    key TEXT PRIMARY KEY,  -- the name, in lower case
    name TEXT NOT NULL,
    owner TEXT NOT NULL,  -- a hash of the token
    id TEXT UNIQUE NOT NULL,  -- what others call them by; the same after a reconnect
    connection TEXT UNIQUE,  -- their ws.id, NULL while they are away
    worker TEXT NOT NULL,  -- where they are connected
    until REAL NOT NULL  -- when the name is free, unless that is put off
)
"""


class Person(NamedTuple):
    """Somebody on the line, as the others see them."""

    id: str
    name: str


class People:
    """Those on one line. Made where it is used, never before a fork: SQLite forbids to take a connection along.

    Args:
        path: the file, which is made if there is none.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._worker = secrets.token_hex(8)
        self._renewed = time.time()
        # A transaction locks the file from its first statement on: two workers never give the same name.
        self._db = sqlite3.connect(path, isolation_level="IMMEDIATE")
        # What is committed need not be on the disk at once, and so nobody waits for the disk.
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = NORMAL")
        self._db.execute(TABLE)
        gevent.spawn(self._renew_for_ever)

    def join(self, wish: str, token: str, connection: str) -> tuple[Person, str | None]:
        """Connect somebody, by the name that they wish for unless it is somebody else's.

        Returns:
            Who they are, the same as before if the name was theirs, and the connection that they had until now.
        """
        owner = hashlib.sha256(token.encode()).hexdigest()
        with self._db:
            self._renew()  # A machine that slept has missed it.
            self._db.execute("DELETE FROM people WHERE until <= ?", [time.time()])
            others = {key for (key,) in self._db.execute("SELECT key FROM people WHERE owner != ?", [owner])}
            name = next(name for name in _numbered(wish) if name.casefold() not in others)
            own = "SELECT id, connection FROM people WHERE key = ?"
            known = self._db.execute(own, [name.casefold()]).fetchone()
            person_id, before = known or (secrets.token_hex(8), None)
            row = [name.casefold(), name, owner, person_id, connection, self._worker, time.time() + GRACE]
            self._db.execute("REPLACE INTO people VALUES (?, ?, ?, ?, ?, ?, ?)", row)
        return Person(person_id, name), before

    def leave(self, connection: str, grace: float = GRACE) -> bool:
        """Disconnect somebody, whose name waits for some seconds.

        Returns:
            Whether they are away now: False when another connection of theirs has taken over.
        """
        leave = "UPDATE people SET connection = NULL, until = ? WHERE connection = ?"
        with self._db:
            return self._db.execute(leave, [time.time() + grace, connection]).rowcount == 1

    def here(self) -> list[Person]:
        """Return those who are connected, to any worker, the first one first."""
        here = "SELECT id, name FROM people WHERE connection IS NOT NULL AND until > ? ORDER BY rowid"
        return [Person(*row) for row in self._db.execute(here, [time.time()])]

    def find(self, person_id: object) -> str | None:
        """Return somebody's connection, if there is anybody of that id and they are connected."""
        if not isinstance(person_id, str) or not person_id.isascii():
            return None
        found = self._db.execute("SELECT connection FROM people WHERE id = ?", [person_id]).fetchone()
        return found[0] if found else None

    def _renew(self) -> None:
        """Put off the time at which the names of this worker's people are free, in a transaction."""
        now = time.time()
        if now < self._renewed + GRACE / 4:
            return
        self._renewed = now
        renew = "UPDATE people SET until = ? WHERE worker = ? AND connection IS NOT NULL"
        self._db.execute(renew, [now + GRACE, self._worker])

    def _renew_for_ever(self) -> None:
        while True:
            gevent.sleep(GRACE / 4)
            with self._db:
                self._renew()


def _numbered(name: str) -> Iterator[str]:
    """Return a name as it is, and then with a number behind it: "gordon 2", "gordon 3"."""
    return itertools.chain([name], (f"{name} {number}" for number in itertools.count(2)))
