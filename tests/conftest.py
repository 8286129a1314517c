"""Fixtures that every test may use."""

from __future__ import annotations

import collections
import itertools
import secrets
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from .support.case import Case
from .support.harness import WAYS, Server, unharmed
from .support.program import end_all

pytest_plugins = ["gws.testing.plugin"]

StartServer: TypeAlias = Callable[..., Server]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare what `make test` says and `make every-way` does not."""
    parser.addoption(
        "--one-way",
        action="store_true",
        help="run each test in one of the ways to run a server that it knows, the tests by turns",
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keep one way of each test: which one depends on the test's name, so that a failure is seen again."""
    if not config.getoption("one_way"):
        return
    ways: collections.defaultdict[tuple[str, ...], list[pytest.Item]] = collections.defaultdict(list)
    for item in items:
        ways[_without_way(item)].append(item)
    kept = {alike[zlib.crc32("".join(test).encode()) % len(alike)] for test, alike in ways.items()}
    config.hook.pytest_deselected(items=[item for item in items if item not in kept])
    items[:] = [item for item in items if item in kept]


def _without_way(item: pytest.Item) -> tuple[str, ...]:
    """Return what a test has in common with itself in another way."""
    parameters = getattr(item, "callspec", None)
    shown = parameters.id.split("-") if parameters else []
    return (item.nodeid.partition("[")[0], *(part for part in shown if part not in WAYS))


@pytest.fixture(scope="session", autouse=True)
def _no_program_outlives_the_tests() -> Iterator[None]:
    yield
    end_all()


@pytest.fixture
def start_server(tmp_path: Path) -> Iterator[StartServer]:
    """Start servers that end with the test: `start_server("returns", way="python", **options of serve)`."""
    yield from _starting_servers(tmp_path)


@pytest.fixture(scope="module")
def start_module_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StartServer]:
    """Return the same for servers that all tests of a module share."""
    yield from _starting_servers(tmp_path_factory.mktemp("servers"))


def _starting_servers(parent: Path) -> Iterator[StartServer]:
    servers: list[Server] = []
    number = itertools.count()

    def start(
        app: str | None = None,
        way: str = "python",
        arguments: list[str] | None = None,
        *,
        text: str | None = None,
        config: dict[str, Any] | None = None,
        values: dict[str, Any] | None = None,
        variables: dict[str, str] | None = None,
        **options: Any,
    ) -> Server:
        folder = parent / str(next(number))
        folder.mkdir()
        servers.append(
            Server(
                folder,
                app,
                way,
                arguments or [],
                text=text,
                config=config,
                values=values,
                options=options,
                variables=variables,
            )
        )
        return servers[-1]

    yield start
    for server in servers:
        server.clean_up()


@pytest.fixture(scope="module")
def surviving_server(start_module_server: StartServer) -> Server:
    """One for many tests of a module, which therefore survives all of them."""
    return start_module_server("surviving")


@pytest.fixture
def case(surviving_server: Server) -> Iterator[Case]:
    """Return the server; afterwards nobody is harmed, and the log has no traceback."""
    case = Case(surviving_server, len(surviving_server.log()))
    with unharmed(surviving_server):
        yield case
    assert "Traceback" not in case.log()


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest) -> str:
    """Each way to run an application."""
    return str(request.param)


@pytest.fixture
def key() -> str:
    """Return a name of the test's own, for what handlers note about its connections."""
    return secrets.token_hex(8)
