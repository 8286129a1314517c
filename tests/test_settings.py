"""`gws.settings`: defaults, what is refused, and which of several values wins."""

from __future__ import annotations

import dataclasses
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from gws import App, WebSocket
from gws.protocol.deflate import Compression
from gws.settings import SettingArguments, Settings, from_config

from .support.program import DEADLINE

ROOT = Path(__file__).parent.parent

DEFAULTS: dict[str, Any] = {
    "max_head_size": 32 * 1024,
    "max_message_size": 1024 * 1024,
    "max_outbox_size": 1024 * 1024,
    "max_rooms": 128,
    "handshake_timeout": 10,
    "ping_interval": 20,
    "ping_timeout": 20,
    "close_timeout": 5,
    "allowed_origins": (),
    "subprotocols": (),
    "require_subprotocol": False,
    "compression": None,
    "invalid_messages": "answer",
}
NUMBERS = [name for name, default in DEFAULTS.items() if type(default) is int]
SIZES = [name for name in NUMBERS if name.startswith("max_")]
TIMES = [name for name in NUMBERS if name not in SIZES]
LISTS = [name for name, default in DEFAULTS.items() if default == ()]
OTHERS: dict[str, tuple[Any, Any]] = {
    "allowed_origins": (["https://a.example"], ["https://b.example"]),
    "subprotocols": (["a"], ["b"]),
    "compression": (Compression(level=1), Compression(level=2)),
    "invalid_messages": ("close", "answer"),
}
"""Two values of each setting that is no number."""


def two_values(name: str) -> tuple[Any, Any]:
    return OTHERS.get(name, (3, 4))


def as_dict(settings: Settings) -> dict[str, Any]:
    return {field.name: getattr(settings, field.name) for field in dataclasses.fields(settings)}


def test_the_defaults_are_those_of_the_design() -> None:
    assert as_dict(Settings()) == DEFAULTS
    assert as_dict(from_config({}, {})) == DEFAULTS


def test_every_default_has_its_reason_in_the_docstring() -> None:
    assert Settings.__doc__ is not None
    for name in DEFAULTS:
        assert f"{name}: " in Settings.__doc__


def test_what_editors_complete_is_what_there_is() -> None:
    assert [*SettingArguments.__annotations__] == [name for name in DEFAULTS if name != "max_head_size"]


