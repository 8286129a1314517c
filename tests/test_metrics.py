"""`gws.metrics`: every counter has its name and its meaning in one place, and is counted somewhere."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

from gws.metrics import COUNTERS, CounterName, counters

SOURCES = [path.read_text() for path in (Path(__file__).parent.parent / "gws").rglob("*.py")]


def test_every_name_has_a_meaning() -> None:
    assert list(COUNTERS) == list(get_args(CounterName))


def test_what_has_a_meaning_is_counted_and_nothing_else_is() -> None:
    counted = {name for source in SOURCES for name in re.findall(r'\bcounters\["(\w+)"\] \+= ', source)}
    assert counted == set(COUNTERS)


def test_what_has_not_happened_is_none() -> None:
    assert counters["slow_consumers"] >= 0
    assert "nothing" not in counters
