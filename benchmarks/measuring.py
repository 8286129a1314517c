"""One workload on one server: what it does to a fresh process on a core of its own."""

from dataclasses import dataclass
from pathlib import Path
from time import monotonic, sleep

import load_generator
from cores import Cores, CoreUse
from load_generator import Load
from peers import Runnable
from server_process import ServerProcess
from workloads import Workload

FIRST_ECHOES = Load("echo", 1)
FIRST_ECHOES_SECONDS = 0.1
HOLD_SECONDS = 120.0  # Idle connections, at most: they are let go as soon as all is read.


@dataclass(frozen=True)
class Measurement:
    """The figures, the share of the cores that others took, and what went wrong, if something did."""

    figures: dict[str, float]
    others: float
    fault: str


@dataclass(frozen=True)
class Bench:
    """Where it is measured and for how long; seconds and warm_up are those of a workload with none of its own."""

    program: Path
    cores: Cores
    seconds: float
    warm_up: float

    def measure(self, workload: Workload, runnable: Runnable) -> Measurement:
        """Start the server, put the workload on it, end the server.

        Raises:
            ServerError: It did not start, or ended by itself.
            LoadError: The clients could not do their work.
        """
        with ServerProcess(runnable, workload.act, self.cores.server) as server:
            try:
                if workload.load.mode == "idle":
                    return self._idle(workload, server)
                return self._traffic(workload, server)
            finally:
                server.check()  # If it has ended, its log says more than the load generator can.

    def _seconds(self, workload: Workload) -> float:
        return self.seconds if workload.seconds is None else workload.seconds

    def _traffic(self, workload: Workload, server: ServerProcess) -> Measurement:
        seconds = self._seconds(workload)
        use = CoreUse(self.cores)
        figures, complaint = load_generator.run(
            self.program, workload.load, server.port, seconds, self.warm_up, server.pids()
        )
        others = use.by_others(figures["server_share"], figures["load_share"])
        return Measurement(figures, others, complaint or _fault(figures))

    def _idle(self, workload: Workload, server: ServerProcess) -> Measurement:
        """Memory without and with the connections; first echoes have loaded the code. Then the CPU time of pings."""
        load, port = workload.load, server.port
        load_generator.run(self.program, FIRST_ECHOES, port, FIRST_ECHOES_SECONDS, 0, [])
        before = server.memory()
        with load_generator.idle_connections(self.program, load, port, HOLD_SECONDS):
            after = server.memory()
            share = _cpu_share(server, self._seconds(workload))
        figures = {
            "resident_kb": (after.resident - before.resident) / load.connections,
            "unique_kb": (after.unique - before.unique) / load.connections,
            "server_share": share,
        }
        return Measurement(figures, 0, "")  # Others take no memory of it, and CPU time is its own.


def _cpu_share(server: ServerProcess, seconds: float) -> float:
    """How much of a core it uses from now on."""
    began, used = monotonic(), server.cpu_seconds()
    sleep(seconds)
    return (server.cpu_seconds() - used) / (monotonic() - began)


def _fault(figures: dict[str, float]) -> str:
    if not figures["count"]:
        return "nothing was answered"
    counts = {name: figures[name] for name in ("errors", "unanswered", "overtaken")}
    return ", ".join(f"{count:.0f} {name}" for name, count in counts.items() if count)
