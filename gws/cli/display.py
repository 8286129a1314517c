"""What `gws connect` shows of a message in a terminal, where nothing in it may move the cursor or set a colour."""

from __future__ import annotations

import json
import re
from typing import Final

import click

from ..printable import printable

MAX_SHOWN: Final = 10_000
"""Characters of a message; who wants all of a longer one writes it to a file, where it is whole."""
_MAX_BYTES: Final = 64

_TOKEN: Final = re.compile(
    r'(?P<key>"(?:[^"\\]|\\.)*"(?=\s*:))|(?P<text>"(?:[^"\\]|\\.)*")|(?P<word>\b(?:true|false|null)\b)'
    r"|(?P<number>-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)"
)
_COLOURS: Final = {"key": "cyan", "text": "green", "word": "magenta", "number": "yellow"}


def show(message: str | bytes, is_coloured: bool) -> str:
    """Return what a terminal may be given of a message."""
    if isinstance(message, bytes):
        rest = f" … and {len(message) - _MAX_BYTES} more" if len(message) > _MAX_BYTES else ""
        return f"{len(message)} bytes: {message[:_MAX_BYTES].hex(' ')}{rest}"
    if len(message) > MAX_SHOWN or not _is_json(message):
        return printable(message, MAX_SHOWN)
    # Between JSON's tokens there may be line breaks, and nothing else that is not printable.
    text = "\n    ".join(printable(line, MAX_SHOWN) for line in message.split("\n"))
    return _TOKEN.sub(_paint, text) if is_coloured else text


def _is_json(message: str) -> bool:
    if not message.lstrip().startswith(("{", "[")):
        return False
    try:
        json.loads(message)
    except (ValueError, RecursionError):
        return False
    return True


def _paint(found: re.Match[str]) -> str:
    return click.style(found[0], fg=_COLOURS[str(found.lastgroup)])
