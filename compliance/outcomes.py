"""What came of each case, read from the testsuite's reports, and told as a table and a list."""

from __future__ import annotations

import json
import textwrap
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

_GOOD: Final = ("OK", "INFORMATIONAL")
_HEAD: Final = (
    "way",
    "section",
    "cases",
    "OK",
    "INFORMATIONAL",
    "NON-STRICT",
    "FAILED",
    "close failed",
    "seconds",
)
_WIDTH: Final = 400
"""Characters of an expectation, or of what was received instead; some cases exchange hundreds of frames."""


@dataclass(frozen=True)
class Outcome:
    """What came of one case, in the testsuite's words.

    Attributes:
        way: how the server was run.
        case: the case's number, such as "9.1.6".
        behavior: "OK", "INFORMATIONAL", "NON-STRICT", "FAILED" or "UNIMPLEMENTED"; "MISSING" if there is no report.
        behavior_close: the same of how the connection was closed; or "WRONG CODE", "UNCLEAN", "FAILED BY CLIENT".
        milliseconds: how long it took.
        report: what the testsuite wrote about it.
    """

    way: str
    case: str
    behavior: str
    behavior_close: str
    milliseconds: int
    report: dict[str, Any]

    @property
    def section(self) -> int:
        """The first of the case's numbers."""
        return int(self.case.partition(".")[0])

    @property
    def closed_well(self) -> bool:
        """Whether the connection was closed as RFC 6455 wants it."""
        return self.behavior_close in _GOOD

    @property
    def is_good(self) -> bool:
        """Whether the server did what RFC 6455 wants, and not only what it lets pass."""
        return self.behavior in _GOOD and self.closed_well


def read_outcomes(folder: Path, way: str, cases: Iterable[str]) -> list[Outcome]:
    """Read the reports on these cases.

    Args:
        folder: the reports'; `way` is the agent in them.
        way: how the server was run.
        cases: those that the fuzzing client set out to run.
    """
    index = json.loads((folder / "index.json").read_text()).get(way, {})
    return [_read_outcome(folder, way, case, index.get(case)) for case in cases]


def _read_outcome(folder: Path, way: str, case: str, entry: dict[str, Any] | None) -> Outcome:
    if entry is None:
        return Outcome(way, case, "MISSING", "MISSING", 0, {})
    report = json.loads((folder / entry["reportfile"]).read_text())
    return Outcome(way, case, entry["behavior"], entry["behaviorClose"], entry["duration"], report)


def as_table(outcomes: Sequence[Outcome]) -> str:
    """One row for each section and way, in Markdown that can also be read as it is."""
    groups: dict[tuple[str, int], list[Outcome]] = {}
    for outcome in outcomes:
        groups.setdefault((outcome.way, outcome.section), []).append(outcome)
    rows = [_HEAD, *((way, str(section), *_cells(group)) for (way, section), group in groups.items())]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    align: list[Callable[[str, int], str]] = [str.ljust, *[str.rjust] * (len(widths) - 1)]
    lines = [[put(cell, width) for put, cell, width in zip(align, row, widths, strict=True)] for row in rows]
    lines.insert(1, ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cells(group: list[Outcome]) -> list[str]:
    """Return a row without its first two cells. What is neither good nor NON-STRICT is FAILED."""
    count = Counter(outcome.behavior for outcome in group)
    failed = len(group) - sum(count[behavior] for behavior in (*_GOOD, "NON-STRICT"))
    badly_closed = sum(not outcome.closed_well for outcome in group)
    counts = [len(group), *(count[behavior] for behavior in _GOOD), count["NON-STRICT"], failed, badly_closed]
    return [*map(str, counts), f"{sum(outcome.milliseconds for outcome in group) / 1000:.1f}"]


def as_complaint(outcome: Outcome) -> str:
    """Return some lines on a case that is not good: what was expected, and what was received."""
    title = f"{outcome.way}, case {outcome.case}: {outcome.behavior}, close {outcome.behavior_close}"
    report = outcome.report
    if not report:
        return f"{title}; there is no report on it"
    lines = [
        f"the case: {report['description']}",
        f"expected: {report['expectation']} {report['expected'] or ''}",
        f"received: {report['received']}. {report['result']}",
        f"expected close: {report['expectedClose']}",
        f"received close: {report['remoteCloseCode']} {report['remoteCloseReason'] or ''}. {report['resultClose']}",
    ]
    return "\n".join([title, *(f"    {textwrap.shorten(line, _WIDTH, placeholder=' …')}" for line in lines)])
