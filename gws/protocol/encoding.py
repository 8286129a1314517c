"""What an application sends, as a message and as a frame."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from .frames import encode_binary, encode_text
from .messages import Message

Sendable: TypeAlias = str | bytes | dict[Any, Any] | list[Any]
"""What may be sent, broadcast and returned: text, binary, or what becomes JSON text."""


def to_message(value: object, dumps: Callable[[Any], str]) -> Message:
    """Return what is sent for a value; `dict` and `list` become JSON text.

    Args:
        value: of the application.
        dumps: makes JSON text of it.

    Raises:
        TypeError: it is nothing that can be sent.
    """
    if isinstance(value, str | bytes):
        return value
    if isinstance(value, dict | list):
        return dumps(value)
    raise TypeError(f"a message is str, bytes, dict or list, not {type(value).__name__}")


def encode_message(message: Message) -> bytes:
    """Return a message as one frame: `str` is text, `bytes` binary."""
    return encode_text(message) if isinstance(message, str) else encode_binary(message)
