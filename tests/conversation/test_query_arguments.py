"""Query parameters by name and annotation: what a handler gets, and what a client that sends none is told."""

from __future__ import annotations

import enum
import json
from collections.abc import Callable
from inspect import Parameter
from typing import Any, Literal, Optional

import pytest

from gws.conversation.handlers import bind
from gws.conversation.query_arguments import QueryArgument
from gws.conversation.query_params import QueryParams
from gws.errors import HandshakeRefusedError

from ..conftest import StartServer
from ..support.harness import Server, unharmed
from ..support.raw_client import RawClient


class Colour(enum.Enum):
    RED = "red"
    TWO = 2


NONE = Parameter.empty

GOOD: list[tuple[Any, object, str, object]] = [
    (str, NONE, "x=a%20b", "a b"),
    (str, NONE, "x=", ""),
    (str, "d", "", "d"),
    (str, "d", "y=1", "d"),
    (str, NONE, "x=1&x=2", "2"),
    (int, NONE, "x=-7", -7),
    (int, 1, "", 1),
    (float, NONE, "x=1e3", 1000.0),
    (float, NONE, "x=-.5", -0.5),
    (float, NONE, "x=2.", 2.0),
    (bool, NONE, "x=TRUE", True),
    (bool, NONE, "x=off", False),
    (bool, True, "x=0", False),
    (Colour, NONE, "x=red", Colour.RED),
    (Colour, NONE, "x=2", Colour.TWO),
    (Literal["a", 3], NONE, "x=3", 3),
    (list[int], NONE, "x=1&x=2", [1, 2]),
    (list[str], NONE, "x=1", ["1"]),
    (list, NONE, "x=1", ["1"]),
    (list[Colour], NONE, "x=red&x=2", [Colour.RED, Colour.TWO]),
    (int | None, NONE, "", None),
    (Optional[int], NONE, "x=5", 5),  # noqa: UP045 - as many write it
    (int | None, 3, "", 3),
    (list[int] | None, NONE, "", None),
    (Any, NONE, "x=1", "1"),
]


@pytest.mark.parametrize(("annotation", "default", "query", "value"), GOOD)
def test_a_value_is_what_its_annotation_says(
    annotation: Any, default: object, query: str, value: object
) -> None:
    found = QueryArgument("x", annotation, default).read(QueryParams(query))
    assert found == value
    assert type(found) is type(value)


BAD: list[tuple[Any, str, str]] = [
    (str, "", "missing"),
    (list[int], "", "missing"),
    (int, "x=secret", "must be a whole number"),
    (int, "x=", "must be a whole number"),
    (int, "x=1_000", "must be a whole number"),
    (int, "x=1.5", "must be a whole number"),
    (int, f"x={'9' * 5000}", "must be a whole number"),
    (int | None, "x=secret", "must be a whole number"),
    (int, "x=%D9%A1", "must be a whole number"),
    (int, "x=%201", "must be a whole number"),
    (float, "x=secret", "must be a number"),
    (float, "x=nan", "must be a number"),
    (float, "x=inf", "must be a number"),
    (float, "x=1e999", "must be a number"),
    (float, "x=1_0", "must be a number"),
    (bool, "x=secret", "must be true or false"),
    (Colour, "x=RED", "must be one of red, 2"),
    (Literal["a", 3], "x=secret", "must be one of a, 3"),
    (list[int], "x=1&x=secret", "must be a whole number"),
]


@pytest.mark.parametrize(("annotation", "query", "sentence"), BAD)
def test_what_is_no_such_value_is_refused_without_quoting_it(
    annotation: Any, query: str, sentence: str
) -> None:
    with pytest.raises(HandshakeRefusedError) as caught:
        QueryArgument("x", annotation).read(QueryParams(query))
    assert caught.value.status == 400
    assert sentence in str(caught.value)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("annotation", [dict, object, list[list[int]], int | str, None, 5, Callable])
def test_what_no_query_can_hold_is_refused_at_decoration(annotation: Any) -> None:
    def handler(ws: object, page) -> None:  # type: ignore[no-untyped-def]
        pass

    handler.__annotations__["page"] = annotation
    with pytest.raises(TypeError, match=r"'page' cannot be .*; it may be str, int"):
        bind(handler, {}, ())


def test_an_annotation_that_cannot_be_read_is_refused_at_decoration() -> None:
    def handler(ws: "Whoever", page: "Nowhere" = 1) -> None:  # type: ignore[name-defined]  # noqa: F821, UP037
        pass

    with pytest.raises(TypeError, match="'Nowhere' of 'page' in handler 'handler' cannot be read"):
        bind(handler, {}, ())


# At a server


@pytest.fixture(scope="module")
def server(start_module_server: StartServer) -> Server:
    return start_module_server("query_arguments")


def test_each_handler_has_what_it_asks_for(server: Server, key: str) -> None:
    with RawClient(server, f"/books?notes={key}&page=12&tags=a&tags=b&room=cave") as client:
        assert client.read_text() == "welcome to cave"
        client.say("x", "y")
        assert [json.loads(str(client.read_text())) for _ in "xy"] == [
            [12, ["a", "b", "x"]],
            [12, ["a", "b", "x", "y"]],
        ]
        client.close()
    assert server.notes(key, 1) == [(True, "cave")]


def test_a_default_is_each_connections_own(server: Server, key: str) -> None:
    for _ in range(2):
        with RawClient(server, f"/books?notes={key}") as client:
            assert client.read_text() == "welcome to lobby"
            client.say("x")
            assert json.loads(str(client.read_text())) == [1, ["x"]]


def test_every_type_arrives(server: Server) -> None:
    path = "/shelf/attic?number=2.5&is_open=yes&colour=2&size=large&many=1&many=2"
    with RawClient(server, path) as client:
        client.say("hello")
        assert json.loads(str(client.read_text())) == [
            *("hello", "attic", 2.5, True, "BLUE", "large", [1, 2], None, 7, "2.5")
        ]
    # One without an annotation is the handler's own, and no client's.
    with RawClient(server, f"{path}&unannotated=8&name=cellar") as client:
        client.say("hello")
        assert json.loads(str(client.read_text()))[1::7] == ["attic", 7]


@pytest.mark.parametrize(
    ("path", "sentence"),
    [
        ("/books?notes=1&page=one", 'the query parameter "page" must be a whole number'),
        ("/books", 'the query parameter "notes" is missing'),
        ("/shelf/attic?number=x", 'the query parameter "number" must be a number'),
    ],
)
def test_a_wrong_or_missing_one_is_400_before_the_101(server: Server, path: str, sentence: str) -> None:
    begin = len(server.log())
    with unharmed(server), RawClient(server, path) as client:
        assert client.status == 400
        assert client.body == f"{sentence}\n"
    assert f"refuses 127.0.0.1: {sentence}" in server.log()[begin:]
    assert "one" not in server.log()[begin:].partition("refuses")[2].partition("\n")[0]