def test_settings_are_checked_by_type_checkers(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(
        "from gws import App, Compression, WebSocket\n"
        "app = App(__file__)\n"
        "WebSocket(app, '/a', ping_interval=None, allowed_origins=['*'], compression=True, name='a')\n"
        "WebSocket(app, '/b', compression=Compression(level=1), subprotocols=('a',))\n"
        "WebSocket(app, '/c', max_mesage_size=5)\n"
        "WebSocket(app, '/d', ping_timeout='20')\n"
    )
    # With the settings and what is remembered of `make types`.
    command = [sys.executable, "-m", "mypy", str(program)]
    done = subprocess.run(
        command, check=False, capture_output=True, text=True, timeout=8 * DEADLINE, cwd=ROOT
    )
    errors = [line.split(":")[1] for line in done.stdout.splitlines() if ": error: " in line]
    assert errors == ["5", "6"], done.stdout


def test_settings_do_not_change() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        Settings().close_timeout = 1.0  # type: ignore[misc]


@pytest.mark.parametrize(
    ("misspelt", "nearest"),
    [
        ("max_mesage_size", "max_message_size"),
        ("allowed_origin", "allowed_origins"),
        ("pingTimeout", "ping_timeout"),
    ],
)
def test_a_setting_that_there_is_not_is_refused_with_the_nearest(misspelt: str, nearest: str) -> None:
    arguments: dict[str, Any] = {misspelt: 1}
    with pytest.raises(TypeError, match=f"a WebSocket has no setting '{misspelt}'; did you mean '{nearest}'"):
        WebSocket(App("app"), "/web_socket", **arguments)


def test_a_setting_like_none_is_refused_all_the_same() -> None:
    with pytest.raises(TypeError, match=r"a WebSocket has no setting 'zzz'$"):
        WebSocket(App("app"), "/web_socket", zzz=1)  # type: ignore[call-arg]


def test_what_is_of_the_whole_server_is_no_argument() -> None:
    with pytest.raises(TypeError, match=r"of the whole server.*app\.config\['GWS_MAX_HEAD_SIZE'\]"):
        WebSocket(App("app"), "/web_socket", max_head_size=1000)  # type: ignore[call-arg]


def test_a_misspelt_key_of_the_configuration_is_warned_of_once(caplog: pytest.LogCaptureFixture) -> None:
    config = {"GWS_PING_INTERVALL": 5, "GWS_BACKPLANE_URL": "memory://", "GWSX": 1, "OTHER_KEY": 2}
    from_config(config, {})
    from_config(config, {})
    assert [record.getMessage() for record in caplog.records] == [
        "app.config['GWS_PING_INTERVALL'] is no setting of gws; did you mean 'GWS_PING_INTERVAL'?"
    ]


@pytest.mark.parametrize(
    ("name", "value"),
    [(name, value) for name in NUMBERS for value in (1, 10**9)]
    + [(name, value) for name in TIMES for value in (0.001, 2.5)],
)
def test_a_number_above_zero_is_taken(name: str, value: float) -> None:
    assert getattr(from_config({}, {name: value}), name) == value
    assert getattr(from_config({f"GWS_{name.upper()}": value}, {}), name) == value


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize("value", [0, -1, 0.0, -0.5, "10", b"1", [], {}, object, math.nan])
def test_anything_else_is_refused_by_name(name: str, value: object) -> None:
    with pytest.raises(ValueError, match=f"{name} is a (whole )?number above zero"):
        from_config({}, {name: value})
    with pytest.raises(ValueError, match=f"{name} is a (whole )?number above zero"):
        from_config({f"GWS_{name.upper()}": value}, {})


@pytest.mark.parametrize("name", TIMES)
def test_more_seconds_than_a_clock_can_count_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name} is a number of seconds that a clock can count"):
        from_config({}, {name: 10**400})
    assert getattr(from_config({}, {name: math.inf}), name) == math.inf


def test_a_subprotocol_is_required_or_not() -> None:
    for value in ("false", 0, None):
        with pytest.raises(TypeError, match="require_subprotocol is True or False"):
            from_config({}, {"require_subprotocol": value})


@pytest.mark.parametrize(
    ("app", "rule"), [(None, "/chat"), ("chat", "/chat"), (App(__name__), None), (App(__name__), 5)]
)
def test_what_is_no_application_and_what_is_no_rule_is_said_to_be_none(app: Any, rule: Any) -> None:
    with pytest.raises(TypeError, match="not"):
        WebSocket(app, rule)


def test_a_dot_in_a_rule_is_none_of_flasks() -> None:
    app = App(__name__)
    assert WebSocket(app, "/a.b").endpoint != WebSocket(app, "/a_b").endpoint


@pytest.mark.parametrize("name", SIZES)
def test_bytes_are_whole(name: str) -> None:
    for value in (1.0, 1e6, True):
        with pytest.raises(ValueError, match=f"{name} is a whole number above zero"):
            from_config({}, {name: value})


def test_no_pings_may_be_asked_for() -> None:
    assert from_config({}, {"ping_interval": None}).ping_interval is None
    assert from_config({"GWS_PING_INTERVAL": None}, {}).ping_interval is None


@pytest.mark.parametrize("name", [name for name in NUMBERS if name != "ping_interval"])
def test_only_pings_may_be_none(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name} is a (whole )?number above zero, not None"):
        from_config({}, {name: None})


@pytest.mark.parametrize("name", LISTS)
@pytest.mark.parametrize("value", [(), [], ["*"], ("*", "null")])
def test_some_are_lists(name: str, value: list[str] | tuple[str, ...]) -> None:
    assert getattr(from_config({}, {name: value}), name) == value
    assert getattr(from_config({f"GWS_{name.upper()}": value}, {}), name) == value


