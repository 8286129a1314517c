"""people.py of the example: whose name is whose, for how long, in several workers and after a crash."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from people import GRACE, People


class Clock:
    """The time of day, as far as `people` is told."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = time.time()
        monkeypatch.setattr(time, "time", lambda: self.now)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Return a clock that the test moves."""
    return Clock(monkeypatch)


def names(people: People) -> list[str]:
    """Return the names of those who are here."""
    return [person.name for person in people.here()]


def test_two_workers_give_no_name_twice(tmp_path: Path) -> None:
    one, other = People(tmp_path / "people"), People(tmp_path / "people")
    joker, _ = one.join("joker", "token 1", "connection 1")
    second, _ = other.join("Joker", "token 2", "connection 2")
    assert (joker.name, second.name) == ("joker", "Joker 2")
    assert names(one) == names(other) == ["joker", "Joker 2"]
    assert other.find(joker.id) == "connection 1"


def test_a_name_waits_for_its_owner_until_the_grace_is_over(tmp_path: Path, clock: Clock) -> None:
    people = People(tmp_path / "people")
    batman, _ = people.join("batman", "token", "connection 1")
    assert people.leave("connection 1")
    assert (names(people), people.find(batman.id)) == ([], None)
    clock.now += GRACE - 1
    assert people.join("batman", "another", "connection 2")[0].name == "batman 2"
    assert people.join("batman", "token", "connection 3") == (batman, None)
    people.leave("connection 3")
    clock.now += GRACE
    somebody, _ = people.join("batman", "a third", "connection 4")
    assert somebody.name == "batman"
    assert somebody.id != batman.id
    assert people.join("batman", "token", "connection 5")[0].name == "batman 3"


def test_who_stays_keeps_the_name_for_as_long_as_that(tmp_path: Path, clock: Clock) -> None:
    people = People(tmp_path / "people")
    people.join("batman", "token", "connection 1")
    for number in range(8):
        clock.now += GRACE / 2
        assert people.join("batman", f"another {number}", f"another {number}")[0].name != "batman"
    assert names(people)[0] == "batman"


def test_who_was_in_a_worker_that_crashed_is_forgotten_after_the_grace(tmp_path: Path, clock: Clock) -> None:
    People(tmp_path / "people").join("batman", "token 1", "connection 1")
    crashed = People(tmp_path / "people")
    robin, _ = crashed.join("robin", "token 2", "connection 2")
    people = People(tmp_path / "people")
    assert people.join("robin", "token 2", "connection 3") == (robin, "connection 2")
    assert not crashed.leave("connection 2"), "who has another connection by now has not left"
    assert names(people) == ["batman", "robin"]
    clock.now += GRACE
    assert people.join("batman", "token 3", "connection 4")[0].name == "batman"


def test_what_the_file_keeps_of_a_token_is_no_token(tmp_path: Path) -> None:
    people = People(tmp_path / "people")
    people.join("batman", "a secret", "connection")
    kept = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert b"batman" in kept
    assert b"a secret" not in kept


@pytest.mark.parametrize("nonsense", [None, "", 5, False, ["a"], {}, "\ud800", "\0", "nobody"])
def test_nobody_has_an_id_that_makes_no_sense(tmp_path: Path, nonsense: object) -> None:
    assert People(tmp_path / "people").find(nonsense) is None
