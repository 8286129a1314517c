"""What an application's WebSockets say and understand, as an AsyncAPI 3.0 document.

https://www.asyncapi.com/docs/reference/specification/v3.0.0
"""

from __future__ import annotations

import inspect
import itertools
import re
import typing
from collections.abc import Callable, Collection, Iterator
from typing import Any, Final

from flask import Flask

from ..conversation.conversation import RECEIVE
from ..conversation.handlers import Handler
from ..protocol.typed import members, schemas_of
from .websocket import WebSocket, websockets_of

VERSION: Final = "3.0.0"
MAX_DEPTH: Final = 8
"""How deep an example is, where a type refers to itself."""
_REFERENCE: Final = "#/components/schemas/"
_TEXT: Final[dict[str, Any]] = {"name": "text", "contentType": "text/plain", "payload": {"type": "string"}}
_BINARY: Final[dict[str, Any]] = {
    "name": "binary",
    "contentType": "application/octet-stream",
    "payload": {"type": "string", "format": "binary"},
}
_JSON: Final[dict[str, Any]] = {"name": "json", "contentType": "application/json", "payload": {}}
_INVALID: Final[dict[str, Any]] = {
    "name": "InvalidMessage",
    "summary": "The answer to a message that does not fit.",
    "payload": {
        "type": "object",
        "properties": {"error": {"const": "invalid message"}, "detail": {"type": "string"}},
        "required": ["error", "detail"],
    },
    "examples": [
        {"payload": {"error": "invalid message", "detail": "Expected `str`, got `int` - at `$.text`"}}
    ],
}
_STREAMS: Final = {"Iterator", "Iterable", "Generator", "AsyncIterator", "AsyncIterable", "AsyncGenerator"}


