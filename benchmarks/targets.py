"""What gws is to reach: mostly ratios, for they say more than figures that depend on the machine."""

from dataclasses import dataclass

from figures import ANSWERED, CONNECTIONS, DELIVERIES, KEEPALIVE, MESSAGES, P99, RESIDENT, Figure

Subject = tuple[str, str]  # The name of a workload, and of a server.


@dataclass(frozen=True)
class Target:
    """A figure of gws's, or its ratio to the same figure of another server or workload, and its bound."""

    figure: Figure
    subject: Subject
    bound: float
    at_most: bool = False
    than: Subject | None = None

    def is_met(self, value: float) -> bool:
        return value <= self.bound if self.at_most else value >= self.bound


def _faster(figure: Figure, workload: str, server: str, **peers: float) -> list[Target]:
    """At least so many times the figure of each of these peers."""
    return [
        Target(figure, (workload, server), bound, than=(workload, peer.replace("_", "-")))
        for peer, bound in peers.items()
    ]


TARGETS = (
    *_faster(MESSAGES, "echo-1", "gws", picows=0.9, robyn=2.5, websockets=2.5),
    *_faster(MESSAGES, "echo-1", "gws-async", gws=0.7, robyn_async=3),
    *_faster(MESSAGES, "echo-16", "gws", picows=5, robyn=6),
    *_faster(MESSAGES, "echo-16", "gws-async", picows=1.5),
    Target(P99, ("latency", "gws"), 1.2, at_most=True, than=("latency", "picows")),
    *_faster(MESSAGES, "large", "gws", picows=0.95),
    *_faster(DELIVERIES, "broadcast-1", "gws", picows=0.9, websockets=1.3),
    *_faster(DELIVERIES, "broadcast-4", "gws", picows=3, websockets=1.3),
    Target(RESIDENT, ("idle", "gws"), 12, at_most=True),
    Target(KEEPALIVE, ("idle", "gws"), 0.01, at_most=True),
    Target(CONNECTIONS, ("connect", "gws"), 2500),
    Target(ANSWERED, ("storm", "gws"), 5000),
    Target(P99, ("slow-readers-50", "gws"), 1.2, at_most=True, than=("slow-readers-0", "gws")),
    Target(MESSAGES, ("echo-at-1000", "gws"), 0.8, than=("echo-at-100", "gws")),
    Target(MESSAGES, ("echo-at-10000", "gws"), 0.8, than=("echo-at-100", "gws")),
    Target(RESIDENT, ("memory-at-1000", "gws"), 1.2, at_most=True, than=("memory-at-100", "gws")),
    Target(RESIDENT, ("memory-at-10000", "gws"), 1.2, at_most=True, than=("memory-at-100", "gws")),
)
