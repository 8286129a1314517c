"""A drawing of each table, by matplotlib: bars for its first two columns, with the lowest and highest round."""

from collections.abc import Sequence
from pathlib import Path
from statistics import median

from findings import Findings
from peers import OURS
from report import SPREAD_COLUMNS, label, tables
from workloads import Workload

OURS_COLOUR, PEERS_COLOUR, SPREAD_COLOUR = "#0969da", "#afb8c1", "#59636e"


def draw(findings: Findings, workloads: Sequence[Workload], directory: Path) -> None:
    """Write an SVG for each table.

    Raises:
        ImportError: matplotlib is not installed.
    """
    from matplotlib import figure, rc_context  # Here, so that all else does without it.

    # Text stays text, and the same findings make the same file.
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": "gws"}):
        for first, rows in tables(findings, workloads):
            drawing = figure.Figure(figsize=(10, 1 + 0.3 * len(rows)), layout="constrained")
            drawing.suptitle(first.title)
            colours = [OURS_COLOUR if server in OURS else PEERS_COLOUR for _, server in rows]
            panels = drawing.subplots(1, SPREAD_COLUMNS, sharey=True)
            for axes, column in zip(panels, first.columns, strict=False):
                rounds = [
                    findings.used(workload.name, server, column.key).values() for workload, server in rows
                ]
                medians = [median(values) for values in rounds]
                below = [middle - min(values) for middle, values in zip(medians, rounds, strict=True)]
                above = [max(values) - middle for middle, values in zip(medians, rounds, strict=True)]
                names = [label(server, workload) for workload, server in rows]
                bars = axes.barh(names, medians, xerr=[below, above], color=colours, ecolor=SPREAD_COLOUR)
                axes.bar_label(bars, [column.text(middle) for middle in medians], padding=4)
                axes.set(title=column.head, xticks=[])
                axes.spines[["top", "right", "bottom"]].set_visible(False)
            panels[0].invert_yaxis()
            drawing.savefig(directory / f"{first.name}.svg", metadata={"Date": None})
