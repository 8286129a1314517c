"""The workloads, each with the servers that it makes sense for."""

from dataclasses import dataclass, replace

import figures
from figures import Figure
from load_generator import Load
from peers import NAMES

EVERY = NAMES
MAIN = ("gws", "gws-pure", "picows", "websockets", "robyn", "ws")
CLOSEST = ("gws", "picows", "websockets")
GWS = ("gws",)
GROWING = ("gws", "picows")
PING_SECONDS = 20.0  # How often gws and websockets ping by default; a whole interval is measured.
SLOW_SECONDS = 2.5  # Time for some dozen messages to all.
STORM_SECONDS = 20.0  # At most; a SYN that finds the backlog full comes again after 1, 3, 7 and 15 seconds.
MINIATURE = 64  # Connections.


@dataclass(frozen=True)
class Workload:
    """What is put on a server.

    Attributes:
        title: Workloads with the same one share a table.
        columns: The first two are drawn, too.
        variant: What tells it from those that share its table.
        act: Which of the server's programs it is for, echo or broadcast.
        seconds: How long it is measured; None for as long as was asked.
        most_rounds: For what takes long and hardly varies.
    """

    name: str
    title: str
    load: Load
    servers: tuple[str, ...]
    columns: tuple[Figure, ...] = figures.ECHO_FIGURES
    variant: str = ""
    act: str = "echo"
    seconds: float | None = None
    most_rounds: int = 1000

    def miniature(self) -> "Workload":
        """Return the same with few connections and in a moment: to see that it works, not to measure."""
        count = min(self.load.connections, MINIATURE)
        load = replace(self.load, connections=count, slow=min(self.load.slow, 1))
        seconds = self.seconds if self.load.mode == "storm" else None  # It ends with the last answer.
        return replace(self, title=f"{self.title}: in miniature", load=load, seconds=seconds)


def _broadcast(name: str, in_flight: int) -> Workload:
    title = f"Broadcast to 1,000 receivers and the sender, 32 bytes, {in_flight} in flight"
    load = Load("broadcast", 1001, in_flight=in_flight)
    return Workload(name, title, load, MAIN, figures.BROADCAST_FIGURES, act="broadcast")


def _slow_readers(name: str, slow: int, variant: str) -> Workload:
    title = "Broadcast of 4 KiB to 5,000 connections, 1 in flight, with and without slow readers"
    load = Load("broadcast", 5000, 4096, slow=slow)
    return Workload(name, title, load, CLOSEST, figures.SLOW_FIGURES, variant, "broadcast", SLOW_SECONDS)


def _growth(connections: int) -> Workload:
    title = "Growth: echo, 32 bytes, 1 in flight"
    load = Load("echo", connections)
    return Workload(f"echo-at-{connections}", title, load, GROWING, variant=f"{connections:,} connections")


def _memory(connections: int) -> Workload:
    title = "Growth: memory of idle connections"
    load = Load("idle", connections)
    variant = f"{connections:,} connections"
    return Workload(
        f"memory-at-{connections}", title, load, GWS, figures.MEMORY_FIGURES, variant, most_rounds=2
    )


SIZES = (100, 1000, 10000)  # Of the growth, connections.
WORKLOADS = (
    Workload("echo-1", "Echo, 64 connections, 32 bytes, 1 in flight", Load("echo", 64), EVERY),
    Workload(
        "echo-16", "Echo, 64 connections, 32 bytes, 16 in flight", Load("echo", 64, in_flight=16), EVERY
    ),
    Workload(
        "latency",
        "Latency: echo, 1 connection, 32 bytes, 1 in flight",
        Load("echo", 1),
        MAIN,
        (figures.P99, figures.P50, figures.MESSAGES, figures.MESSAGE_CPU),
    ),
    Workload("large", "Echo, 16 connections, 64 KiB, 1 in flight", Load("echo", 16, 65536), MAIN),
    _broadcast("broadcast-1", 1),
    _broadcast("broadcast-4", 4),
    Workload(
        "idle",
        "10,000 idle connections, keepalive as by default",
        Load("idle", 10000),
        CLOSEST,
        figures.IDLE_FIGURES,
        seconds=PING_SECONDS,
        most_rounds=1,
    ),
    Workload(
        "connect",
        "New connections: 16 at a time connect, upgrade, close, and come again",
        Load("connect", 16),
        CLOSEST,
        figures.CONNECT_FIGURES,
    ),
    Workload(
        "storm",
        "New connections: 5,000 at once",
        Load("storm", 5000),
        CLOSEST,
        figures.STORM_FIGURES,
        seconds=STORM_SECONDS,
        most_rounds=3,
    ),
    _slow_readers("slow-readers-0", 0, "all read"),
    _slow_readers("slow-readers-50", 50, "50 never read"),
    *map(_growth, SIZES),
    *map(_memory, SIZES),
)
