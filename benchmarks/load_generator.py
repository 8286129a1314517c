"""load/ from Python: builds it, runs it and parses what it prints."""

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

DIRECTORY = Path(__file__).resolve().with_name("load")
BUILD = DIRECTORY.with_name(".build")
COMPILE_SECONDS = 120
OVERTIME_SECONDS = 150.0  # It ends itself sooner than this.


class LoadError(Exception):
    """The load generator could not be built or did not finish; the message has its last words."""


@dataclass(frozen=True)
class Load:
    """What the clients do: a mode of load/load.c, and what it says about its options."""

    mode: str
    connections: int
    size: int = 32
    in_flight: int = 1
    slow: int = 0

    def arguments(self, port: int, seconds: float) -> list[str]:
        return [
            *(self.mode, "--port", str(port), "--seconds", str(seconds)),
            *("--connections", str(self.connections), "--slow", str(self.slow)),
            *("--size", str(self.size), "--in-flight", str(self.in_flight)),
        ]


def build() -> Path:
    """Compile load/, unless that has been done since it last changed."""
    program = BUILD / "load"
    sources = sorted(DIRECTORY.glob("*.c"))
    changed = max(path.stat().st_mtime for path in [*sources, *DIRECTORY.glob("*.h")])
    if program.exists() and program.stat().st_mtime >= changed:
        return program
    BUILD.mkdir(exist_ok=True)
    command = ["cc", "-O2", "-o", str(program), *map(str, sources)]
    try:
        subprocess.run(command, check=True, capture_output=True, text=True, timeout=COMPILE_SECONDS)
    except FileNotFoundError:
        raise LoadError(
            "there is no C compiler called cc; on Debian: apt-get install gcc libc6-dev"
        ) from None
    except subprocess.CalledProcessError as error:
        raise LoadError(error.stderr.strip()) from None
    return program


def run(
    program: Path, load: Load, port: int, seconds: float, warm_up: float, server_pids: list[int]
) -> tuple[dict[str, float], str]:
    """Put this load on the server, and read the CPU time of `server_pids` over exactly the measured seconds.

    Returns:
        The figures that it prints, and what the first error was, if there was one.
    """
    cpu_of = [argument for pid in server_pids for argument in ("--cpu-of", str(pid))]
    command = [str(program), *load.arguments(port, seconds), "--warm-up", str(warm_up), *cpu_of]
    timeout = seconds + warm_up + OVERTIME_SECONDS
    ended = subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False)
    if not ended.stdout:
        raise LoadError(ended.stderr.strip() or f"load ended with status {ended.returncode}")
    figures: dict[str, float] = json.loads(ended.stdout)
    return figures, ended.stderr.strip()


@contextmanager
def idle_connections(program: Path, load: Load, port: int, seconds: float) -> Iterator[None]:
    """Hold open connections, at most for `seconds`, while the caller looks at the server."""
    command = [str(program), *load.arguments(port, seconds)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdin is not None
        assert holder.stdout is not None
        try:
            if holder.stdout.readline() != f"ready {load.connections}\n":
                raise LoadError(f"could not open {load.connections} connections")
            yield
            holder.stdin.close()
            lost = load.connections - json.loads(holder.stdout.readline())["open"]
            if lost:
                raise LoadError(f"{lost} of {load.connections} idle connections were lost")
        finally:
            holder.kill()
