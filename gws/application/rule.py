"""URL rules as Flask has them, and as it does not."""

from __future__ import annotations

import re
from typing import Final

_FOREIGN_VARIABLE: Final = re.compile(r"(?<=/):([A-Za-z_]\w*)|\{([A-Za-z_]\w*)[^{}]*\}")
"""A variable as Robyn, Express and FastAPI write it. What stands in it is an application's."""


def check_rule(rule: object) -> None:
    """Refuse a URL rule that Flask would take literally, and answer 404 for ever.

    Raises:
        TypeError: it is no rule.
        ValueError: it shows how Flask writes it.
    """
    if not isinstance(rule, str):
        raise TypeError(f'the URL rule of a WebSocket is a str, such as "/chat", not {rule!r}')
    literal = re.sub(r"<[^<>]*>", "", f"/{rule}")
    found = _FOREIGN_VARIABLE.search(literal)
    if found:
        name = found[1] or found[2]
        right = rule.replace(found[0], f"<{name}>")
        raise ValueError(f"{found[0]!r} in {rule!r} is no variable in Flask; write {right!r}")
