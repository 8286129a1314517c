"""Which core is the server's and which is the load's."""

import os
import time
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Cores:
    """None where there is only one core: then nothing is pinned and the figures say little."""

    server: int | None
    load: int | None

    def describe(self) -> str:
        if self.server is None:
            return "only one, shared by server and load: compare nothing but CPU per message"
        return f"server on {self.server}, load on {self.load}"

    def take_the_load_core(self) -> None:
        """Pin this process, and with it the load generators that it starts from now on."""
        if self.load is not None:
            os.sched_setaffinity(0, {self.load})


class CoreUse:
    """How busy both cores are from now on."""

    def __init__(self, cores: Cores) -> None:
        self._cores = [core for core in (cores.server, cores.load) if core is not None]
        self._since = time.monotonic()
        self._before = _busy_seconds(self._cores)

    def by_others(self, server_share: float, load_share: float) -> float:
        """Return the part of the time that a core was busy with neither server nor load, of the core where it was more.

        A hypervisor that takes the core away counts as busy.
        """
        elapsed = time.monotonic() - self._since
        busy = [
            after - before for before, after in zip(self._before, _busy_seconds(self._cores), strict=True)
        ]
        shares = zip(busy, (server_share, load_share), strict=False)
        return max((seconds / elapsed - known for seconds, known in shares), default=0.0)


def choose_cores() -> Cores:
    """Return the first core for the server; for the load another, if possible not its hyper-thread sibling."""
    available = sorted(os.sched_getaffinity(0))
    if len(available) < 2:
        return Cores(None, None)
    siblings = _siblings(available[0])
    return Cores(available[0], next((core for core in available[1:] if core not in siblings), available[1]))


def _busy_seconds(cores: list[int]) -> list[float]:
    """Since the start of the machine: user, nice, system, interrupts and steal; not idle and waiting for disks."""
    lines = [line.split() for line in Path("/proc/stat").read_text().splitlines()]
    ticks = {line[0]: [int(value) for value in line[1:9]] for line in lines if line[0].startswith("cpu")}
    per_second = os.sysconf("SC_CLK_TCK")
    return [(sum(ticks[f"cpu{core}"]) - sum(ticks[f"cpu{core}"][3:5])) / per_second for core in cores]


def _siblings(core: int) -> set[int]:
    path = Path(f"/sys/devices/system/cpu/cpu{core}/topology/thread_siblings_list")
    if not path.exists():
        return set()
    ranges = (part.split("-") for part in path.read_text().strip().split(","))
    return {core for ends in ranges for core in range(int(ends[0]), int(ends[-1]) + 1)}
