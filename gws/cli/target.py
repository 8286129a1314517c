"""Where `gws connect` and `gws bench` connect to: the URL, what goes with its handshake, and what is shown of it."""

from __future__ import annotations

import base64
import re
import ssl
from collections.abc import Callable
from typing import Any, Final, NamedTuple, TypeVar
from urllib.parse import urlsplit

import click
from websockets.exceptions import InvalidHandshake, InvalidStatus

from ..printable import printable

INTERRUPTED: Final = 130
"""The exit code with which a shell says that Ctrl-C ended a program."""
MAX_SIZE: Final = 64 * 1024 * 1024
"""Bytes of a message that is received."""

_HEADER: Final = re.compile(r"([!#$%&'*+\-.^_`|~0-9A-Za-z]+):([^\x00-\x08\x0a-\x1f\x7f]*)")
"""RFC 9110 §5: a name and a value, in which nothing begins another line."""
_SCHEMES: Final = {"ws": "ws", "wss": "wss", "http": "ws", "https": "wss"}
_REASON: Final = 300
"""Characters of what a server says when it refuses."""

Function = TypeVar("Function", bound=Callable[..., object])


class _WrongUrl(click.ClickException):
    """A UsageError in all but this: it is shown with what looks like a URL."""

    exit_code = 2


class Target(NamedTuple):
    """What a handshake needs."""

    url: str
    headers: list[tuple[str, str]]
    origin: str | None
    subprotocols: list[str]
    tls: ssl.SSLContext | None

    @property
    def shown(self) -> str:
        """The URL without a password and without the query, which may have a token."""
        parts = urlsplit(self.url)
        host = parts.netloc.rpartition("@")[2]
        return printable(f"{parts.scheme}://{host}{parts.path or '/'}{'?...' if parts.query else ''}")


def handshake_options(function: Function) -> Function:
    """Add the URL and the options of a handshake to a command, which takes `url` and `**options` for `make_target`."""
    for decorate in (
        click.option("--insecure", is_flag=True, help="Trust any certificate."),
        click.option(
            "--ca", type=click.Path(exists=True, dir_okay=False), help="A file of certificates to trust."
        ),
        click.option("--auth", metavar="USER:PASSWORD", help="Basic authentication."),
        click.option("-o", "--origin", help="The Origin, as a page of it would send."),
        click.option(
            "-s", "--subprotocol", "subprotocols", multiple=True, help="Offer a subprotocol; repeatable."
        ),
        click.option("-H", "--header", "headers", multiple=True, help="'Name: value'; repeatable."),
        click.argument("url"),
    ):
        function = decorate(function)
    return function


def make_target(
    url: str,
    headers: tuple[str, ...],
    subprotocols: tuple[str, ...],
    origin: str | None,
    auth: str | None,
    ca: str | None,
    insecure: bool,
) -> Target:
    """Return what the options say.

    Raises:
        click.UsageError: one cannot be; the message quotes no value, which may be a secret.
    """
    pairs = []
    for header in headers:
        found = _HEADER.fullmatch(header)
        if found is None:
            raise click.UsageError("a header is written 'Name: value', on one line")
        pairs.append((found[1], found[2].strip(" \t")))
    if auth is not None:
        if ":" not in auth:
            raise click.UsageError("--auth is written USER:PASSWORD")
        pairs.append(("Authorization", f"Basic {base64.b64encode(auth.encode()).decode()}"))
    url = _complete(url)
    return Target(url, pairs, origin, list(subprotocols), _make_tls(url, ca, insecure))


def _complete(url: str) -> str:
    """Return the URL with the scheme of a WebSocket."""
    if "://" not in url:
        url = f"ws://{url}"
    scheme, _, rest = url.partition("://")
    try:
        parts = urlsplit(url)
        if scheme.lower() not in _SCHEMES or not parts.hostname or parts.port == 0:
            raise ValueError
    except ValueError:
        raise _WrongUrl("the URL is written ws://host:port/path, or wss://host/path for TLS") from None
    return f"{_SCHEMES[scheme.lower()]}://{rest.partition('#')[0]}"


def _make_tls(url: str, ca: str | None, insecure: bool) -> ssl.SSLContext | None:
    if not url.startswith("wss://"):
        if ca or insecure:
            raise click.UsageError("--ca and --insecure are for wss:// URLs")
        return None
    try:
        context = ssl.create_default_context(cafile=ca)
    except ssl.SSLError:
        raise click.UsageError("--ca names no file of certificates in PEM format") from None
    if insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def describe_refusal(error: Exception) -> str:
    """Return why there is no connection, without the URL, which may have a secret."""
    if isinstance(error, InvalidStatus):
        response = error.response
        body = (response.body or b"").decode(errors="replace").strip()
        # Of an HTML page nobody reads the tags.
        said = "" if body.startswith("<") else printable(body, _REASON)
        phrase = f"HTTP {response.status_code} {printable(response.reason_phrase)}".rstrip()
        return f"{phrase}: {said}" if said else phrase
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted: {printable(error.verify_message)}; give --ca FILE, or --insecure"
    if isinstance(error, OSError):
        return printable(error.strerror or str(error))
    if isinstance(error, InvalidHandshake):
        if isinstance(error.__cause__, EOFError):
            return "it hung up in the handshake"
        return f"it does not speak WebSocket: {printable(str(error), _REASON)}"
    return printable(f"{type(error).__name__}: {error}", _REASON)


def status_of(error: Exception) -> int | None:
    """Return the HTTP status of a refusal; None if it is no refusal."""
    return error.response.status_code if isinstance(error, InvalidStatus) else None


def options_of(target: Target) -> dict[str, Any]:
    """Return the arguments of `websockets`' connect."""
    return {
        "additional_headers": target.headers,
        "origin": target.origin,
        "subprotocols": target.subprotocols or None,
        "ssl": target.tls,
        "user_agent_header": "gws",
    }