@pytest.mark.parametrize("name", LISTS)
@pytest.mark.parametrize("value", ["https://a.example", "*", "", None, 5, b"*", [b"*"], [None]])
def test_what_is_no_list_of_strings_is_refused(name: str, value: object) -> None:
    with pytest.raises(TypeError, match=f"{name} is a list of strings") as refusal:
        from_config({}, {name: value})
    assert str(refusal.value).endswith(f": write [{value!r}]") is isinstance(value, str)


@pytest.mark.parametrize("origins", [["ok.example"], ["https://ok.example", "https://ok.example/"]])
def test_an_origin_that_would_let_in_nobody_is_refused(origins: list[str]) -> None:
    for config, arguments in (
        ({}, {"allowed_origins": origins}),
        ({"GWS_ALLOWED_ORIGINS": tuple(origins)}, {}),
    ):
        with pytest.raises(ValueError, match=r"allowed_origins: .* write 'https://ok.example'"):
            from_config(config, arguments)


@pytest.mark.parametrize("name", ["", "a b", "a,b", "ü", "a\n", '"a"', "a/b"])
def test_a_subprotocol_that_no_header_can_carry_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="is not the name of a subprotocol"):
        Settings(subprotocols=[name])


def test_a_subprotocol_may_be_required_here_and_named_there() -> None:
    for config, arguments in (
        ({"GWS_SUBPROTOCOLS": ["a"]}, {"require_subprotocol": True}),
        ({"GWS_REQUIRE_SUBPROTOCOL": True}, {"subprotocols": ["a"]}),
    ):
        from_config({}, arguments), from_config(config, {})
        settings = from_config(config, arguments)
        assert (settings.require_subprotocol, settings.subprotocols) == (True, ["a"])


def test_an_invalid_message_is_answered_or_closes() -> None:
    with pytest.raises(ValueError, match='invalid_messages is "answer" or "close", not 1007'):
        from_config({}, {"invalid_messages": 1007})


def test_compression_is_on_or_off_or_made_to_measure() -> None:
    mine = Compression(level=9)
    for value, expected in ((True, Compression()), (False, None), (None, None), (mine, mine)):
        assert from_config({}, {"compression": value}).compression == expected
        assert from_config({"GWS_COMPRESSION": value}, {}).compression == expected
    for wrong in ("yes", 1, {"level": 9}):
        with pytest.raises(TypeError, match="compression is True, False or a Compression"):
            from_config({}, {"compression": wrong})


@pytest.mark.parametrize("name", [*NUMBERS, *OTHERS])
def test_an_argument_wins_over_the_applications_setting(name: str) -> None:
    configured, argument = two_values(name)
    settings = from_config({f"GWS_{name.upper()}": configured}, {name: argument})
    assert as_dict(settings) == {**DEFAULTS, name: argument}


@pytest.mark.parametrize("name", [*NUMBERS, *OTHERS])
def test_the_applications_setting_wins_over_the_default(name: str) -> None:
    configured, _ = two_values(name)
    settings = from_config({f"GWS_{name.upper()}": configured, "SECRET_KEY": "x"}, {})
    assert as_dict(settings) == {**DEFAULTS, name: configured}


def test_a_setting_that_is_overridden_is_not_looked_at() -> None:
    assert from_config({"GWS_CLOSE_TIMEOUT": "bad"}, {"close_timeout": 1}).close_timeout == 1


def test_an_argument_that_there_is_not_is_refused_by_name() -> None:
    with pytest.raises(TypeError, match="max_mesage_size"):
        from_config({}, {"max_mesage_size": 1})


def test_names_without_the_prefix_and_in_lower_case_are_not_ours() -> None:
    assert from_config({"MAX_MESSAGE_SIZE": 1, "gws_max_message_size": 1}, {}) == Settings()
