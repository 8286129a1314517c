"""One server under measurement: started on its own core, awaited, weighed, and always ended.

Linux only: what a process uses is read from /proc.
"""

import os
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import TracebackType

from peers import Runnable

HOST = "127.0.0.1"
START_SECONDS = 30.0
SETTLE_SECONDS = 5.0
POLL_SECONDS = 0.02


class ServerError(Exception):
    """The server did not start, or ended by itself; the message has the end of its log."""


@dataclass(frozen=True)
class Memory:
    """Memory of a server's processes, in kB (1024 bytes) as the kernel counts it."""

    resident: int
    unique: int


class ServerProcess:
    """A running server, as a context manager: ready on entry, gone on exit."""

    def __init__(self, runnable: Runnable, act: str, core: int | None) -> None:
        self.port = _free_port()
        self._command = runnable.command(act, HOST, self.port)
        self._environment = runnable.environment()
        self._core = core
        self._log = tempfile.TemporaryFile("w+b")  # noqa: SIM115 - closed in __exit__

    def __enter__(self) -> "ServerProcess":
        self._process = subprocess.Popen(
            self._command,
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=subprocess.STDOUT,
            env=self._environment,
            start_new_session=True,
            preexec_fn=_pin_to(self._core),
        )
        try:
            self._wait_until_ready()
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    def pids(self) -> list[int]:
        """Return the server's process and its descendants."""
        found = [self._process.pid]
        for pid in found:
            found += _children(pid)
        return found

    def check(self) -> None:
        """Raise ServerError if the server has ended."""
        if self._process.poll() is not None:
            raise ServerError(f"ended with status {self._process.returncode}: {self._log_end()}")

    def cpu_seconds(self) -> float:
        """CPU time of all the server's processes and threads, since they began."""
        return sum(time.clock_gettime(_cpu_clock(pid)) for pid in self.pids())

    def memory(self) -> Memory:
        """Return what the server occupies once that has stopped changing."""
        before = self._memory_now()
        deadline = time.monotonic() + SETTLE_SECONDS
        while time.monotonic() < deadline:
            time.sleep(0.25)
            now = self._memory_now()
            if abs(now.resident - before.resident) < 0.002 * now.resident:
                return now
            before = now
        return before

    def _memory_now(self) -> Memory:
        fields = [_smaps_rollup(pid) for pid in self.pids()]
        return Memory(
            resident=sum(of["Rss"] for of in fields),
            unique=sum(of["Private_Clean"] + of["Private_Dirty"] for of in fields),
        )

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while not _answers(self.port):
            self.check()
            if time.monotonic() > deadline:
                raise ServerError(f"no answer after {START_SECONDS:.0f} s: {self._log_end()}")
            time.sleep(POLL_SECONDS)

    def _end(self) -> None:
        """End the whole process group, which it leads; how long it would take to say goodbye is not measured here."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._log.close()

    def _log_end(self) -> str:
        self._log.seek(0)
        lines = self._log.read().decode(errors="replace").strip().splitlines()
        return " / ".join(lines[-3:]) or "it wrote nothing"


def _pin_to(core: int | None) -> Callable[[], None] | None:
    return None if core is None else partial(os.sched_setaffinity, 0, {core})


def _free_port() -> int:
    with socket.create_server((HOST, 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def _answers(port: int) -> bool:
    """Whether a process is there that speaks HTTP: gunicorn listens before it has one. Any answer will do."""
    try:
        with socket.create_connection((HOST, port), timeout=START_SECONDS) as connection:
            connection.sendall(f"GET / HTTP/1.1\r\nHost: {HOST}:{port}\r\n\r\n".encode())
            return bool(connection.recv(1))
    except OSError:
        return False


def _cpu_clock(pid: int) -> int:
    """Return what clock_getcpuclockid(3) returns on Linux; Python has it for threads only."""
    return ~pid << 3 | 2


def _children(pid: int) -> list[int]:
    found: list[int] = []
    for thread in Path(f"/proc/{pid}/task").iterdir():
        found += [int(child) for child in (thread / "children").read_text().split()]
    return found


def _smaps_rollup(pid: int) -> dict[str, int]:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    return {name: int(value.split()[0]) for name, value in (line.split(":") for line in lines)}
