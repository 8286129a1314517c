"""The limits and deadlines of an endpoint, each with the reason for its default."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What `WebSocket(...)` takes as arguments and Flask as `GWS_…` settings; an argument wins.

    Attributes:
        max_message_size: bytes of a message received; more is answered with 1009. 1 MiB is what `websockets`,
            aiohttp (4 MiB) and browsers' chat applications live with, and keeps a thousand clients in 1 GiB.
        max_outbox_size: bytes that may wait for a client that does not read; one that has more waiting when the
            next message comes is dropped with 1008. 1 MiB is some seconds of a busy feed on a bad line.
        handshake_timeout: seconds for the request's head to arrive, and for the connect handler to finish. 10 is
            what clients wait by default (`websockets`: open_timeout=10), so a later answer finds nobody.
        ping_interval: seconds between pings to an open connection; None sends none. 20 is below the 30 to 60
            seconds after which routers and proxies forget an idle connection (nginx: proxy_read_timeout 60).
        ping_timeout: seconds in which a ping must be answered by anything at all before the connection counts as
            lost. 20 lets a telephone change networks.
        close_timeout: seconds for the peer to answer a Close and to take what was sent before it. 5 is half of
            what clients wait, so the server, which should, is the first to close (RFC 6455 §7.1.1).
        allowed_origins: web pages of other origins that may connect: "https://app.example", patterns such as
            "https://*.example", or "*". Empty: pages of the same origin only, since a browser sends its cookies
            to any page's WebSocket (RFC 6455 §10.2).
    """

    max_message_size: int = 1024 * 1024
    max_outbox_size: int = 1024 * 1024
    handshake_timeout: float = 10.0
    ping_interval: float | None = 20.0
    ping_timeout: float = 20.0
    close_timeout: float = 5.0
    allowed_origins: Sequence[str] = ()

    def __post_init__(self) -> None:
        """Refuse what could not work, while the application is being set up.

        Raises:
            TypeError, ValueError: naming the setting and what it takes.
        """
        origins = self.allowed_origins
        if not isinstance(origins, list | tuple) or not all(isinstance(origin, str) for origin in origins):
            raise TypeError(f"allowed_origins is a list of origins, not {origins!r}")
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if field.name == "allowed_origins" or (value is None and field.name == "ping_interval"):
                continue
            if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
                raise ValueError(f"{field.name} is a number above zero, not {value!r}")


def from_config(config: Mapping[str, Any], arguments: Mapping[str, Any]) -> Settings:
    """The settings of an endpoint: its own arguments, else the Flask application's, else the defaults.

    Args:
        config: `app.config`, of which `GWS_MAX_MESSAGE_SIZE` and its like are read.
        arguments: those given to `WebSocket(...)`.
    """
    names = [field.name for field in dataclasses.fields(Settings)]
    configured = {name: config[f"GWS_{name.upper()}"] for name in names if f"GWS_{name.upper()}" in config}
    return Settings(**{**configured, **arguments})
