"""Which charts the findings make: bars for each table, and a line for each kind of growth."""

from collections.abc import Sequence
from itertools import groupby
from statistics import median

from charts import Bar, Line, Point, Row, bar_chart, line_chart
from findings import Findings
from peers import OURS
from workloads import Figure, Workload

PANELS = 2  # The first columns of a table.
GROWTH = "Growth"  # How the titles of what is plotted over the connections begin.


def draw(findings: Findings, workloads: Sequence[Workload]) -> dict[str, str]:
    """Return the text of each SVG file by its name."""
    drawn = {}
    for title, workloads_of_it in groupby(workloads, lambda workload: workload.title):
        group = list(workloads_of_it)
        text = _growth(findings, title, group) if title.startswith(GROWTH) else _bars(findings, title, group)
        if text:
            drawn[file_name(group)] = text
    return drawn


def file_name(group: Sequence[Workload]) -> str:
    """Return the name of the first workload of a table is that of its plot."""
    return f"{group[0].name}.svg"


def _bars(findings: Findings, title: str, group: Sequence[Workload]) -> str:
    columns = group[0].columns[:PANELS]
    rows = [
        Row(
            ", ".join(filter(None, [server, workload.variant])),
            [_bar(findings.values(workload.name, server, figure.key), figure) for figure in columns],
            server in OURS,
        )
        for workload in group
        for server in findings.versions
        if findings.all(workload.name, server)
    ]
    return bar_chart(title, [figure.head for figure in columns], rows) if rows else ""


def _bar(values: list[float], figure: Figure) -> Bar:
    middle = median(values)
    return Bar(middle, min(values), max(values), figure.text(middle))


def _growth(findings: Findings, title: str, group: Sequence[Workload]) -> str:
    figure = group[0].columns[0]
    lines = [
        Line(server, points, server in OURS)
        for server in findings.versions
        if len(points := _points(findings, server, group, figure)) == len(group)
    ]
    return line_chart(title, "connections", figure.head, lines) if lines else ""


def _points(findings: Findings, server: str, group: Sequence[Workload], figure: Figure) -> list[Point]:
    return [
        Point(workload.load.connections, value * figure.scale, figure.text(value))
        for workload in group
        if (value := findings.median(workload.name, server, figure.key)) is not None
    ]