def describe(
    app: Flask,
    title: str | None = None,
    version: str = "1.0.0",
    description: str | None = None,
    server: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Return the document.

    Args:
        app: the Flask application.
        title: as of `asyncapi`.
        version: as of `asyncapi`.
        description: as of `asyncapi`.
        server: host, pathname and protocol of where it is served, if that is known.
    """
    document: dict[str, Any] = {
        "asyncapi": VERSION,
        "info": {"title": title or app.name, "version": version},
        "defaultContentType": "application/json",
    }
    if description:
        document["info"]["description"] = description
    if server:
        document["servers"] = {"this": server}
    schemas: dict[str, Any] = {}
    channels: dict[str, Any] = {}
    operations: dict[str, Any] = {}
    for rule, websocket in websockets_of(app):
        key = _key(rule.rule, channels)
        channel = _Channel(app, websocket, schemas, key)
        channels[key] = {"address": _address(rule.rule), **channel.describe()}
        for action, messages in (("receive", channel.incoming), ("send", channel.outgoing)):
            if messages:
                operations[f"{key}.{action}"] = {
                    "action": action,
                    "channel": {"$ref": f"#/channels/{key}"},
                    "messages": [{"$ref": f"#/channels/{key}/messages/{name}"} for name in messages],
                    **channel.summary(action),
                }
    document |= {"channels": channels, "operations": operations, "components": {"schemas": schemas}}
    return document


class _Channel:
    """One endpoint: what its handlers are given and what they send.

    Args:
        app: whose endpoint it is.
        websocket: the endpoint.
        schemas: those of the document, to which it adds its own.
        key: the channel's name in the document.
    """

    def __init__(self, app: Flask, websocket: WebSocket, schemas: dict[str, Any], key: str) -> None:
        self._websocket = websocket
        self._schemas = schemas
        self._key = key
        self._messages: dict[str, Any] = {}
        self.incoming: list[str] = []
        """Names of the messages that the application receives."""
        self.outgoing: list[str] = []
        """Names of those that it sends."""
        for event, function, kind in websocket.functions():
            if event in ("message", RECEIVE):
                self._add(self.incoming, [kind])
            self._add(self.outgoing, _returned(function))
        is_typed = any(name not in ("text", "binary") for name in self.incoming)
        if is_typed and websocket.settings_in(app).invalid_messages == "answer":
            self._message(_INVALID)
            self.outgoing.append(_INVALID["name"])

    def describe(self) -> dict[str, Any]:
        """Return the channel without its address."""
        channel: dict[str, Any] = {"messages": self._messages}
        docs = [inspect.getdoc(function) for _, function, _ in self._websocket.functions()]
        if any(docs):
            channel["description"] = "\n\n".join(filter(None, docs))
        variables = self._websocket.variables
        if variables:
            channel["parameters"] = {name: {} for name in variables}
        query = self._query()
        if query["properties"]:
            channel["bindings"] = {"ws": {"method": "GET", "query": query, "bindingVersion": "0.1.0"}}
        return channel

    def summary(self, action: str) -> dict[str, str]:
        """Return what the docstring of the handler of an operation begins with."""
        wanted = ("message", RECEIVE) if action == "receive" else ("connect",)
        for event, function, _ in self._websocket.functions():
            doc = inspect.getdoc(function)
            if event in wanted and doc:
                return {"summary": doc.partition("\n")[0]}
        return {}

    def _query(self) -> dict[str, Any]:
        handlers: list[Handler] = list(self._websocket.handlers.values())
        arguments = {argument.name: argument for handler in handlers for argument in handler.arguments}
        query: dict[str, Any] = {
            "type": "object",
            "properties": {name: argument.schema for name, argument in arguments.items()},
        }
        required = [name for name, argument in arguments.items() if argument.is_required]
        return query | ({"required": required} if required else {})

    def _add(self, names: list[str], kinds: list[Any]) -> None:
        for kind in kinds:
            for message in self._messages_of(kind):
                self._message(message)
                if message["name"] not in names:
                    names.append(message["name"])

    def _message(self, message: dict[str, Any]) -> None:
        self._messages.setdefault(message["name"], message)

    def _messages_of(self, kind: Any) -> Iterator[dict[str, Any]]:
        if kind in (None, Any, object):
            yield from (_TEXT, _BINARY)
            return
        for member in members(kind):
            if member is str:
                yield _TEXT
            elif member is bytes:
                yield _BINARY
            elif member in (dict, list) or typing.get_origin(member) in (dict, list):
                yield _JSON
            elif member is not type(None):
                try:
                    yield self._typed_message(member)
                except Exception:  # noqa: BLE001 - a `Response`, or what else no message is
                    continue

    def _typed_message(self, kind: type) -> dict[str, Any]:
        schema, components = schemas_of(kind, _REFERENCE)
        if any(self._schemas.get(name, schema_) != schema_ for name, schema_ in components.items()):
            # Another type of the same name.
            schema, components = schemas_of(kind, f"{_REFERENCE}{self._key}_")
            components = {f"{self._key}_{name}": schema_ for name, schema_ in components.items()}
        self._schemas.update(components)
        name = getattr(kind, "__name__", "json")
        content = "application/msgpack" if self._websocket.codec == "msgpack" else "application/json"
        message = {"name": name, "contentType": content, "payload": schema}
        # Not that of a base class.
        doc = inspect.cleandoc(vars(kind).get("__doc__") or "")
        if doc and not doc.startswith(f"{name}("):
            message["summary"] = doc.partition("\n")[0]
        return message | {"examples": [{"payload": example_of(schema, self._schemas)}]}


def example_of(schema: dict[str, Any], schemas: dict[str, Any], depth: int = 0) -> Any:
    """Return a value that fits a JSON schema.

    Args:
        schema: as msgspec and pydantic make them.
        schemas: what it refers to.
        depth: how deep the value lies in another.
    """
    if depth > MAX_DEPTH:
        return None
    if "$ref" in schema:
        return example_of(schemas[schema["$ref"].removeprefix(_REFERENCE)], schemas, depth)
    for key in ("examples", "enum"):
        if schema.get(key):
            return schema[key][0]
    for key in ("const", "default"):
        if key in schema:
            return schema[key]
    for key in ("anyOf", "oneOf", "allOf"):
        if schema.get(key):
            return example_of(schema[key][0], schemas, depth)
    kind = schema.get("type")
    if kind == "object":
        required = schema.get("required", ())
        properties = schema.get("properties", {}).items()
        # What refers to itself ends somewhere.
        return {
            name: example_of(each, schemas, depth + 1)
            for name, each in properties
            if name in required or depth < 1
        }
    if kind == "array":
        items = schema.get("items")
        return [example_of(items, schemas, depth + 1)] if isinstance(items, dict) else []
    return {"string": "text", "integer": schema.get("minimum", 1), "number": 1.5, "boolean": True}.get(
        kind or ""
    )


def _returned(function: Callable[..., object]) -> list[Any]:
    """Return the types that a handler's annotation says it returns, or yields."""
    try:
        annotation = typing.get_type_hints(function).get("return")
    except Exception:  # noqa: BLE001 - an annotation that cannot be read says nothing
        return []
    if getattr(typing.get_origin(annotation), "__name__", None) in _STREAMS:
        annotation = (typing.get_args(annotation) or (None,))[0]
    found = [kind for kind in members(annotation) if kind not in (None, type(None), bool, Any, object)]
    return [kind for kind in found if isinstance(kind, type) or typing.get_origin(kind) in (dict, list)]


def _address(rule: str) -> str:
    return re.sub(r"<(?:[^<>]*:)?([^<>]+)>", r"{\1}", rule)


def _key(rule: str, taken: Collection[str]) -> str:
    """Return a name of a channel that no other one has."""
    name = re.sub(r"[^A-Za-z0-9]+", "_", rule).strip("_") or "root"
    names = itertools.chain([name], (f"{name}_{number}" for number in itertools.count(2)))
    return next(each for each in names if each not in taken)
