"""What a run finds out, as data: report.py and plots.py show it, and the JSON file is it."""

import sys
from collections.abc import Iterable, Set
from dataclasses import dataclass, field
from statistics import median

# With more than this share of either core taken by other work, a measurement says more about that work.
DISTURBANCE = 0.1


@dataclass(frozen=True)
class Sample:
    """One server under one workload in one round; `others` is the share of its cores that other work took."""

    round: int
    server: str
    workload: str
    others: float
    figures: dict[str, float]

    @property
    def quiet(self) -> bool:
        return self.others <= DISTURBANCE


@dataclass(frozen=True)
class Failure:
    """A measurement that could not be made, or in which something was not as it should be."""

    server: str
    workload: str
    round: int
    reason: str


@dataclass
class Findings:
    """All that a run has to say; `versions` has the servers that were measured, `left_out` why others were not."""

    machine: dict[str, str]
    settings: dict[str, float]
    versions: dict[str, dict[str, str]] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)
    failures: list[Failure] = field(default_factory=list)
    samples: list[Sample] = field(default_factory=list)

    def all(self, workload: str, server: str) -> list[Sample]:
        """Return every round of this server under this workload."""
        return [s for s in self.samples if (s.workload, s.server) == (workload, server)]

    def used(self, workload: str, server: str, key: str) -> dict[int, float]:
        """Return a figure by its round, of the rounds that count: the quiet ones, or all where there are none."""
        samples = self.all(workload, server)
        samples = [sample for sample in samples if sample.quiet] or samples
        return {sample.round: sample.figures[key] for sample in samples}

    def median(self, workload: str, server: str, key: str) -> float:
        """Return the median of the rounds that count, or 0 where nothing was measured."""
        return median(self.used(workload, server, key).values() or [0])

    def exit_status(self, planned: Iterable[tuple[str, str]], ours: Set[str]) -> int:
        """Return 0 if each planned workload was measured on its server, and our servers had no fault; else 1.

        What was never measured is named on stderr.
        """
        reasons = self.left_out | {failure.server: failure.reason for failure in self.failures}
        missing = [(workload, server) for workload, server in planned if not self.all(workload, server)]
        for workload, server in missing:
            reason = reasons.get(server, "nothing was found out")
            print(f"not measured: {server}, {workload}: {reason}", file=sys.stderr)
        return 1 if missing or ours & reasons.keys() else 0
