"""`gws.settings`: defaults, what is refused, and which of several values wins."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import pytest

from gws.settings import Settings, from_config

DEFAULTS: dict[str, Any] = {
    "max_message_size": 1024 * 1024,
    "max_outbox_size": 1024 * 1024,
    "handshake_timeout": 10,
    "ping_interval": 20,
    "ping_timeout": 20,
    "close_timeout": 5,
    "allowed_origins": (),
}
NUMBERS = [name for name in DEFAULTS if name != "allowed_origins"]


def test_the_defaults_are_those_of_the_design() -> None:
    assert dataclasses.asdict(Settings()) == DEFAULTS
    assert dataclasses.asdict(from_config({}, {})) == DEFAULTS


def test_every_default_has_its_reason_in_the_docstring() -> None:
    assert Settings.__doc__ is not None
    for name in DEFAULTS:
        assert f"{name}: " in Settings.__doc__


def test_settings_do_not_change() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        Settings().close_timeout = 1.0  # type: ignore[misc]


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize("value", [1, 0.001, 10**9, 2.5])
def test_a_number_above_zero_is_taken(name: str, value: float) -> None:
    assert getattr(from_config({}, {name: value}), name) == value
    assert getattr(from_config({f"GWS_{name.upper()}": value}, {}), name) == value


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize("value", [0, -1, 0.0, -0.5, "10", b"1", [], {}, object, math.nan])
def test_anything_else_is_refused_by_name(name: str, value: object) -> None:
    with pytest.raises((TypeError, ValueError), match=f"{name} is a number above zero"):
        from_config({}, {name: value})
    with pytest.raises((TypeError, ValueError), match=f"{name} is a number above zero"):
        from_config({f"GWS_{name.upper()}": value}, {})


def test_no_pings_may_be_asked_for() -> None:
    assert from_config({}, {"ping_interval": None}).ping_interval is None
    assert from_config({"GWS_PING_INTERVAL": None}, {}).ping_interval is None


@pytest.mark.parametrize("name", [name for name in NUMBERS if name != "ping_interval"])
def test_only_pings_may_be_none(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name} is a number above zero, not None"):
        from_config({}, {name: None})


@pytest.mark.parametrize("origins", [(), [], ["https://a.example"], ("*", "null")])
def test_origins_are_a_list(origins: list[str] | tuple[str, ...]) -> None:
    assert from_config({}, {"allowed_origins": origins}).allowed_origins == origins
    assert from_config({"GWS_ALLOWED_ORIGINS": origins}, {}).allowed_origins == origins


@pytest.mark.parametrize("origins", ["https://a.example", "*", "", None, 5, b"*", [b"*"], [None]])
def test_origins_that_are_no_list_of_strings_are_refused(origins: object) -> None:
    with pytest.raises((TypeError, ValueError), match="allowed_origins is a list of origins"):
        from_config({}, {"allowed_origins": origins})


@pytest.mark.parametrize("name", DEFAULTS)
def test_an_argument_wins_over_the_applications_setting(name: str) -> None:
    configured, argument = (["a"], ["b"]) if name == "allowed_origins" else (3, 4)
    settings = from_config({f"GWS_{name.upper()}": configured}, {name: argument})
    assert dataclasses.asdict(settings) == {**DEFAULTS, name: argument}


@pytest.mark.parametrize("name", DEFAULTS)
def test_the_applications_setting_wins_over_the_default(name: str) -> None:
    configured = ["a"] if name == "allowed_origins" else 3
    settings = from_config({f"GWS_{name.upper()}": configured, "SECRET_KEY": "x"}, {})
    assert dataclasses.asdict(settings) == {**DEFAULTS, name: configured}


def test_a_setting_that_is_overridden_is_not_looked_at() -> None:
    assert from_config({"GWS_CLOSE_TIMEOUT": "bad"}, {"close_timeout": 1}).close_timeout == 1


def test_an_argument_that_there_is_not_is_refused_by_name() -> None:
    with pytest.raises(TypeError, match="max_mesage_size"):
        from_config({}, {"max_mesage_size": 1})


def test_names_without_the_prefix_and_in_lower_case_are_not_ours() -> None:
    assert from_config({"MAX_MESSAGE_SIZE": 1, "gws_max_message_size": 1}, {}) == Settings()
