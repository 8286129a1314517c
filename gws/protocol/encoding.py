"""What an application sends, as a frame, and a frame as what it carries."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import is_dataclass
from typing import Any, ClassVar, Protocol, TypeAlias

from ..errors import UnsendableError
from .frames import Opcode, encode_binary, encode_frame, encode_text, header_size
from .typed import CodecName, to_json, to_msgpack


class DataClass(Protocol):
    """An object of a `dataclasses.dataclass`."""

    __dataclass_fields__: ClassVar[dict[str, Any]]


class Struct(Protocol):
    """A `msgspec.Struct`."""

    __struct_fields__: ClassVar[tuple[str, ...]]


class Model(Protocol):
    """A `pydantic.BaseModel`."""

    def model_dump_json(self) -> str:
        """Return it as JSON."""


Sendable: TypeAlias = str | bytes | dict[Any, Any] | list[Any] | DataClass | Struct | Model
"""What may be sent, broadcast and returned: text, binary, or what becomes JSON text."""


def encode(value: object, dumps: Callable[[Any], str], codec: CodecName = "json") -> bytes:
    """Return a value as one frame: `str` is text, `bytes` binary, and others become JSON text, or MessagePack.

    Args:
        value: of the application.
        dumps: makes JSON text of it.
        codec: what others than `str` and `bytes` become.

    Raises:
        UnsendableError: it is nothing that can be sent, a TypeError.
        UnicodeEncodeError: text holds a lone surrogate, which UTF-8 cannot carry.
    """
    if isinstance(value, str):
        return encode_text(value)
    if isinstance(value, bytes):
        return encode_binary(value)
    if codec == "msgpack":
        packed = to_msgpack(value)
        if packed is not None:
            return encode_binary(packed)
    elif isinstance(value, dict | list) or (is_dataclass(value) and not isinstance(value, type)):
        return encode_text(dumps(value))
    else:
        payload = to_json(value)
        if payload is not None:
            return encode_frame(Opcode.TEXT, payload)
    raise UnsendableError(f"a message is str, bytes, dict or list, not {type(value).__name__}")


def payload_of(frame: bytes) -> bytes:
    """Return what a frame carries that `encode` has made."""
    return frame[header_size(frame) :]


def is_text(frame: bytes) -> bool:
    """Return whether a frame that `encode` has made is text."""
    return frame[0] & 0x0F == Opcode.TEXT
