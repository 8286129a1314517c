"""The servers that can be measured: gws and its peers, where each one's echo lives and which Python runs it.

gws runs from this checkout, with the interpreter that runs the benchmark, or with .venv's where that one
lacks gws's dependencies. Its peers have a virtualenv of their own, made from requirements.txt when it is
first needed, so that their pinned dependencies and gws's cannot get in each other's way.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
PEERS_VENV = HERE / ".venv"
REQUIREMENTS = HERE / "requirements.txt"
INSTALL_SECONDS = 600  # A peer without a wheel for this Python is compiled, or given up.
IMPORT_SECONDS = 60

# Imports what the server will, so that a broken installation is noticed, and says which versions it found.
PROBE = """
import importlib.metadata, json, sys
exec(sys.argv[1])
found = {d.name: d.version for name in sys.argv[2:] for d in importlib.metadata.distributions(name=name)}
print(json.dumps(found))
"""


class NotAvailableError(Exception):
    """A server that cannot be measured here; the message says why."""


@dataclass(frozen=True)
class Server:
    """One row of the tables: a file of servers/ and the arguments that come after its host and port."""

    name: str
    file: str
    imports: str
    distributions: tuple[str, ...]
    arguments: tuple[str, ...] = ()

    @property
    def is_gws(self) -> bool:
        return self.file == "gws_echo.py"


GWS = ("gevent-gws", "gevent", "greenlet", "Flask", "websockets")
IMPORT_GWS = "import flask; from gws import WebSocket, serve"
IMPORT_ROBYN = "from robyn import WebSocket"
IMPORT_WEBSOCKETS = "from websockets.asyncio.server import serve; import uvloop"
IMPORT_PICOWS = "from picows import ws_create_server; import uvloop"
SERVERS = (
    Server("gws", "gws_echo.py", IMPORT_GWS, GWS),
    Server("gws-async", "gws_echo.py", IMPORT_GWS, GWS, ("async",)),
    Server("robyn", "robyn_echo.py", IMPORT_ROBYN, ("robyn", "uvloop")),
    Server("robyn-async", "robyn_echo.py", IMPORT_ROBYN, ("robyn", "uvloop"), ("async",)),
    Server("websockets", "websockets_echo.py", IMPORT_WEBSOCKETS, ("websockets",)),
    Server(
        "websockets-uvloop", "websockets_echo.py", IMPORT_WEBSOCKETS, ("websockets", "uvloop"), ("uvloop",)
    ),
    Server("picows", "picows_echo.py", IMPORT_PICOWS, ("picows", "aiofastnet", "uvloop")),
)
NAMES = tuple(server.name for server in SERVERS)


@dataclass(frozen=True)
class Runnable:
    """A server together with the Python that has been seen to import it."""

    server: Server
    python: str
    versions: dict[str, str]

    @property
    def name(self) -> str:
        return self.server.name

    def command(self, host: str, port: int) -> list[str]:
        script = str(HERE / "servers" / self.server.file)
        return [self.python, script, host, str(port), *self.server.arguments]

    def environment(self) -> dict[str, str]:
        return _environment(self.server)


def prepare(names: Iterable[str], say: Callable[[str], None]) -> tuple[list[Runnable], dict[str, str]]:
    """Find, and where needed install, the servers of these names.

    Returns:
        Those that can run, in the order of SERVERS, and for each of the others the reason it is left out.
    """
    chosen = [server for server in SERVERS if server.name in set(names)]
    failures = _install_peers(say) if any(not server.is_gws for server in chosen) else []
    runnable: list[Runnable] = []
    left_out: dict[str, str] = {}
    for server in chosen:
        try:
            runnable.append(_find(server))
        except NotAvailableError as reason:
            left_out[server.name] = "; ".join([str(reason), *failures])
    return runnable, left_out


def _find(server: Server) -> Runnable:
    reason = "no Python for it"
    for python in _interpreters(server):
        probe = [python, "-c", PROBE, server.imports, *server.distributions]
        ended = _run(probe, IMPORT_SECONDS, _environment(server))
        if ended.returncode == 0:
            return Runnable(server, python, json.loads(ended.stdout))
        reason = _last_line(ended)
    raise NotAvailableError(reason)


def _interpreters(server: Server) -> list[str]:
    if not server.is_gws:
        return [str(PEERS_VENV / "bin" / "python")]
    own = ROOT / ".venv" / "bin" / "python"
    return [sys.executable, *([str(own)] if own.exists() else [])]


def _environment(server: Server) -> dict[str, str]:
    """The caller's, without what changes a server's settings: Robyn puts ROBYN_PORT above its argument."""
    foreign = ("ROBYN_", "GWS_", "FLASK_", "GEVENT_", "WEBSOCKETS_", "PYTHON", "VIRTUAL_ENV")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    return kept | ({"PYTHONPATH": str(ROOT)} if server.is_gws else {})


def _install_peers(say: Callable[[str], None]) -> list[str]:
    """Make the peers' virtualenv what requirements.txt says; one that is already so is left as it is.

    Returns:
        One line for each requirement that could not be installed.
    """
    wanted = REQUIREMENTS.read_text()
    stamp = PEERS_VENV / "installed.txt"
    if stamp.exists() and stamp.read_text() == wanted:
        return []
    say("installing the peers into benchmarks/.venv, once")
    made = _run([sys.executable, "-m", "venv", str(PEERS_VENV)], INSTALL_SECONDS)
    if made.returncode != 0:
        return [_last_line(made)]
    failures = _install(["-r", str(REQUIREMENTS)]) and _install_one_by_one(wanted)
    if not failures:
        stamp.write_text(wanted)
    return failures


def _install_one_by_one(wanted: str) -> list[str]:
    """The rest shall not be missing because one of them is."""
    requirements = [line for line in wanted.splitlines() if line and not line.startswith("#")]
    return [failure for requirement in requirements for failure in _install([requirement])]


def _install(what: list[str]) -> list[str]:
    pip = [str(PEERS_VENV / "bin" / "python"), "-m", "pip", "install", "--quiet", "--prefer-binary", *what]
    ended = _run(pip, INSTALL_SECONDS)
    return [f"{what[-1]}: {_last_line(ended)}"] if ended.returncode != 0 else []


def _run(
    command: list[str], seconds: float, environment: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run to the end; what cannot start or takes too long counts as failed and says so on its stderr."""
    try:
        return subprocess.run(
            command, capture_output=True, text=True, timeout=seconds, env=environment, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return subprocess.CompletedProcess(command, 1, "", str(error))


def _last_line(ended: subprocess.CompletedProcess[str]) -> str:
    lines = ended.stderr.strip().splitlines()
    return lines[-1] if lines else f"exit status {ended.returncode}"
