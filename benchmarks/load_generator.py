"""load.c from Python: builds it, runs it and parses what it prints."""

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

SOURCE = Path(__file__).resolve().with_name("load.c")
BUILD = SOURCE.with_name(".build")
COMPILE_SECONDS = 120
OVERTIME_SECONDS = 150.0  # load.c ends itself sooner than this.


class LoadError(Exception):
    """The load generator could not be built or did not finish; the message has its last words."""


@dataclass(frozen=True)
class Workload:
    """How the clients behave: messages of `size` bytes, `in_flight` of them under way on each connection."""

    name: str
    connections: int
    size: int
    in_flight: int


@dataclass(frozen=True)
class EchoResult:
    """What one run measured; all but the last are named as in the JSON that load.c prints."""

    connections: int
    size: int
    in_flight: int
    seconds: float
    messages: int
    messages_per_second: float
    p50_us: float
    p99_us: float
    max_us: float
    errors: int
    unanswered: int
    overtaken: int
    server_cpu_us_per_message: float
    server_cpu_share: float
    load_cpu_share: float
    complaint: str = ""  # What the first error was.


def build() -> Path:
    """Compile load.c, unless that has been done since it last changed."""
    program = BUILD / "load"
    if program.exists() and program.stat().st_mtime >= SOURCE.stat().st_mtime:
        return program
    BUILD.mkdir(exist_ok=True)
    try:
        subprocess.run(
            ["cc", "-O2", "-o", str(program), str(SOURCE)],
            check=True,
            capture_output=True,
            text=True,
            timeout=COMPILE_SECONDS,
        )
    except FileNotFoundError:
        raise LoadError(
            "there is no C compiler called cc; on Debian: apt-get install gcc libc6-dev"
        ) from None
    except subprocess.CalledProcessError as error:
        raise LoadError(error.stderr.strip()) from None
    return program


def echo(
    program: Path, port: int, workload: Workload, seconds: float, warm_up: float, server_pids: list[int]
) -> EchoResult:
    """Send and verify echoes for `seconds`, and read the CPU time of `server_pids` over exactly that time."""
    command = [
        *(str(program), "echo", "--port", str(port)),
        *("--connections", str(workload.connections), "--size", str(workload.size)),
        *("--in-flight", str(workload.in_flight), "--seconds", str(seconds), "--warm-up", str(warm_up)),
        *(argument for pid in server_pids for argument in ("--cpu-of", str(pid))),
    ]
    ended = subprocess.run(
        command, capture_output=True, text=True, timeout=seconds + warm_up + OVERTIME_SECONDS, check=False
    )
    if not ended.stdout:
        raise LoadError(ended.stderr.strip() or f"load ended with status {ended.returncode}")
    return EchoResult(**json.loads(ended.stdout), complaint=ended.stderr.strip())


@contextmanager
def idle_connections(program: Path, port: int, count: int, seconds: float) -> Iterator[None]:
    """Hold this many open connections, at most for `seconds`, while the caller looks at the server."""
    command = [
        str(program),
        "idle",
        "--port",
        str(port),
        "--connections",
        str(count),
        "--seconds",
        str(seconds),
    ]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdin is not None
        assert holder.stdout is not None
        try:
            if holder.stdout.readline() != f"ready {count}\n":
                raise LoadError(f"could not open {count} connections")
            yield
            holder.stdin.close()
            summary = json.loads(holder.stdout.readline())
            if summary["open"] != count:
                raise LoadError(f"{count - summary['open']} of {count} idle connections were lost")
        finally:
            holder.kill()
