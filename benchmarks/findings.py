"""What a run of the benchmark finds out, as data: the report prints it, and --json writes it down."""

import dataclasses
from dataclasses import dataclass, field
from typing import Any

from load_generator import EchoResult
from server_process import Memory

# With more than this share of either core taken by other work, a measurement says more about that work.
DISTURBANCE = 0.1


@dataclass(frozen=True)
class Target:
    """gws's messages per second shall be at least `ratio` times the peer's."""

    workload: str
    peer: str
    ratio: float


@dataclass(frozen=True)
class Sample:
    """One server under one workload in one round; `others` is the share of its cores that other work took."""

    round: int
    server: str
    workload: str
    others: float
    result: EchoResult

    @property
    def quiet(self) -> bool:
        return self.others <= DISTURBANCE


@dataclass(frozen=True)
class IdleMemory:
    """A server's memory without and with idle connections."""

    server: str
    connections: int
    before: Memory
    after: Memory

    @property
    def resident_per_connection(self) -> float:
        return (self.after.resident - self.before.resident) / self.connections

    @property
    def unique_per_connection(self) -> float:
        return (self.after.unique - self.before.unique) / self.connections


@dataclass(frozen=True)
class Failure:
    """A measurement that could not be made, or in which something was not as it should be."""

    server: str
    during: str
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
    idle: list[IdleMemory] = field(default_factory=list)

    def of(self, workload: str, server: str) -> list[Sample]:
        """All rounds of this server under this workload."""
        return [s for s in self.samples if (s.workload, s.server) == (workload, server)]

    def faultless(self, servers: set[str]) -> bool:
        """Whether these were measured as often as was asked, and every message came back, right and in order."""
        if servers & self.left_out.keys() or servers & {failure.server for failure in self.failures}:
            return False
        results = [sample.result for sample in self.samples if sample.server in servers]
        return not any(result.errors or result.unanswered or result.overtaken for result in results)

    def as_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)
