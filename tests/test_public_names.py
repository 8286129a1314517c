"""The names of `gws`: each is found where a type checker finds it, and nothing is imported that it does not need."""

from __future__ import annotations

import ast
import importlib
from pathlib import Path

import pytest

import gws

from .support.program import python

SOURCE = Path(gws.__file__).read_text()
HOMES = {
    alias.name: node.module
    for node in ast.walk(ast.parse(SOURCE))
    if isinstance(node, ast.ImportFrom) and node.level == 1 and node.module
    for alias in node.names
}
"""What the imports for type checkers say."""


def test_type_checkers_and_python_find_the_same_names() -> None:
    assert {**gws._HOMES, "is_compiled": "compiled"} == HOMES
    assert set(gws.__all__) == set(HOMES)


@pytest.mark.parametrize("name", gws.__all__)
def test_each_name_is_that_of_its_home(name: str) -> None:
    home = importlib.import_module(f"gws.{HOMES[name]}")
    assert getattr(gws, name) is getattr(home, name)
    assert name in dir(gws)


def test_modules_are_read_as_attributes_too() -> None:
    script = "import gws; print(gws.errors.BackplaneError is gws.BackplaneError, gws.metrics.counters, gws.aio.run)"
    assert python(script).startswith("True Counter() <function run ")


def test_a_name_that_there_is_not_is_an_attribute_error_and_an_import_error() -> None:
    with pytest.raises(AttributeError, match="module 'gws' has no attribute 'Websocket'"):
        _ = gws.Websocket  # type: ignore[attr-defined]
    with pytest.raises(ImportError, match="cannot import name 'Websocket'"):
        exec("from gws import Websocket")


def test_a_star_takes_them_all() -> None:
    names: dict[str, object] = {}
    exec("from gws import *", names)
    assert set(gws.__all__) <= set(names)


@pytest.mark.parametrize(
    "statement",
    ["import gws", "from gws import Publisher", "import gws.cli.main, gws.cli.remote, gws.cli.version"],
)
def test_who_only_publishes_imports_neither_gevent_nor_flask(statement: str) -> None:
    script = f"{statement}; import sys; print(sorted({{'gevent', 'flask', 'asyncio'}} & set(sys.modules)))"
    assert python(script) == "[]\n"
