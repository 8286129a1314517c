"""Makes a stranger's text fit for a log line or an answer: nothing in it can move a cursor or begin a line."""

from __future__ import annotations

from typing import Final

MAX_LENGTH: Final = 200
"""Characters of a stranger's text that are shown: enough for an origin, a path and a browser's name."""


def printable(text: str, limit: int = MAX_LENGTH) -> str:
    """Return the text with its control characters, C1 and ESC among them, as Python would write them in a literal.

    Args:
        text: of anybody's.
        limit: characters of it that are kept; how many are left out is said.
    """
    left_out = len(text) - limit
    if left_out > 0:
        text = text[:limit]
    if not text.isprintable():
        text = "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)
    return f"{text}… and {left_out} more characters" if left_out > 0 else text
