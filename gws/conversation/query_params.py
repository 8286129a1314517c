"""The query string of a connection's URL, with the methods of Robyn's class."""

from __future__ import annotations

from typing import TypeVar, overload
from urllib.parse import parse_qsl

T = TypeVar("T")


class QueryParams:
    """Keys and values are percent- and plus-decoded, unlike Robyn's.

    Args:
        query_string: what follows the "?" of the URL.
    """

    __slots__ = ("_values",)

    def __init__(self, query_string: str) -> None:
        self._values: dict[str, list[str]] = {}
        for key, value in parse_qsl(query_string, keep_blank_values=True):
            self._values.setdefault(key, []).append(value)

    @overload
    def get(self, key: str) -> str | None: ...

    @overload
    def get(self, key: str, default: T) -> str | T: ...

    def get(self, key: str, default: object = None) -> object:
        """Return the key's last value, as Robyn's `get` gives it."""
        values = self._values.get(key)
        return values[-1] if values else default

    def get_first(self, key: str) -> str | None:
        """Return the key's first value, or None."""
        values = self._values.get(key)
        return values[0] if values else None

    def get_all(self, key: str) -> list[str] | None:
        """All values of the key in order, or None."""
        values = self._values.get(key)
        return list(values) if values else None

    def contains(self, key: str) -> bool:
        """Return whether the key is there, with a value or without."""
        return key in self._values

    def __contains__(self, key: object) -> bool:
        return key in self._values

    def empty(self) -> bool:
        """Return whether there is no key at all."""
        return not self._values

    def to_dict(self) -> dict[str, list[str]]:
        """Every key with all its values; a copy."""
        return {key: list(values) for key, values in self._values.items()}

    def __repr__(self) -> str:
        return f"QueryParams({self._values!r})"
