"""Query parameters that a handler asks for by name and annotation, as a view of FastAPI's or Robyn's does."""

from __future__ import annotations

import enum
import math
import re
import types
import typing
from collections.abc import Callable, Mapping
from inspect import Parameter
from typing import Any, Final, Literal, Union

from ..errors import HandshakeRefusedError
from .query_params import QueryParams

Convert = Callable[[str], Any]
"""Makes a value of text, or raises ValueError."""

_TRUTHS: Final = {
    "true": True,
    "1": True,
    "yes": True,
    "on": True,
    "false": False,
    "0": False,
    "no": False,
    "off": False,
}


class QueryArgument:
    """One query parameter of a handler.

    Args:
        name: of the parameter, in the handler and in the URL.
        annotation: `str`, `int`, `float`, `bool`, an `enum.Enum` or a `Literal`; a `list` of these, for a parameter
            that may come several times; or one of these `| None`.
        default: what it is if it is missing; `Parameter.empty` if it may not be.

    Raises:
        TypeError: the annotation is none of these.
    """

    def __init__(self, name: str, annotation: Any, default: object = Parameter.empty) -> None:
        self.name = name
        self.default = default
        plain, is_optional = _without_none(annotation)
        self.is_list = typing.get_origin(plain) is list or plain is list
        if self.is_list:
            (plain,) = typing.get_args(plain) or (str,)
        found = _converter(plain)
        if found is None:
            raise TypeError(
                f"the query parameter {name!r} cannot be {annotation!r}; "
                "it may be str, int, float, bool, an Enum, a Literal, a list of these, or one of these | None"
            )
        self._convert, self.expected, schema = found
        self.schema: dict[str, Any] = {"type": "array", "items": schema} if self.is_list else dict(schema)
        """JSON schema of it, for documentation."""
        if is_optional and default is Parameter.empty:
            self.default = None
        if isinstance(self.default, str | int | float | list):
            self.schema["default"] = self.default

    @property
    def is_required(self) -> bool:
        """Whether a client has to send it."""
        return self.default is Parameter.empty

    def read(self, params: QueryParams) -> Any:
        """Return the value that a client has sent, or the default.

        Raises:
            HandshakeRefusedError: it is missing or is no such value. The message does not quote it: a token may be
                in the wrong place, and the message is logged.
        """
        values = params.get_all(self.name)
        if values is None:
            if self.is_required:
                raise HandshakeRefusedError(400, f'the query parameter "{self.name}" is missing')
            # A list would be the same one for all connections.
            return list(self.default) if isinstance(self.default, list) else self.default
        try:
            return [self._convert(value) for value in values] if self.is_list else self._convert(values[-1])
        except ValueError:
            raise HandshakeRefusedError(
                400, f'the query parameter "{self.name}" must be {self.expected}'
            ) from None


def _without_none(annotation: Any) -> tuple[Any, bool]:
    """Return what stands beside `| None`, and whether that is there."""
    if typing.get_origin(annotation) in (Union, types.UnionType):
        left = [part for part in typing.get_args(annotation) if part is not type(None)]
        if len(left) == 1 and len(typing.get_args(annotation)) == 2:
            return left[0], True
    return annotation, False


def _converter(annotation: Any) -> tuple[Convert, str, dict[str, Any]] | None:
    """Return what makes a value of text, its name in a sentence, and its JSON schema; None for what is unknown."""
    if annotation in (str, Any):
        return str, "text", {"type": "string"}
    if annotation is int:
        return _to_int, "a whole number", {"type": "integer"}
    if annotation is float:
        return _to_float, "a number", {"type": "number"}
    if annotation is bool:
        return _to_bool, "true or false", {"type": "boolean"}
    if typing.get_origin(annotation) is Literal:
        return _choice({str(value): value for value in typing.get_args(annotation)})
    if isinstance(annotation, type) and issubclass(annotation, enum.Enum):
        return _choice({str(member.value): member for member in annotation})
    return None


def _to_int(text: str) -> int:
    # `int` also takes "1_000" and other digits, and thousands of digits in time that grows with their square.
    if not re.fullmatch(r"[+-]?[0-9]{1,100}", text):
        raise ValueError
    return int(text)


def _to_float(text: str) -> float:
    # `float` also takes "1_0", "nan" and "infinity".
    if not re.fullmatch(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?", text):
        raise ValueError
    value = float(text)
    if not math.isfinite(value):
        raise ValueError
    return value


def _to_bool(text: str) -> bool:
    if text.lower() not in _TRUTHS:
        raise ValueError
    return _TRUTHS[text.lower()]


def _choice(values: Mapping[str, Any]) -> tuple[Convert, str, dict[str, Any]]:
    def convert(text: str) -> Any:
        if text not in values:
            raise ValueError
        return values[text]

    return convert, "one of " + ", ".join(values), {"type": "string", "enum": list(values)}
