"""app.py in a process of its own, and callers who talk on its line."""

from __future__ import annotations

import contextlib
import json
import socket
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection
from websockets.sync.client import connect as connect_to

from .program import DEADLINE, Program

ROOT = Path(__file__).parents[2]


COMMANDS = {
    "python": [sys.executable, "app.py"],
    "worker": [sys.executable, "-m", "gunicorn", "-k", "gws.worker.Worker", "app:app"],
    "geventwebsocket": [
        *[sys.executable, "-m", "gunicorn", "-k", "geventwebsocket.gunicorn.workers.GeventWebSocketWorker"],
        "app:app",
    ],
}


class RunningApp(Program):
    """app.py in a process of its own.

    Args:
        folder: where its log goes, and who is on the line.
        way: a key of `COMMANDS`.
        host: an address of the loopback network.
        port: 0 is one that is free.
        options: more of gunicorn's.
    """

    def __init__(
        self,
        folder: Path,
        way: str = "python",
        host: str = "127.0.0.1",
        port: int = 0,
        options: Sequence[str] = (),
    ) -> None:
        command = list(COMMANDS[way])
        if way != "python":
            command += ["--bind", f"{host}:{port}", "--no-control-socket", *options]
        environment = {"HOST": host, "PORT": str(port), "STATE_DIRECTORY": str(folder)}
        super().__init__(command, folder, ROOT, environment)

    def post(self, path: str, body: bytes, mimetype: str) -> tuple[int, dict[str, Any]]:
        """Return the status and the JSON of an answer."""
        request = urllib.request.Request(
            f"http://{self.address}{path}", data=body, headers={"Content-Type": mimetype}
        )
        try:
            with urllib.request.urlopen(request, timeout=DEADLINE) as response:
                return response.status, json.loads(response.read())
        except urllib.error.HTTPError as refusal:
            with refusal:
                return refusal.code, json.loads(refusal.read())

    def people(self) -> int:
        """How many people are on the line."""
        return int(json.loads(self.get("/healthz"))["people"])


@contextlib.contextmanager
def running_app(*args: Any, **options: Any) -> Iterator[RunningApp]:
    """Run app.py, until its user is done with it; the arguments are those of `RunningApp`."""
    app = RunningApp(*args, **options)
    try:
        yield app
    finally:
        app.clean_up()


class Caller:
    """Somebody on the line, with a WebSocket."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection
        welcome = self.hear()
        assert welcome["type"] == "welcome"
        self.id: str = welcome["id"]
        self.name: str = welcome["name"]
        assert self.hear() == {"type": "joined", "id": self.id, "name": self.name}

    @property
    def person(self) -> dict[str, str]:
        """This caller as the others see it."""
        return {"id": self.id, "name": self.name}

    def hear(self) -> Any:
        """Return the next message."""
        return json.loads(self.connection.recv(timeout=DEADLINE))

    def hear_rest(self) -> list[Any]:
        """Every message until the connection is closed."""
        heard = []
        try:
            while True:
                heard.append(self.hear())
        except ConnectionClosed:
            return heard

    def send(self, message: str | bytes) -> None:
        """Send text as it is."""
        self.connection.send(message)

    def ask(self, **fields: object) -> None:
        """Send JSON."""
        self.send(json.dumps(fields))

    def lose_connection(self) -> None:
        """Vanish without a Close frame."""
        self.connection.socket.shutdown(socket.SHUT_RDWR)


class Line:
    """The application, and those who have called it in this test."""

    def __init__(self, app: RunningApp) -> None:
        self.app = app
        self._callers: list[Caller] = []
        self._connections = contextlib.ExitStack()

    def __enter__(self) -> Line:
        return self

    def __exit__(self, *_: object) -> None:
        self._connections.close()

    def connect(self, query: str = "", secret: str = "") -> Caller:
        """Connect, perhaps as a browser that has a secret, and read as far as the caller's own name."""
        url = f"ws://{self.app.address}/web_socket{query}"
        # Without a bound: a caller that is not heard in the test must still see the Close behind what it was told.
        connection = connect_to(
            url,
            additional_headers={"Cookie": f"caller={secret}"} if secret else None,
            open_timeout=DEADLINE,
            close_timeout=DEADLINE,
            max_queue=None,
        )
        return Caller(self._connections.enter_context(connection))

    def call(self, query: str = "") -> Caller:
        """Connect, and read as far as the list of people; the others on the line have read that somebody joined."""
        caller = self.connect(query)
        people = [other.person for other in [*self._callers, caller]]
        assert caller.hear() == {"type": "people", "people": people}
        for other in self._callers:
            assert other.hear() == {"type": "joined", **caller.person}
        self._callers.append(caller)
        return caller

    def assert_works(self) -> None:
        """Prove that everybody on the line hears what the first one says, and nothing before it."""
        first = self._callers[0]
        first.send("still there?")
        for caller in self._callers:
            assert caller.hear() == said(first, "still there?")


def said(caller: Caller, text: str, to: str | None = None) -> dict[str, object]:
    """Return what is heard of what a caller says."""
    return {"type": "message", "from": caller.id, "name": caller.name, "text": text, "to": to}


def announced(text: str) -> dict[str, object]:
    """Return what is heard of an announcement."""
    return {"type": "announcement", "text": text}
