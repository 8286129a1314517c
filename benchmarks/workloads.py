"""What bench.py measures: figures, workloads with the servers that each makes sense for, and gws's targets."""

from dataclasses import dataclass, replace

from load_generator import Load
from peers import NAMES

# ---- figures ----


@dataclass(frozen=True)
class Figure:
    """A column of the tables.

    Attributes:
        key: Its name in the raw figures.
        head: Its name for readers, with the unit.
        digits: Behind the point.
        scale: What the raw figure is multiplied by.
    """

    key: str
    head: str
    digits: int = 0
    scale: float = 1

    def text(self, raw: float) -> str:
        return f"{raw * self.scale:,.{self.digits}f}"


P50 = Figure("p50_us", "p50 ms", 2, 1e-3)
P99 = Figure("p99_us", "p99 ms", 2, 1e-3)
SERVER_SHARE = Figure("server_share", "server's core %", 0, 100)
LOAD_SHARE = Figure("load_share", "load's core %", 0, 100)
BUSY = (P50, P99, SERVER_SHARE, LOAD_SHARE)

MESSAGES = Figure("per_second", "messages/s")
MESSAGE_CPU = Figure("cpu_us", "CPU µs/message", 2)
DELIVERIES = Figure("per_second", "deliveries/s")
DELIVERY_CPU = Figure("cpu_us", "CPU µs/delivery", 2)
CONNECTIONS = Figure("per_second", "connections/s")
CONNECTION_CPU = Figure("cpu_us", "CPU µs/connection", 0)
ANSWERED = Figure("count", "handshakes answered")
LAST_ANSWER = Figure("max_us", "s until the last", 2, 1e-6)
RESIDENT = Figure("resident_kb", "resident KB each", 1)
UNIQUE = Figure("unique_kb", "of them its own", 1)
KEEPALIVE = Figure("server_share", "a core's %", 2, 100)

# ---- workloads ----

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
        columns: The first two have the lowest and highest round, too, and are drawn.
        variant: What tells it from those that share its table.
        act: Which of the server's programs it is for, echo or broadcast.
        seconds: How long it is measured; None for as long as was asked.
        most_rounds: For what takes long and hardly varies.
    """

    name: str
    title: str
    load: Load
    servers: tuple[str, ...]
    columns: tuple[Figure, ...] = (MESSAGES, MESSAGE_CPU, *BUSY)
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
    return Workload(name, title, load, MAIN, (DELIVERIES, DELIVERY_CPU, *BUSY), act="broadcast")


def _slow_readers(name: str, slow: int, variant: str) -> Workload:
    title = "Broadcast of 4 KiB to 5,000 connections, 1 in flight, with and without slow readers"
    load = Load("broadcast", 5000, 4096, slow=slow)
    columns = (P99, DELIVERIES, DELIVERY_CPU, P50, SERVER_SHARE, LOAD_SHARE)
    return Workload(name, title, load, CLOSEST, columns, variant, "broadcast", SLOW_SECONDS)


def _growth(connections: int) -> Workload:
    title = "Growth: echo, 32 bytes, 1 in flight"
    load = Load("echo", connections)
    return Workload(f"echo-at-{connections}", title, load, GROWING, variant=f"{connections:,} connections")


def _memory(connections: int) -> Workload:
    title = "Growth: memory of idle connections"
    load = Load("idle", connections)
    variant = f"{connections:,} connections"
    return Workload(f"memory-at-{connections}", title, load, GWS, (RESIDENT, UNIQUE), variant, most_rounds=2)


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
        (P99, P50, MESSAGES, MESSAGE_CPU),
    ),
    Workload("large", "Echo, 16 connections, 64 KiB, 1 in flight", Load("echo", 16, 65536), MAIN),
    _broadcast("broadcast-1", 1),
    _broadcast("broadcast-4", 4),
    Workload(
        "idle",
        "10,000 idle connections, keepalive as by default",
        Load("idle", 10000),
        CLOSEST,
        (RESIDENT, KEEPALIVE, UNIQUE),
        seconds=PING_SECONDS,
        most_rounds=1,
    ),
    Workload(
        "connect",
        "New connections: 16 at a time connect, upgrade, close, and come again",
        Load("connect", 16),
        CLOSEST,
        (CONNECTIONS, CONNECTION_CPU, *BUSY),
    ),
    Workload(
        "storm",
        "New connections: 5,000 at once",
        Load("storm", 5000),
        CLOSEST,
        (ANSWERED, LAST_ANSWER, P50, P99, CONNECTION_CPU, LOAD_SHARE),
        seconds=STORM_SECONDS,
        most_rounds=3,
    ),
    _slow_readers("slow-readers-0", 0, "all read"),
    _slow_readers("slow-readers-50", 50, "50 never read"),
    *map(_growth, SIZES),
    *map(_memory, SIZES),
)

# ---- targets ----

Subject = tuple[str, str]  # The name of a workload, and of a server.


@dataclass(frozen=True)
class Target:
    """A bound for a figure of gws's, or, with `than`, for its ratio to that of another server or workload."""

    figure: Figure
    subject: Subject
    bound: float
    at_most: bool = False
    than: Subject | None = None


# Mostly ratios, for they say more than figures that depend on the machine.
TARGETS = (
    Target(MESSAGES, ("echo-1", "gws"), 0.9, than=("echo-1", "picows")),
    Target(MESSAGES, ("echo-1", "gws"), 2.5, than=("echo-1", "robyn")),
    Target(MESSAGES, ("echo-1", "gws"), 2.5, than=("echo-1", "websockets")),
    Target(MESSAGES, ("echo-1", "gws-async"), 0.7, than=("echo-1", "gws")),
    Target(MESSAGES, ("echo-1", "gws-async"), 3, than=("echo-1", "robyn-async")),
    Target(MESSAGES, ("echo-16", "gws"), 5, than=("echo-16", "picows")),
    Target(MESSAGES, ("echo-16", "gws"), 6, than=("echo-16", "robyn")),
    Target(MESSAGES, ("echo-16", "gws-async"), 1.5, than=("echo-16", "picows")),
    Target(P99, ("latency", "gws"), 1.2, at_most=True, than=("latency", "picows")),
    Target(MESSAGES, ("large", "gws"), 0.95, than=("large", "picows")),
    Target(DELIVERIES, ("broadcast-1", "gws"), 0.9, than=("broadcast-1", "picows")),
    Target(DELIVERIES, ("broadcast-1", "gws"), 1.3, than=("broadcast-1", "websockets")),
    Target(DELIVERIES, ("broadcast-4", "gws"), 3, than=("broadcast-4", "picows")),
    Target(DELIVERIES, ("broadcast-4", "gws"), 1.3, than=("broadcast-4", "websockets")),
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
