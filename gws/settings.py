"""The limits and deadlines of an endpoint, each with the reason for its default."""

from __future__ import annotations

import dataclasses
import difflib
import functools
import logging
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, Literal, TypedDict

from .errors import ConfigurationError
from .protocol.deflate import Compression
from .protocol.origins import parse_allowed

logger = logging.getLogger("gws.settings")

_SIZES = ("max_head_size", "max_message_size", "max_outbox_size", "max_rooms")
_TIMES = ("handshake_timeout", "ping_interval", "ping_timeout", "close_timeout")
_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
"""RFC 6455 §4.1: what a subprotocol's name is made of."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What `WebSocket(...)` takes as arguments and Flask as `GWS_…` settings; an argument wins.

    Attributes:
        max_head_size: bytes of a request's line and headers; more is answered with 431. 32 KiB is what nginx takes by
            default (four times 8 KiB), and what an idle connection may keep. The server asks the application's
            configuration, not the endpoint.
        max_message_size: bytes of a message received; more is answered with 1009. 1 MiB is what `websockets`,
            aiohttp (4 MiB) and browsers' chat applications live with, and keeps a thousand clients in 1 GiB.
        max_outbox_size: bytes that may wait for a client that does not read; one that has more waiting when the
            next message comes is dropped with 1008. 1 MiB is some seconds of a busy feed on a bad line.
        max_rooms: rooms that a connection may be in; to join one more is an error. Where clients name the rooms, each
            takes 900 bytes of memory, here and on the backplane's server: 128 are 110 KB, and less than a millisecond
            to leave when the connection ends.
        handshake_timeout: seconds for the request's head to arrive, and for the connect handler to finish. 10 is
            what clients wait by default (`websockets`: open_timeout=10), so a later answer finds nobody.
        ping_interval: seconds between pings to an open connection; None sends none. 20 is below the 30 to 60
            seconds after which routers and proxies forget an idle connection (nginx: proxy_read_timeout 60).
        ping_timeout: seconds in which a ping must be answered by anything at all before the connection counts as
            lost. 20 lets a telephone change networks.
        close_timeout: seconds for the peer to answer a Close and to take what was sent before it. 5 is half of
            what clients wait, so the server, which should, is the first to close (RFC 6455 §7.1.1).
        allowed_origins: web pages of other origins that may connect: "https://app.example", "https://*.app.example"
            for all hosts below that, or "*". Empty: pages of the same origin only, since a browser sends its cookies
            to any page's WebSocket (RFC 6455 §10.2).
        subprotocols: those that the endpoint speaks, the best first; `ws.subprotocol` is the one that a client has
            in common with it (RFC 6455 §1.9).
        require_subprotocol: whether a client that speaks none of them is refused with 400. Most that offer none
            are programs that never heard of it, so they are let in.
        compression: True, or a `Compression`, to agree to permessage-deflate (RFC 7692). Off, since it takes several
            times the CPU and the memory of a connection without, and short messages gain little.
        invalid_messages: what a message of a typed handler that does not fit its type does: "answer", so that whoever
            writes the client sees why, or "close" the connection with 1007.
    """

    max_head_size: int = 32 * 1024
    max_message_size: int = 1024 * 1024
    max_outbox_size: int = 1024 * 1024
    max_rooms: int = 128
    handshake_timeout: float = 10.0
    ping_interval: float | None = 20.0
    ping_timeout: float = 20.0
    close_timeout: float = 5.0
    allowed_origins: Sequence[str] = ()
    subprotocols: Sequence[str] = ()
    require_subprotocol: bool = False
    compression: Compression | None = None
    invalid_messages: Literal["answer", "close"] = "answer"

    def __post_init__(self) -> None:
        """Refuse what could not work, while the application is being set up.

        Raises:
            TypeError, ValueError: naming the setting and what it takes.
        """
        for name in ("allowed_origins", "subprotocols"):
            value = getattr(self, name)
            if not isinstance(value, list | tuple) or not all(isinstance(item, str) for item in value):
                advice = f": write [{value!r}]" if isinstance(value, str) else ""
                raise TypeError(f"{name} is a list of strings, not {value!r}{advice}")
        for origin in self.allowed_origins:
            parse_allowed(origin)
        for subprotocol in self.subprotocols:
            if not _TOKEN.fullmatch(subprotocol):
                raise ValueError(f"{subprotocol!r} is not the name of a subprotocol")
        if not isinstance(self.compression, Compression | None):
            raise TypeError(f"compression is True, False or a Compression, not {self.compression!r}")
        for name in _SIZES:
            value = getattr(self, name)
            if type(value) is not int or value < 1:
                raise ValueError(f"{name} is a whole number above zero, not {value!r}")
        for name in _TIMES:
            value = getattr(self, name)
            if value is None and name == "ping_interval":
                continue
            if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
                raise ValueError(f"{name} is a number above zero, not {value!r}")
            try:
                float(value)
            except OverflowError:
                raise ValueError(f"{name} is a number of seconds that a clock can count") from None
        if self.invalid_messages not in ("answer", "close"):
            raise ValueError(f'invalid_messages is "answer" or "close", not {self.invalid_messages!r}')
        if not isinstance(self.require_subprotocol, bool):
            raise TypeError(f"require_subprotocol is True or False, not {self.require_subprotocol!r}")


