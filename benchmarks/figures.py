"""What is measured, and how each figure is written."""

from dataclasses import dataclass


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

ECHO_FIGURES = (MESSAGES, MESSAGE_CPU, P50, P99, SERVER_SHARE, LOAD_SHARE)
BROADCAST_FIGURES = (DELIVERIES, DELIVERY_CPU, P50, P99, SERVER_SHARE, LOAD_SHARE)
SLOW_FIGURES = (P99, DELIVERIES, DELIVERY_CPU, P50, SERVER_SHARE, LOAD_SHARE)
CONNECT_FIGURES = (CONNECTIONS, CONNECTION_CPU, P50, P99, SERVER_SHARE, LOAD_SHARE)
STORM_FIGURES = (ANSWERED, LAST_ANSWER, P50, P99, CONNECTION_CPU, LOAD_SHARE)
MEMORY_FIGURES = (RESIDENT, UNIQUE)
IDLE_FIGURES = (RESIDENT, KEEPALIVE, UNIQUE)
