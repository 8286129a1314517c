"""Fixtures that every test may use."""

from __future__ import annotations

import itertools
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from .support.case import Case
from .support.harness import WAYS, Server, unharmed
from .support.program import end_all

StartServer: TypeAlias = Callable[..., Server]


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