class SettingArguments(TypedDict, total=False):
    """The settings that `WebSocket(...)` takes, for editors and type checkers; `Settings` says what each one is."""

    max_message_size: int
    max_outbox_size: int
    max_rooms: int
    handshake_timeout: float
    ping_interval: float | None
    ping_timeout: float
    close_timeout: float
    allowed_origins: Sequence[str]
    subprotocols: Sequence[str]
    require_subprotocol: bool
    compression: Compression | bool | None
    invalid_messages: Literal["answer", "close"]


_NAMES: Final = tuple(field.name for field in dataclasses.fields(Settings))
_KEYS: Final = {f"GWS_{name.upper()}": name for name in _NAMES}
_OTHER_KEYS: Final = ("GWS_BACKPLANE_URL",)
"""Flask settings that are read elsewhere."""
_SERVER_ONLY: Final = ("max_head_size",)
"""What is read before anybody knows which endpoint is asked for."""


def from_config(config: Mapping[str, Any], arguments: Mapping[str, Any]) -> Settings:
    """Return the settings of an endpoint: its own arguments, else the Flask application's, else the defaults.

    Args:
        config: `app.config`, of which `GWS_MAX_MESSAGE_SIZE` and its like are read. A key that is none of them, and
            begins as they do, is warned of once.
        arguments: those given to `WebSocket(...)`, which `check_arguments` has seen.

    Raises:
        TypeError, ValueError: a value could not work.
    """
    for key in config:
        if key.startswith("GWS_") and key not in _KEYS and key not in _OTHER_KEYS:
            _warn_of_key(key)
    values = {name: config[key] for key, name in _KEYS.items() if key in config} | dict(arguments)
    if isinstance(values.get("compression"), bool):
        values["compression"] = Compression() if values["compression"] else None
    return Settings(**values)


def from_final_config(config: Mapping[str, Any], arguments: Mapping[str, Any]) -> Settings:
    """Return the same for a server that starts, when nobody changes the configuration any more.

    Raises:
        ConfigurationError: a value could not work.
    """
    try:
        return from_config(config, arguments)
    except (TypeError, ValueError) as error:
        raise ConfigurationError(str(error)) from None


def check_arguments(arguments: Mapping[str, Any]) -> None:
    """Refuse what could not work, where an endpoint is declared.

    Raises:
        TypeError: an argument is no setting of an endpoint.
        TypeError, ValueError: a value could not work.
    """
    for name in arguments:
        if name in _SERVER_ONLY:
            raise TypeError(
                f"{name} is of the whole server, not of one WebSocket: set app.config['GWS_{name.upper()}']"
            )
        if name not in _NAMES:
            raise TypeError(f"a WebSocket has no setting {name!r}{nearest(name, _NAMES)}")
    from_config({}, arguments)


@functools.lru_cache(maxsize=64)
def _warn_of_key(key: str) -> None:
    logger.warning("app.config[%r] is no setting of gws%s", key, nearest(key, (*_KEYS, *_OTHER_KEYS)))


def nearest(name: str, known: Iterable[str]) -> str:
    """Return a question after the known name that was probably meant, for an error message."""
    found = difflib.get_close_matches(name, known, 1)
    return f"; did you mean {found[0]!r}?" if found else ""
