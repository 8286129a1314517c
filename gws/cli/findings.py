"""What `gws doctor` finds, and says."""

from __future__ import annotations

import enum
from typing import NamedTuple


class Level(enum.Enum):
    """How bad a finding is, and its colour."""

    OK = "green"
    NOTE = "blue"
    """To be known."""
    WARNING = "yellow"
    """Works, and will not in some case."""
    ERROR = "red"
    """Does not work."""


class Finding(NamedTuple):
    """One thing that was looked at."""

    level: Level
    topic: str
    """One word."""
    text: str
    """What was found, and why that matters."""
    advice: str = ""
    """What to do."""


def ok(topic: str, text: str) -> Finding:
    """Return a finding that calls for nothing."""
    return Finding(Level.OK, topic, text)


def note(topic: str, text: str, advice: str) -> Finding:
    """Return a finding that may be as it should be."""
    return Finding(Level.NOTE, topic, text, advice)


def warning(topic: str, text: str, advice: str) -> Finding:
    """Return a finding that will matter in some case."""
    return Finding(Level.WARNING, topic, text, advice)


def error(topic: str, text: str, advice: str) -> Finding:
    """Return a finding because of which something does not work."""
    return Finding(Level.ERROR, topic, text, advice)
