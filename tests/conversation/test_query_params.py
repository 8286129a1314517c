"""`gws.conversation.query_params`: Robyn's methods, and decoding."""

from __future__ import annotations

import pytest

from gws.conversation.query_params import QueryParams

GORDON = "name=gordon&desg=commissioner"
MANY = "a=1&b=2&a=3&c=&a=2"


def test_the_query_of_the_seed() -> None:
    params = QueryParams(GORDON)
    assert (params.get("name"), params.get("desg")) == ("gordon", "commissioner")


def test_get_gives_the_last_value() -> None:
    assert QueryParams(MANY).get("a") == "2"


def test_get_gives_the_default_for_a_key_that_is_not_there() -> None:
    params = QueryParams(MANY)
    assert params.get("x") is None
    assert params.get("x", "default") == "default"
    assert params.get("x", default=5) == 5
    assert QueryParams("").get("x", None) is None


def test_get_gives_an_empty_value_and_not_the_default() -> None:
    assert QueryParams(MANY).get("c", "default") == ""


def test_get_first_gives_the_first_value_or_none() -> None:
    assert QueryParams(MANY).get_first("a") == "1"
    assert QueryParams(MANY).get_first("c") == ""
    assert QueryParams(MANY).get_first("x") is None


def test_get_all_gives_every_value_in_order_or_none() -> None:
    assert QueryParams(MANY).get_all("a") == ["1", "3", "2"]
    assert QueryParams(MANY).get_all("c") == [""]
    assert QueryParams(MANY).get_all("x") is None


def test_a_key_is_contained_with_a_value_or_without() -> None:
    params = QueryParams(MANY)
    assert params.contains("a")
    assert params.contains("c")
    assert not params.contains("x")
    assert "a" in params
    assert "c" in params
    assert "x" not in params
    assert 5 not in params


@pytest.mark.parametrize(
    ("query", "empty"), [("", True), ("&", True), ("&&", True), ("a", False), ("a=", False)]
)
def test_empty_is_no_key_at_all(query: str, empty: bool) -> None:
    assert QueryParams(query).empty() is empty


def test_to_dict_gives_lists() -> None:
    assert QueryParams(MANY).to_dict() == {"a": ["1", "3", "2"], "b": ["2"], "c": [""]}
    assert QueryParams("").to_dict() == {}


def test_what_is_given_is_a_copy() -> None:
    params = QueryParams(MANY)
    params.to_dict()["a"].append("changed")
    params.to_dict().clear()
    values = params.get_all("a")
    assert values is not None
    values.clear()
    assert params.to_dict() == {"a": ["1", "3", "2"], "b": ["2"], "c": [""]}


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("x=a%20b", {"x": ["a b"]}),
        ("x=p+q", {"x": ["p q"]}),
        ("x=%2B", {"x": ["+"]}),
        ("x=%E2%9C%93", {"x": ["✓"]}),
        ("my+key%21=1", {"my key!": ["1"]}),
        ("x=%26%3D%3F", {"x": ["&=?"]}),
        ("x=%2520", {"x": ["%20"]}),
        ("x=100%", {"x": ["100%"]}),
        ("x=%zz", {"x": ["%zz"]}),
        ("x=%ff", {"x": ["\ufffd"]}),
        ("x=%00", {"x": ["\0"]}),
        ("g=1=2", {"g": ["1=2"]}),
        ("d", {"d": [""]}),
        ("e=", {"e": [""]}),
        ("=v", {"": ["v"]}),
        ("a=1;b=2", {"a": ["1;b=2"]}),
        ("&a=1&&b=2&", {"a": ["1"], "b": ["2"]}),
        ("a=/?:@", {"a": ["/?:@"]}),
        ("A=1&a=2", {"A": ["1"], "a": ["2"]}),
    ],
)
def test_keys_and_values_are_decoded(query: str, expected: dict[str, list[str]]) -> None:
    assert QueryParams(query).to_dict() == expected


def test_many_parameters_are_all_there() -> None:
    params = QueryParams("&".join(f"k{number}={number}" for number in range(5000)))
    assert len(params.to_dict()) == 5000
    assert params.get("k4999") == "4999"


def test_the_representation_shows_the_values() -> None:
    assert repr(QueryParams("a=1&a=2")) == "QueryParams({'a': ['1', '2']})"
