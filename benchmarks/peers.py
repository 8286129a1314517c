"""The servers that can be measured: gws and its peers, where each one's programs live and what runs them.

gws runs from this checkout, with the interpreter that runs the benchmark; its peers run with what installing.py
installs.
"""

import json
import os
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum

from findings import Findings
from installing import HERE, PYTHON, NotAvailableError, complaint, install_node, install_python, run

ROOT = HERE.parent
PROBE_SECONDS = 60

# What in the caller's environment would change a server's settings: Robyn, say, puts ROBYN_PORT above its argument.
FOREIGN = (
    *("ROBYN_", "GWS_", "FLASK_", "GEVENT_", "GUNICORN_", "WEBSOCKETS_", "AIOHTTP_", "UVICORN_", "NODE_"),
    *("PYTHON", "VIRTUAL_ENV"),
)

# Both import what the server will, so that a broken installation is noticed, and say which versions they found.
PYTHON_PROBE = """
import importlib, importlib.metadata, json, sys
for name in sys.argv[1].split():
    importlib.import_module(name)
found = {d.name: d.version for name in sys.argv[2:] for d in importlib.metadata.distributions(name=name)}
if "gws" in sys.modules:
    found["compiled"] = "yes" if sys.modules["gws"].is_compiled else "no"
print(json.dumps(found))
"""
NODE_PROBE = """
const [module] = process.argv.slice(1);
require(module);
console.log(JSON.stringify({ [module]: require(module + "/package.json").version, node: process.versions.node }));
"""


class Home(Enum):
    """What a server's program runs with."""

    CHECKOUT = "this checkout and its Python"
    VIRTUALENV = "the peers' virtualenv"
    NODE = "Node"


@dataclass(frozen=True)
class Server:
    """One row of the tables.

    Attributes:
        program: servers/PROGRAM_echo and, where it broadcasts, servers/PROGRAM_broadcast.
        imports: The modules that it needs, separated by spaces.
        requirements: What pip is asked for, the versions being those of requirements.txt.
        arguments: What comes after host and port.
        environment: What is set on top of the caller's environment.
    """

    name: str
    program: str
    imports: str
    requirements: tuple[str, ...]
    arguments: tuple[str, ...] = ()
    home: Home = Home.VIRTUALENV
    environment: Mapping[str, str] = field(default_factory=dict)

    def distributions(self) -> list[str]:
        """Return the requirements without their extras."""
        return [requirement.partition("[")[0] for requirement in self.requirements]


GWS = ("gevent-gws", "gevent", "greenlet", "Flask", "websockets")
ROBYN = ("robyn", "uvloop")
FLASK_SOCK = ("flask-sock", "simple-websocket", "Flask", "gunicorn[gevent]", "gevent")
STARLETTE = ("starlette", "uvicorn[standard]", "uvloop", "httptools", "websockets")
SERVERS = (
    Server("gws", "gws", "flask gws", GWS, home=Home.CHECKOUT),
    Server("gws-pure", "gws", "flask gws", GWS, home=Home.CHECKOUT, environment={"GWS_PURE_PYTHON": "1"}),
    Server("gws-async", "gws", "flask gws", GWS, ("async",), home=Home.CHECKOUT),
    Server("gws-teardown", "gws", "flask gws", GWS, ("teardown",), home=Home.CHECKOUT),
    Server("gws-async-teardown", "gws", "flask gws", GWS, ("async", "teardown"), home=Home.CHECKOUT),
    Server("picows", "picows", "picows uvloop", ("picows", "aiofastnet", "uvloop")),
    Server("websockets", "websockets", "websockets uvloop", ("websockets", "uvloop")),
    Server("websockets-uvloop", "websockets", "websockets uvloop", ("websockets", "uvloop"), ("uvloop",)),
    Server("robyn", "robyn", "robyn", ROBYN),
    Server("robyn-async", "robyn", "robyn", ROBYN, ("async",)),
    Server("ws", "ws", "ws", ("ws",), home=Home.NODE, environment={"NODE_ENV": "production"}),
    Server("starlette", "starlette", "starlette.routing uvicorn uvloop httptools websockets", STARLETTE),
    Server("aiohttp", "aiohttp", "aiohttp.web", ("aiohttp",)),
    Server("flask-sock", "flask_sock", "flask_sock gunicorn.workers.ggevent", FLASK_SOCK),
    Server("gevent-websocket", "gevent_websocket", "geventwebsocket.handler", ("gevent-websocket", "gevent")),
)
NAMES = tuple(server.name for server in SERVERS)
OURS = frozenset(server.name for server in SERVERS if server.home is Home.CHECKOUT)


@dataclass(frozen=True)
class Runnable:
    """A server that has been seen to import what it needs."""

    server: Server
    versions: dict[str, str]

    @property
    def name(self) -> str:
        return self.server.name

    def command(self, act: str, host: str, port: int) -> list[str]:
        """How to start its program for this act, echo or broadcast."""
        suffix = "js" if self.server.home is Home.NODE else "py"
        program = HERE / "servers" / f"{self.server.program}_{act}.{suffix}"
        return [interpreter(self.server), str(program), host, str(port), *self.server.arguments]

    def environment(self) -> dict[str, str]:
        return environment(self.server)


def prepare(servers: Iterable[Server], findings: Findings, say: Callable[[str], None]) -> list[Runnable]:
    """Find, and where needed install, these servers, and note their versions; those that cannot run are left out."""
    runnable = []
    for server in servers:
        say(f"preparing {server.name}")
        try:
            runnable.append(find(server))
            findings.versions[server.name] = runnable[-1].versions
        except NotAvailableError as reason:
            findings.left_out[server.name] = str(reason)
    return runnable


def interpreter(server: Server) -> str:
    """Return what runs the server's programs."""
    return {Home.CHECKOUT: sys.executable, Home.VIRTUALENV: str(PYTHON), Home.NODE: "node"}[server.home]


def environment(server: Server) -> dict[str, str]:
    """Return the caller's without FOREIGN, and the server's own on top."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)}
    checkout = {"PYTHONPATH": str(ROOT)} if server.home is Home.CHECKOUT else {}
    return kept | checkout | dict(server.environment)


def find(server: Server) -> Runnable:
    """Return the server, with the versions of what it needs; it has been seen to import.

    Raises:
        NotAvailableError: it cannot.
    """
    if server.home is Home.VIRTUALENV:
        install_python(server.program, server.requirements)
    if server.home is Home.NODE:
        install_node()
    flag, probe = ("-e", NODE_PROBE) if server.home is Home.NODE else ("-c", PYTHON_PROBE)
    command = [interpreter(server), flag, probe, server.imports, *server.distributions()]
    ended = run(command, PROBE_SECONDS, environment(server))
    if ended.returncode != 0:
        raise NotAvailableError(complaint(ended))
    return Runnable(server, json.loads(ended.stdout))
