"""Messages as values of a type, by msgspec, or by pydantic for its models: JSON, or MessagePack.

Neither is imported before a type asks for it: a value of theirs has imported its package.
"""

from __future__ import annotations

import dataclasses
import functools
import operator
import sys
import types
import typing
from collections.abc import Callable, Collection, Sequence
from typing import Any, Final, Literal, Union

CodecName = Literal["json", "msgpack"]
CODECS: Final[tuple[CodecName, ...]] = ("json", "msgpack")

MAX_DETAIL: Final = 300
MAX_ERRORS: Final = 100
"""How many errors of a message pydantic may list."""

Decode = Callable[[Any], Any]
"""Makes a value of a message, `str` or `bytes`."""


def is_plain(annotation: Any) -> bool:
    """Return whether a message is handed on as it came: for `str`, `bytes`, their union, `Any`, `object`."""
    if typing.get_origin(annotation) in (Union, types.UnionType):
        return all(map(is_plain, typing.get_args(annotation)))
    return annotation in (str, bytes, Any, object, None, type(None))


@functools.cache
def make_decoder(kinds: Sequence[Any], codec: CodecName) -> Decode:
    """Return what makes a value of one of these types of a message.

    It raises ValueError or RecursionError; the error says in one line what was expected, and where.

    Args:
        kinds: types of msgspec's (Struct), dataclasses, TypedDicts and what consists of them; or pydantic's models.
        codec: how they are encoded.

    Raises:
        TypeError: one of the types cannot be decoded, or several cannot be told apart.
        ImportError: the package that does it is not installed; the message says how to install it.
    """
    kind = functools.reduce(operator.or_, kinds)
    if any(map(_is_model, members(kind))):
        return _pydantic_decoder(kind, codec)
    msgspec = import_msgspec()
    for member in members(kind):
        if isinstance(msgspec.inspect.type_info(member), msgspec.inspect.CustomType):
            raise TypeError(
                f"{member!r} cannot be made of a message; a msgspec.Struct, a dataclass, a TypedDict can, "
                "or a pydantic model"
            )
    try:
        decoder = (msgspec.json if codec == "json" else msgspec.msgpack).Decoder(kind)
    except TypeError as error:
        raise TypeError(
            f"{error}; several types of one endpoint are told apart by a tag: class Join(msgspec.Struct, tag=True)"
        ) from None
    decode: Decode = decoder.decode
    return decode if codec == "json" else _binary_only(decode)


def import_msgspec() -> Any:
    """Return the module.

    Raises:
        ImportError: it is not installed.
    """
    try:
        import msgspec
    except ImportError:
        raise ImportError(
            "typed messages need the package msgspec: pip install 'gevent-gws[typed]'"
        ) from None
    return msgspec


def to_json(value: object) -> bytes | None:
    """Return a value of a type as JSON; None if it is no Struct and no model."""
    if _is_struct(value):
        encoded: bytes = sys.modules["msgspec"].json.encode(value)
        return encoded
    if _is_model(type(value)):
        return str(value.model_dump_json()).encode()  # type: ignore[attr-defined]
    return None


def to_msgpack(value: object) -> bytes | None:
    """Return a `dict`, a `list` or a value of a type as MessagePack; None if it is none of these."""
    if _is_model(type(value)):
        value = value.model_dump(mode="json")  # type: ignore[attr-defined]
    elif not (isinstance(value, dict | list) or _is_struct(value) or dataclasses.is_dataclass(value)):
        return None
    encoded: bytes = import_msgspec().msgpack.encode(value)
    return encoded


def schemas_of(kind: Any, prefix: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the JSON schema of a type, and by name those that it refers to.

    Args:
        kind: as of `make_decoder`.
        prefix: of the references, such as "#/components/schemas/".
    """
    if any(map(_is_model, members(kind))):
        import pydantic

        adapter: Any = pydantic.TypeAdapter(kind)
        schema = adapter.json_schema(ref_template=prefix + "{model}")
        return schema, schema.pop("$defs", {})
    (schema,), components = import_msgspec().json.schema_components([kind], ref_template=prefix + "{name}")
    return schema, components


def check_distinct(kinds: Collection[Any]) -> None:
    """Refuse types whose values do not say of which they are.

    Raises:
        TypeError: one is no class of its own, such as a TypedDict or a union; or some are pydantic's and some not.
    """
    for kind in kinds:
        is_class = isinstance(kind, type) and (
            dataclasses.is_dataclass(kind) or _is_model(kind) or _has_fields(kind)
        )
        if not is_class:
            raise TypeError(
                f'several handlers of on("message", type=...) are told apart by class: {kind!r} is none; '
                "use a msgspec.Struct, a dataclass or a pydantic model, or one handler whose msg is a union"
            )
    if len({_is_model(kind) for kind in kinds}) > 1:
        raise TypeError("the types of one endpoint are all pydantic's models, or none is")


def describe(error: Exception) -> str:
    """Return what a decoder says is wrong, in one line of at most `MAX_DETAIL` characters."""
    if isinstance(error, RecursionError):
        return "the message is nested too deeply"
    count = getattr(error, "error_count", None)
    if count is None:
        text = str(error)
    elif count() > MAX_ERRORS:
        # To make the list of them would take longer than to find them.
        text = f"{count()} values do not fit"
    else:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]  # type: ignore[attr-defined]
        text = f"{first['msg']} - at `${''.join(f'.{part}' for part in first['loc'])}`"
    return text.encode(errors="replace").decode()[:MAX_DETAIL]


def _pydantic_decoder(kind: Any, codec: CodecName) -> Decode:
    import pydantic

    adapter: Any = pydantic.TypeAdapter(kind)
    if codec == "json":
        validate: Decode = adapter.validate_json
        return validate
    unpack = import_msgspec().msgpack.decode
    return _binary_only(lambda message: adapter.validate_python(unpack(message)))


def _binary_only(decode: Decode) -> Decode:
    def decode_binary(message: str | bytes) -> Any:
        if isinstance(message, str):
            raise ValueError("binary is expected, not text")
        return decode(message)

    return decode_binary


def members(kind: Any) -> tuple[Any, ...]:
    """Return the types of a union, or the one type itself."""
    return typing.get_args(kind) if typing.get_origin(kind) in (Union, types.UnionType) else (kind,)


def _is_struct(value: object) -> bool:
    return _has_fields(type(value))


def _has_fields(kind: type) -> bool:
    msgspec = sys.modules.get("msgspec")
    return msgspec is not None and issubclass(kind, msgspec.Struct)


def _is_model(kind: Any) -> bool:
    pydantic = sys.modules.get("pydantic")
    return pydantic is not None and isinstance(kind, type) and issubclass(kind, pydantic.BaseModel)
