"""A WebSocket endpoint as the nodes of a cluster know it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from typing import Any

from ..protocol.encoding import encode
from ..protocol.frames import encode_text
from ..protocol.typed import CodecName
from ..settings import SettingArguments, from_final_config


class Endpoint:
    """What a connection belongs to, and what is sent to.

    Args:
        rule: its URL rule, for log lines and errors.
        name: what it is called on all nodes, if it is not its rule.
        dumps: makes JSON text of a `dict` or `list`.
        backplane: the URL of its backplane, if it has one of its own.
        settings: its settings by name, which win over those of `config`.
        codec: what is sent of values other than `str` and `bytes`.

    Attributes:
        config: the configuration of its application, of the last one if its blueprint has several; empty before that.
        cluster: the `Cluster` that carries its messages, for `Process.cluster_of`; None after a fork or a stop.
    """

    __slots__ = (
        "__weakref__",
        "_backplane",
        "_dumps",
        "cluster",
        "codec",
        "config",
        "name",
        "rule",
        "settings",
    )

    def __init__(
        self,
        rule: str,
        name: str | None = None,
        dumps: Callable[[Any], str] = json.dumps,
        backplane: str | None = None,
        settings: SettingArguments | None = None,
        codec: CodecName = "json",
    ) -> None:
        self.rule = rule
        self.name = name or rule
        self.config: Mapping[str, Any] = {}
        self.cluster: Any = None
        self._dumps = dumps
        self._backplane = backplane
        self.codec: CodecName = codec
        self.settings: SettingArguments = settings or {}

    def __repr__(self) -> str:
        return f"<WebSocket {self.rule}>"

    @property
    def backplane_url(self) -> str | None:
        """The configured URL; None for what suits the server."""
        configured = self._backplane or self.config.get("GWS_BACKPLANE_URL")
        return configured or os.environ.get("GWS_BACKPLANE_URL") or None

    def check_settings(self) -> None:
        """Refuse what the application's configuration has become since the endpoint was made.

        Raises:
            ConfigurationError: it could not work.
        """
        from_final_config(self.config, self.settings)

    def encode(self, value: object) -> bytes:
        """Return a value as one frame; `protocol.encoding.encode` says of which types.

        Raises:
            TypeError: it is nothing that can be sent.
        """
        return encode(value, self._dumps, self.codec)

    def encode_json(self, value: object) -> bytes:
        """Return a value as one text frame of JSON, by the application's JSON provider."""
        return encode_text(self._dumps(value))
