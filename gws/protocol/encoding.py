"""What an application sends, as a frame, and a frame as what it carries."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from .frames import Opcode, encode_binary, encode_text, header_size

Sendable: TypeAlias = str | bytes | dict[Any, Any] | list[Any]
"""What may be sent, broadcast and returned: text, binary, or what becomes JSON text."""


def encode(value: object, dumps: Callable[[Any], str]) -> bytes:
    """Return a value as one frame: `str` is text, `bytes` binary, and `dict` and `list` become JSON text.

    Args:
        value: of the application.
        dumps: makes JSON text of it.

    Raises:
        TypeError: it is nothing that can be sent.
        UnicodeEncodeError: text holds a lone surrogate, which UTF-8 cannot carry.
    """
    if isinstance(value, str):
        return encode_text(value)
    if isinstance(value, bytes):
        return encode_binary(value)
    if isinstance(value, dict | list):
        return encode_text(dumps(value))
    raise TypeError(f"a message is str, bytes, dict or list, not {type(value).__name__}")


def payload_of(frame: bytes) -> bytes:
    """Return what a frame carries that `encode` has made."""
    return frame[header_size(frame) :]


def is_text(frame: bytes) -> bool:
    """Return whether a frame that `encode` has made is text."""
    return frame[0] & 0x0F == Opcode.TEXT
