"""The findings as Markdown.

The figures are medians of the quiet rounds: those in which nothing else had much of the two cores. Where no round
was quiet they are medians of all rounds, and the table says so.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from statistics import median

from findings import Findings
from workloads import LOAD_SHARE, SERVER_SHARE, Subject, Target, Workload

TARGET_HEAD = ["workload", "compared", "figure", "median", "rounds", "by CPU time", "target", ""]
SATURATED = 0.9  # A server that left more of its core unused was waiting for the load, or for something else.
SPREAD_COLUMNS = 2  # The first ones of each table.

Row = tuple[Workload, str]  # What was measured, and the name of the server.


def as_markdown(
    head: str, findings: Findings, workloads: Sequence[Workload], targets: Sequence[Target], drawn: bool
) -> str:
    """Return all of it, with a link to the drawing of each table if there are drawings."""
    parts = [head, _conditions(findings)]
    known = {workload.name: workload for workload in workloads}
    about_these = [
        target
        for target in targets
        if target.subject[0] in known
        and findings.all(*target.subject)
        and (target.than is None or target.than[0] in known)
    ]
    if about_these:
        rows = [_target(findings, known, target) for target in about_these]
        parts += ["## Targets", _table(TARGET_HEAD, rows)]
    for first, measured in tables(findings, workloads):
        parts.append(f"## {first.title}")
        if drawn:
            parts.append(f"![{first.title}]({first.name}.svg)")
        columns = ["server", *(figure.head for figure in first.columns), "quiet rounds"]
        parts.append(_table(columns, [_row(findings, *row) for row in measured]))
    if findings.failures:
        faults = [f"- {f.server}, {f.workload}, round {f.round}: {f.reason}" for f in findings.failures]
        parts += ["## Not as it should be", "\n".join(faults)]
    return "\n\n".join(parts) + "\n"


def tables(findings: Findings, workloads: Sequence[Workload]) -> Iterator[tuple[Workload, list[Row]]]:
    """Yield the rows of each table that has any, after its first workload, which names the table."""
    for _, grouped in groupby(workloads, lambda workload: workload.title):
        group = list(grouped)
        rows = [(w, server) for w in group for server in findings.versions if findings.all(w.name, server)]
        if rows:
            yield group[0], rows


def label(name: str, workload: Workload) -> str:
    """Return a name, and which variant of its table the workload is."""
    return f"{name}, {workload.variant}" if workload.variant else name


def _conditions(findings: Findings) -> str:
    settings = ", ".join(f"{name.replace('_', ' ')} {value:g}" for name, value in findings.settings.items())
    lines = [*(f"- {name}: {value}" for name, value in findings.machine.items()), f"- settings: {settings}"]
    for server, versions in findings.versions.items():
        lines.append(f"- {server}: {', '.join(f'{name} {version}' for name, version in versions.items())}")
    lines += [f"- left out: {server}, {reason}" for server, reason in findings.left_out.items()]
    return "\n".join(lines)


def _target(findings: Findings, known: Mapping[str, Workload], target: Target) -> list[str]:
    """Return the row of a target, and whether it is met."""
    key, (workload, server), than = target.figure.key, target.subject, target.than
    compared, write = server, target.figure.text
    if than:
        compared = f"{server} / {than[1] if than[0] == workload else known[than[0]].variant}"
        write = "{:.2f}".format
    row = [label(known[workload].title, known[workload]), compared, target.figure.head]
    bound = f"at {'most' if target.at_most else 'least'} {write(target.bound)}"
    if than and not findings.median(*than, key):
        return [*row, "not measured", "", "", bound, ""]
    value, rounds, cpu = findings.median(*target.subject, key), findings.used(*target.subject, key), ""
    if than:
        value = _ratio(findings, key, target.subject, than)
        theirs = findings.used(*than, key)
        # Of runs that were neighbours in time; where no round counts for both, there is the ratio of the medians.
        rounds = {n: ours / theirs[n] for n, ours in rounds.items() if theirs.get(n)} or {0: value}
        if key == "per_second" and value:  # How many times the messages in the same CPU time.
            cpu = write(_ratio(findings, "cpu_us", than, target.subject))
    met = value <= target.bound if target.at_most else value >= target.bound
    spread = f"{write(min(rounds.values()))} to {write(max(rounds.values()))}"
    return [*row, write(value), spread, cpu, bound, "met" if met else "**missed**"]


def _ratio(findings: Findings, key: str, one: Subject, other: Subject) -> float:
    """Return the ratio of the medians."""
    divisor = findings.median(*other, key)
    return findings.median(*one, key) / divisor if divisor else 0


def _row(findings: Findings, workload: Workload, server: str) -> list[str]:
    """Return the row of a workload on a server."""
    cells = [label(server, workload)]
    busy = findings.median(workload.name, server, SERVER_SHARE.key)
    for index, figure in enumerate(workload.columns):
        values = findings.used(workload.name, server, figure.key).values()
        text = figure.text(median(values))
        if index < SPREAD_COLUMNS and len(values) > 1:
            text += f" ({figure.text(min(values))} to {figure.text(max(values))})"
        elif figure.key == LOAD_SHARE.key and median(values) >= SATURATED > busy:
            text += ", the limit"
        cells.append(text)
    samples = findings.all(workload.name, server)
    return [*cells, f"{sum(sample.quiet for sample in samples)} of {len(samples)}"]


def _table(head: list[str], rows: list[list[str]]) -> str:
    """Return Markdown that can also be read as it is: the first column to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    rule = ["-" * widths[0], *("-" * max(width - 1, 1) + ":" for width in widths[1:])]
    lines = []
    for cells in [head, rule, *rows]:
        right = [cell.rjust(width) for cell, width in zip(cells, widths, strict=True)]
        lines.append(f"| {' | '.join([cells[0].ljust(widths[0]), *right[1:]])} |")
    return "\n".join(lines)
