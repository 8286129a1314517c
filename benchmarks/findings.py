"""What a run of the benchmark finds out, as data: the report and the plots show it, results.json is it."""

import dataclasses
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from statistics import median
from typing import Any

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
    """Everything one run of the benchmark has to say; `versions` has the servers that were measured."""

    machine: dict[str, str]
    settings: dict[str, float]
    versions: dict[str, dict[str, str]] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)
    failures: list[Failure] = field(default_factory=list)
    samples: list[Sample] = field(default_factory=list)

    def all(self, workload: str, server: str) -> list[Sample]:
        """All rounds of this server under this workload."""
        return [s for s in self.samples if (s.workload, s.server) == (workload, server)]

    def used(self, workload: str, server: str) -> list[Sample]:
        """Those that count: the quiet ones, or all where there are none."""
        samples = self.all(workload, server)
        return [sample for sample in samples if sample.quiet] or samples

    def values(self, workload: str, server: str, figure: str) -> list[float]:
        """Return this figure in each round that counts."""
        return [sample.figures[figure] for sample in self.used(workload, server)]

    def median(self, workload: str, server: str, figure: str) -> float | None:
        """None where it was not measured."""
        values = self.values(workload, server, figure)
        return median(values) if values else None

    def missing(self, planned: Iterable[tuple[str, str]]) -> list[str]:
        """Say of each planned workload and server that were never measured why.

        Args:
            planned: names of a workload and of a server.
        """
        reasons = self.left_out | {failure.server: failure.reason for failure in self.failures}
        return [
            f"{server}, {workload}: {reasons.get(server, 'nothing was found out')}"
            for workload, server in planned
            if not self.all(workload, server)
        ]

    def faultless(self, servers: frozenset[str]) -> bool:
        """Whether these were measured as often as was asked, and every message came back, right and in order."""
        return not servers & (self.left_out.keys() | {failure.server for failure in self.failures})

    def as_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)


def exit_status(findings: Findings, planned: Iterable[tuple[str, str]], ours: frozenset[str]) -> int:
    """Return 0 if everybody was measured and we were faultless, whatever the figures; else say what is missing."""
    missing = findings.missing(planned)
    for line in missing:
        print(f"not measured: {line}", file=sys.stderr)
    return 0 if not missing and findings.faultless(ours) else 1
