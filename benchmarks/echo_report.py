"""The findings of the echo benchmark as Markdown tables.

The figures are medians of the quiet rounds: those in which nothing else had much of the two cores. Where no
round was quiet they are medians of all rounds, and no target is judged by them.
"""

import os
import platform
from collections.abc import Callable, Iterable
from datetime import date
from pathlib import Path
from statistics import median

from findings import Findings, IdleMemory, Sample, Target
from load_generator import Workload

SATURATED = 0.9  # A server that left more of its core unused was waiting for the load, or for something else.
THROUGHPUT_HEAD = ["server", "messages/s", "lowest to highest", "CPU µs/message", "p50 µs", "p99 µs"]
THROUGHPUT_HEAD += ["server's core", "load's core", "wrong", "overtaken", "quiet rounds"]
RATIO_HEAD = ["messages/s", "ratio of medians", "lowest to highest round", "peer's CPU / own CPU", "target"]
IDLE_HEAD = ["server", "MB before", "MB after", "resident KB each", "of them its own", "target"]


def describe_machine(cores: str) -> dict[str, str]:
    """What the figures depend on, without the machine's name."""
    return {
        "date": date.today().isoformat(),
        "processor": _processor(),
        "cores": cores,
        "system": f"{platform.system()} {platform.release().split('-')[0]} {platform.machine()}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
    }


def as_text(
    findings: Findings, workloads: Iterable[Workload], targets: Iterable[Target], idle_kb: float
) -> str:
    """All of it as Markdown; `idle_kb` is the target for an idle connection of gws."""
    sections = [_conditions(findings)]
    for workload in workloads:
        sections += [_throughput(findings, workload), _ratios(findings, workload, list(targets))]
    sections += [_idle(findings.idle, idle_kb), _not_measured(findings)]
    return "\n\n".join(section for section in sections if section)


def _conditions(findings: Findings) -> str:
    lines = [f"- {name}: {value}" for name, value in findings.machine.items()]
    for server, versions in findings.versions.items():
        found = ", ".join(f"{name} {version}" for name, version in versions.items())
        lines.append(f"- {server}: {found}")
    return "\n".join(lines)


def _throughput(findings: Findings, workload: Workload) -> str:
    measured = {server: findings.of(workload.name, server) for server in findings.versions}
    rows = [[server, *_throughput_cells(samples)] for server, samples in measured.items() if samples]
    title = f"{workload.connections} connections, {workload.size} bytes, {workload.in_flight} in flight"
    return f"### {title}\n\n{_table(THROUGHPUT_HEAD, rows)}" if rows else ""


def _throughput_cells(samples: list[Sample]) -> list[str]:
    quiet = [sample for sample in samples if sample.quiet]
    used = quiet or samples
    rates = [sample.result.messages_per_second for sample in used]
    server, load = _middle(used, "server_cpu_share"), _middle(used, "load_cpu_share")
    return [
        f"{median(rates):,.0f}",
        f"{min(rates):,.0f} to {max(rates):,.0f}",
        f"{_middle(used, 'server_cpu_us_per_message'):.2f}",
        f"{_middle(used, 'p50_us'):,.0f}",
        f"{_middle(used, 'p99_us'):,.0f}",
        f"{server:.0%}",
        f"{load:.0%}{' (the limit)' if server < SATURATED <= load else ''}",
        str(sum(sample.result.errors + sample.result.unanswered for sample in samples)),
        str(sum(sample.result.overtaken for sample in samples)),
        f"{len(quiet)} of {len(samples)}",
    ]


def _ratios(findings: Findings, workload: Workload, targets: list[Target]) -> str:
    rows = []
    for ours, peer in _pairs(list(findings.versions)):
        own_samples, peer_samples = findings.of(workload.name, ours), findings.of(workload.name, peer)
        if own_samples and peer_samples:
            wanted = [t.ratio for t in targets if (t.workload, "gws", t.peer) == (workload.name, ours, peer)]
            rows.append([f"{ours} / {peer}", *_ratio_cells(own_samples, peer_samples, wanted)])
    return _table(RATIO_HEAD, rows) if rows else ""


def _pairs(servers: list[str]) -> list[tuple[str, str]]:
    """Compare gws with each peer, and its `async def` with its `def`."""
    ours = [server for server in servers if server.startswith("gws")]
    peers = [server for server in servers if server not in ours]
    return [
        (own, peer) for own in ours for peer in [*(["gws"] if own != "gws" and "gws" in ours else []), *peers]
    ]


def _ratio_cells(ours: list[Sample], peers: list[Sample], wanted: list[float]) -> list[str]:
    """A round's ratio compares runs that were neighbours in time."""
    own_quiet, peer_quiet = [s for s in ours if s.quiet], [s for s in peers if s.quiet]
    judged = bool(own_quiet and peer_quiet)
    ours, peers = own_quiet or ours, peer_quiet or peers
    ratio = _middle(ours, "messages_per_second") / _middle(peers, "messages_per_second")
    cpu = _middle(peers, "server_cpu_us_per_message") / _middle(ours, "server_cpu_us_per_message")
    rounds = [
        own.result.messages_per_second / peer.result.messages_per_second
        for own in ours
        for peer in peers
        if own.round == peer.round
    ]
    spread = f"{min(rounds):.2f} to {max(rounds):.2f}" if rounds else "none quiet for both"
    verdicts = [f"at least {least:g}: {_verdict(ratio >= least, judged)}" for least in wanted]
    return [f"{ratio:.2f}", spread, f"{cpu:.2f}", "".join(verdicts)]


def _verdict(met: bool, judged: bool = True) -> str:
    return ("met" if met else "missed") if judged else "not judged, too much else was running"


def _idle(idle: list[IdleMemory], target_kb: float) -> str:
    rows = [[memory.server, *_idle_cells(memory, target_kb)] for memory in idle]
    return f"### {idle[0].connections} idle connections\n\n{_table(IDLE_HEAD, rows)}" if rows else ""


def _idle_cells(memory: IdleMemory, target_kb: float) -> list[str]:
    each = memory.resident_per_connection
    return [
        f"{memory.before.resident / 1024:.1f}",
        f"{memory.after.resident / 1024:.1f}",
        f"{each:.1f}",
        f"{memory.unique_per_connection:.1f}",
        f"at most {target_kb:g}: {_verdict(each <= target_kb)}" if memory.server == "gws" else "",
    ]


def _not_measured(findings: Findings) -> str:
    lines = [f"- {server} was left out: {reason}" for server, reason in findings.left_out.items()]
    lines += [f"- {failure.server}, {failure.during}: {failure.reason}" for failure in findings.failures]
    return "\n".join(lines)


def _middle(samples: list[Sample], name: str) -> float:
    return median(float(getattr(sample.result, name)) for sample in samples)


def _table(head: list[str], rows: list[list[str]]) -> str:
    """Markdown that can also be read as it is: the first column to the left, the others to the right."""
    widths = [max(len(row[column]) for row in [head, *rows]) for column in range(len(head))]
    align: list[Callable[[str, int], str]] = [str.ljust, *(str.rjust for _ in head[1:])]
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    lines = [
        [put(cell, width) for put, cell, width in zip(align, row, widths, strict=True)]
        for row in [head, *rows]
    ]
    return "\n".join(f"| {' | '.join(line)} |" for line in [lines[0], rule, *lines[1:]])


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return f"{line.split(':')[1].strip()}, {os.cpu_count()} cores"
    return f"{platform.machine()}, {os.cpu_count()} cores"
