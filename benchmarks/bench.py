"""gws and its peers side by side: `python benchmarks/bench.py`.

Each round puts each workload on every server in turn, so that what disturbs the machine disturbs all of them and the
ratios hold. Exit status 0 when every server was measured and gws did everything that was asked of it, faultlessly,
whatever the figures; README.md in this directory says more.
"""

import argparse
import json
import resource
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import load_generator
import peers
import plots
from cores import choose_cores
from findings import Failure, Findings, Sample, exit_status
from load_generator import LoadError
from machine import describe_machine
from measuring import Bench
from peers import Runnable
from progress import Progress
from report import as_markdown
from server_process import ServerError
from workloads import TARGETS, WORKLOADS, Workload

QUICK_SERVERS = ["gws", "gws-pure", "gws-async", "picows", "websockets"]


def main() -> int:
    options = parse_arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # So that it ends its servers, as Ctrl-C does.
    progress, cores = Progress(), choose_cores()
    program = load_generator.build()
    settings = {"rounds": options.rounds, "seconds": options.seconds, "warm_up": options.warm_up}
    findings = Findings(describe_machine(cores.describe()), settings)
    runnables, findings.left_out = peers.prepare(options.servers, progress.say)
    findings.versions = {runnable.name: runnable.versions for runnable in runnables}
    allow_many_files()
    cores.take_the_load_core()
    bench = Bench(program, cores, options.seconds, options.warm_up)
    measure_all(bench, list(plan(options.workloads, runnables, options.rounds)), findings, progress)
    text = as_markdown(findings, options.workloads, () if options.quick else TARGETS)
    if options.into:
        write(options.into, text, findings, options.workloads)
    print(text)
    planned = [
        (workload.name, server)
        for workload in options.workloads
        for server in workload.servers
        if server in options.servers
    ]
    return exit_status(findings, planned, peers.OURS & set(options.servers))


def plan(
    workloads: Sequence[Workload], runnables: Sequence[Runnable], rounds: int
) -> Iterator[tuple[int, Workload, Runnable]]:
    """Return what is measured, in this order."""
    for number in range(1, rounds + 1):
        for workload in workloads:
            for runnable in runnables:
                if number <= workload.most_rounds and runnable.name in workload.servers:
                    yield number, workload, runnable


def measure_all(
    bench: Bench, steps: list[tuple[int, Workload, Runnable]], findings: Findings, progress: Progress
) -> None:
    """Collect what they find; a server that fails is noted, and the others go on."""
    progress.expect(len(steps))
    for number, workload, runnable in steps:
        progress.step(f"round {number}, {workload.name}, {runnable.name}")
        try:
            found = bench.measure(workload, runnable)
        except (ServerError, LoadError) as error:
            findings.failures.append(Failure(runnable.name, workload.name, number, str(error)))
            continue
        sample = Sample(number, runnable.name, workload.name, round(found.others, 3), found.figures)
        findings.samples.append(sample)
        if found.fault:
            findings.failures.append(Failure(runnable.name, workload.name, number, found.fault))
    progress.done()


def write(directory: Path, text: str, findings: Findings, workloads: Sequence[Workload]) -> None:
    """Return the raw figures, the tables and the plots."""
    directory.mkdir(exist_ok=True)
    (directory / "results.json").write_text(json.dumps(findings.as_json(), indent=1) + "\n")
    (directory / "README.md").write_text(text)
    for name, plot in plots.draw(findings, workloads).items():
        (directory / name).write_text(plot)


def allow_many_files() -> None:
    """Return the servers inherit this limit, and each idle connection is an open file."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Measure gws beside its peers.")
    names = [workload.name for workload in WORKLOADS]
    parser.add_argument("--rounds", type=int, default=5, help="how often each is measured (5)")
    parser.add_argument("--seconds", type=float, default=1.5, help="length of one measurement (1.5)")
    parser.add_argument(
        "--servers", type=some_of(peers.NAMES), help=f"some of {','.join(peers.NAMES)}", metavar="A,B"
    )
    parser.add_argument("--workloads", type=some_of(names), help=f"some of {','.join(names)}", metavar="A,B")
    parser.add_argument("--into", type=Path, help="write figures, tables and plots into this directory")
    parser.add_argument("--quick", action="store_true", help="everything once, in miniature: does it work?")
    options = parser.parse_args()
    chosen = options.workloads or names
    options.workloads = [workload for workload in WORKLOADS if workload.name in chosen]
    options.warm_up = 0.4
    if options.quick:
        options.rounds, options.seconds, options.warm_up = 1, 0.2, 0.05
        options.workloads = [workload.miniature() for workload in options.workloads]
    options.servers = options.servers or (QUICK_SERVERS if options.quick else list(peers.NAMES))
    return options


def some_of(known: Sequence[str]) -> Callable[[str], list[str]]:
    """Return a parser of names, separated by commas."""

    def parse(text: str) -> list[str]:
        names = text.split(",")
        unknown = [name for name in names if name not in known]
        if unknown:
            raise argparse.ArgumentTypeError(f"{', '.join(unknown)}: there are {', '.join(known)}")
        return names

    return parse


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
    except LoadError as failure:
        sys.exit(f"bench.py: {failure}")
