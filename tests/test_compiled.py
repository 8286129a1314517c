"""What was compiled does as the sources do, which it was made from; and which of the two runs."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import itertools
import os
import re
import sys
from collections.abc import Sequence
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import gws
from gws.errors import ProtocolError
from gws.protocol import frames, messages

from .support.client_frames import CLOSE, PING, TEXT, frame
from .support.program import python

assert gws.__file__
PACKAGE = Path(gws.__file__).parent
HOT = [".".join(types.relative_to(PACKAGE).with_suffix("").parts) for types in sorted(PACKAGE.rglob("*.pxd"))]
LIMIT = 1000
SPACE = 3000
few = settings(max_examples=400, deadline=None, derandomize=True, database=None)


def source_of(module: ModuleType) -> ModuleType:
    """Return the same module once more, from its source."""
    path = PACKAGE.joinpath(*module.__name__.split(".")[1:]).with_suffix(".py")
    name = f"{module.__name__}_source"
    spec = importlib.util.spec_from_file_location(name, path, loader=SourceFileLoader(name, str(path)))
    assert spec
    assert spec.loader
    source = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(source)
    return source


oracle_frames = source_of(frames)
oracle_messages = source_of(messages)

pieces = st.lists(
    st.one_of(
        st.builds(frame, st.sampled_from([*frames.Opcode]), st.binary(max_size=200), fin=st.booleans()),
        st.builds(frame, st.just(TEXT), st.text(max_size=130).map(str.encode)),
        st.builds(frame, st.just(TEXT), st.binary(max_size=130)),
        st.builds(frame, st.sampled_from([PING, CLOSE]), st.binary(max_size=130)),
        st.binary(max_size=20),
    ),
    max_size=8,
)


def read(module: ModuleType, stream: Sequence[bytes]) -> list[object]:
    """All that a module's reader makes of a stream."""
    found: list[object] = []
    reader = module.MessageReader(found, found.append, max_message_size=LIMIT)
    reader.space = SPACE
    try:
        for piece in stream:
            reader.receive_data(piece)
            while reader.unread:
                found.append(len(reader.unread))
                reader.space = SPACE
                reader.receive_data(reader.take_unread())
            found.append((reader.guess_next(), reader.close, reader.space, reader.unread))
    except ProtocolError as error:
        found.append((error.code, str(error)))
    return found


@few
@given(pieces, st.lists(st.integers(0, 1200), max_size=6))
def test_streams_are_read_as_the_source_reads_them(stream: list[bytes], cuts: list[int]) -> None:
    whole = b"".join(stream)
    places = sorted({0, len(whole), *(cut for cut in cuts if cut < len(whole))})
    cut = [whole[start:end] for start, end in itertools.pairwise(places)]
    assert read(messages, cut) == read(oracle_messages, cut)
    assert read(messages, stream) == read(oracle_messages, stream)


@few
@given(st.one_of(st.text(max_size=300), st.characters(categories=["Cs"])))
def test_text_is_encoded_as_the_source_encodes_it(text: str) -> None:
    def encode(module: ModuleType) -> object:
        try:
            return module.encode_text(text)
        except UnicodeEncodeError as error:
            return str(error)

    assert encode(frames) == encode(oracle_frames)


SOURCES_ONLY = f"""
import importlib, os
os.environ["GWS_PURE_PYTHON"] = "1"
import gws
print(gws.is_compiled, {{importlib.import_module("gws." + name).__file__.endswith(".py") for name in {HOT}}})
"""


def test_the_sources_run_where_they_are_asked_for() -> None:
    assert python(SOURCES_ONLY) == "False {True}\n"


@pytest.mark.parametrize("name", HOT)
def test_the_tests_run_what_they_say(name: str) -> None:
    is_source = str(importlib.import_module(f"gws.{name}").__file__).endswith(".py")
    assert is_source is bool(os.environ["GWS_PURE_PYTHON"])
    assert gws.is_compiled is not is_source


def classes() -> list[tuple[Path, str]]:
    """Return the classes that have C types, each with the file of them."""
    return [
        (types, name)
        for types in sorted(PACKAGE.rglob("*.pxd"))
        for name in re.findall(r"^cdef class (\w+)", types.read_text(), re.M)
    ]


@pytest.mark.parametrize(("types", "name"), classes(), ids=lambda value: getattr(value, "stem", value))
def test_c_types_slots_and_init_have_the_same_attributes(types: Path, name: str) -> None:
    (body,) = re.findall(rf"^cdef class {name}\b.*?:\n(.*?)(?=^\S|\Z)", types.read_text(), re.M | re.S)
    typed = set(re.findall(r"^    cdef (?:public |readonly )?[\w ]+? (\w+)$", body, re.M))
    tree = ast.parse(types.with_suffix(".py").read_text())
    (found,) = (node for node in ast.walk(tree) if isinstance(node, ast.ClassDef) and node.name == name)
    (slots,) = (
        ast.literal_eval(node.value)
        for node in found.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__slots__"
    )
    (init,) = (node for node in found.body if isinstance(node, ast.FunctionDef) and node.name == "__init__")
    initial = {
        target.attr
        for node in ast.walk(init)
        if isinstance(node, ast.Assign | ast.AnnAssign)
        for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
        if isinstance(target, ast.Attribute) and ast.unparse(target.value) == "self"
    }
    assert typed == set(slots) == initial
