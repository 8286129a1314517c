"""Echo through gws and its peers, side by side: `python benchmarks/echo.py`.

Each round starts every server afresh, one after the other, on a core of its own, and puts each workload on
it from another core; so what disturbs the machine disturbs all of them, and the ratios hold. After the
rounds, each server's memory is read without and with idle connections. Exit status 0 when gws was measured
and echoed faultlessly, whatever the figures; README.md in this directory says more.
"""

import argparse
import json
import resource
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import load_generator
import peers
from cores import Cores, CoreUse, choose_cores
from echo_report import as_text, describe_machine
from findings import Failure, Findings, IdleMemory, Sample, Target
from load_generator import LoadError, Workload
from progress import Progress
from server_process import ServerError, ServerProcess

ONE = Workload("1 in flight", connections=64, size=32, in_flight=1)
SIXTEEN = Workload("16 in flight", connections=64, size=32, in_flight=16)
WORKLOADS = (ONE, SIXTEEN)
TARGETS = (
    Target(ONE.name, "robyn", 2.0),
    Target(ONE.name, "websockets", 2.0),
    Target(ONE.name, "picows", 0.7),
    Target(SIXTEEN.name, "picows", 3.0),
)
QUICK_SERVERS = ("gws", "robyn", "websockets", "picows")  # Those that have a target.
IDLE_KB = 16.0
IDLE_SECONDS = 60.0  # At most; the connections are let go as soon as the memory is read.
FIRST_ECHOES = Workload("first echoes", connections=1, size=32, in_flight=1)


def main() -> int:
    options = parse_arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # So that it ends its servers, as Ctrl-C does.
    progress = Progress()
    cores = choose_cores()
    settings = {"rounds": options.rounds, "seconds": options.seconds, "warm_up": options.warm_up}
    findings = Findings(describe_machine(cores.describe()), settings)
    program = load_generator.build()
    runnables, findings.left_out = peers.prepare(options.servers, progress.say)
    findings.versions = {runnable.name: runnable.versions for runnable in runnables}
    allow_many_files()
    cores.take_the_load_core()
    progress.expect(len(runnables) * (options.rounds * len(WORKLOADS) + bool(options.idle)))
    bench = Bench(program, cores, options, findings, progress)
    for number in range(1, options.rounds + 1):
        for runnable in runnables:
            bench.round(number, runnable)
    if options.idle:
        for runnable in runnables:
            bench.idle(runnable)
    progress.done()
    print(as_text(findings, WORKLOADS, TARGETS, IDLE_KB))
    if options.json:
        options.json.write_text(json.dumps(findings.as_json(), indent=1) + "\n")
    return 0 if findings.faultless({name for name in options.servers if name.startswith("gws")}) else 1


class Bench:
    """Runs the workloads and collects what they find; a server that fails is noted, and the others go on."""

    def __init__(
        self, program: Path, cores: Cores, options: argparse.Namespace, findings: Findings, progress: Progress
    ) -> None:
        self._program = program
        self._cores = cores
        self._options = options
        self._findings = findings
        self._progress = progress

    def round(self, number: int, runnable: peers.Runnable) -> None:
        """All workloads on one fresh server."""
        during = f"round {number} of {self._options.rounds}"
        with self._server(runnable, during) as server:
            for workload in WORKLOADS:
                self._progress.step(f"{during}, {runnable.name}, {workload.name}")
                self._echo(number, server, workload)

    def _echo(self, number: int, server: ServerProcess, workload: Workload) -> None:
        name = server.runnable.name
        seconds, warm_up = self._options.seconds, self._options.warm_up
        use = CoreUse(self._cores)
        try:
            result = load_generator.echo(
                self._program, server.port, workload, seconds, warm_up, server.pids()
            )
        finally:
            server.check()  # If it has ended, its log says more than the load generator can.
        others = use.by_others(result.server_cpu_share, result.load_cpu_share)
        self._findings.samples.append(Sample(number, name, workload.name, others, result))
        if result.complaint:
            self._findings.failures.append(
                Failure(name, f"round {number}, {workload.name}", result.complaint)
            )

    def idle(self, runnable: peers.Runnable) -> None:
        """Memory of a fresh server without and with idle connections; a first echo has loaded its code."""
        count = self._options.idle
        during = f"{count} idle connections"
        self._progress.step(f"{during}, {runnable.name}")
        with self._server(runnable, during) as server:
            load_generator.echo(self._program, server.port, FIRST_ECHOES, 0.1, 0.0, [])
            before = server.memory()
            with load_generator.idle_connections(self._program, server.port, count, IDLE_SECONDS):
                after = server.memory()
            self._findings.idle.append(IdleMemory(runnable.name, count, before, after))

    @contextmanager
    def _server(self, runnable: peers.Runnable, during: str) -> Iterator[ServerProcess]:
        try:
            with ServerProcess(runnable, self._cores.server) as server:
                yield server
        except (ServerError, LoadError) as error:
            self._findings.failures.append(Failure(runnable.name, during, str(error)))


def allow_many_files() -> None:
    """The servers inherit this limit, and each idle connection is an open file."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Compare gws's echoes with its peers'.")
    parser.add_argument("--rounds", type=int, default=None, help="how often each server is measured (5)")
    parser.add_argument("--seconds", type=float, default=None, help="length of one measurement (2)")
    parser.add_argument("--servers", type=server_names, default=None, help=f"some of {','.join(peers.NAMES)}")
    parser.add_argument("--idle", type=int, default=4000, help="idle connections to weigh, 0 for none (4000)")
    parser.add_argument("--json", type=Path, help="also write all figures to this file")
    parser.add_argument("--quick", action="store_true", help="one round of one second, the four main servers")
    options = parser.parse_args()
    options.warm_up = 0.3 if options.quick else 0.5
    options.rounds = options.rounds or (1 if options.quick else 5)
    options.seconds = options.seconds or (1.0 if options.quick else 2.0)
    options.servers = options.servers or (list(QUICK_SERVERS) if options.quick else list(peers.NAMES))
    return options


def server_names(text: str) -> list[str]:
    names = text.split(",")
    unknown = [name for name in names if name not in peers.NAMES]
    if unknown:
        raise argparse.ArgumentTypeError(f"{', '.join(unknown)}: the servers are {', '.join(peers.NAMES)}")
    return names


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
    except LoadError as failure:
        sys.exit(f"echo.py: {failure}")
