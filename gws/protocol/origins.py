"""Which pages may connect: the Origin of a request beside the server's own, and beside those that are allowed.

An Origin header is one origin as browsers write it, or "null" (RFC 6454 §6.2, §7). Whatever else it holds, such as a
list or a path, matches nothing. An allowed origin is written the same way, and `*.` before its host stands for one or
more DNS labels. What a browser would never send is refused when it is set, for it would let in nobody.
"""

from __future__ import annotations

import ipaddress
import re
import unicodedata
from collections.abc import Sequence
from functools import cache
from typing import Final, NamedTuple

from ..errors import HandshakeRefusedError
from ..printable import printable

_DEFAULT_PORTS: Final = {"http": 80, "https": 443}
_ORIGIN = re.compile(
    r"([a-z][a-z0-9+.-]*)://((?:[a-z0-9_-]+\.)*[a-z0-9_-]+\.?|\[[0-9a-f:.]+\])(?::([1-9][0-9]{0,4}))?"
)
"""Scheme, host and port, in lower case. International names are in punycode here (RFC 6454 §6.2)."""
_NOT_ASCII = re.compile(r"[^.:]*[^\x00-\x7f.:][^.:]*")
"""A label that is not."""


class Origin(NamedTuple):
    """A page's origin, or allowed ones: with a host that begins with a dot, those of all hosts that end with it.

    Attributes:
        scheme: in lower case.
        host: a name in lower case, or an address.
        port: also where it is the scheme's own, which browsers leave out; None for a scheme that has none.
    """

    scheme: str
    host: str
    port: int | None


NULL: Final = Origin("null", "", None)
"""Of a page that has none to tell, such as a file's; any page can make one, in a sandboxed frame."""
_EVERYBODY: Final = Origin("*", "", None)


def parse_origin(text: str) -> Origin | None:
    """Return the origin that an Origin header names; None if it is not exactly one."""
    if text == "null":
        return NULL
    found = _ORIGIN.fullmatch(text.lower()) if text.isascii() else None
    if found is None:
        return None
    scheme, host, digits = found.groups()
    port = int(digits) if digits else _DEFAULT_PORTS.get(scheme)
    try:
        return Origin(scheme, _normal_host(host), port) if (port or 0) < 65536 else None
    except ValueError:
        return None


def _normal_host(host: str) -> str:
    """Return a name as it is, and an address in its one form.

    Raises:
        ValueError: it looks like an address and is none.
    """
    if host.startswith("["):
        return f"[{ipaddress.IPv6Address(host[1:-1])}]"
    return str(ipaddress.IPv4Address(host)) if _is_number(host) else host


def _is_number(host: str) -> bool:
    """Return whether a browser takes it for IPv4: it ends in a number (https://url.spec.whatwg.org, §3.5)."""
    return host.rpartition(".")[2].isdecimal()


@cache
def parse_allowed(text: str) -> Origin:
    """Return what one entry of `allowed_origins` lets in.

    Raises:
        ValueError: no browser sends that; the message has the right spelling, where there can be one.
    """
    allowed = _find_allowed(text)
    if allowed is None:
        guess = _respell(text)
        advice = (
            f"write {guess!r}"
            if _find_allowed(guess)
            else 'write "https://app.example", "https://app.example:8443" or, for all hosts below app.example, '
            '"https://*.app.example"; "*" is everybody'
        )
        raise ValueError(f"allowed_origins: {text!r} is not an origin as browsers send it: {advice}")
    return allowed


def _find_allowed(text: str) -> Origin | None:
    if text == "*":
        return _EVERYBODY
    name = text.replace("://*.", "://", 1)
    origin = parse_origin(name)
    if origin is None or origin.scheme in ("ws", "wss"):
        return None
    if name == text:
        return origin
    is_address = origin.host.startswith("[") or _is_number(origin.host)
    return None if is_address else origin._replace(host=f".{origin.host}")


def _respell(text: str) -> str:
    """Return what may have been meant by no scheme, a WebSocket's, a path, or a name that is not in punycode."""
    text = text.strip().lower()
    if text == "null":
        return text
    scheme, has_scheme, rest = text.partition("://")
    if not has_scheme:
        scheme, rest = "https", text
    scheme = {"ws": "http", "wss": "https"}.get(scheme, scheme)
    host = re.split(r"[/#]|\?(?=.)", rest)[0]
    return f"{scheme}://{_NOT_ASCII.sub(_to_punycode, host)}"


def _to_punycode(label: re.Match[str]) -> str:
    # Not Python's own codec for names, which is IDNA of 2003 and takes "ß" for "ss".
    return "xn--" + unicodedata.normalize("NFKC", label[0]).lower().encode("punycode").decode()


def check_origin(origin: str, own: str, allowed: Sequence[str]) -> None:
    """Let in the pages that may connect (RFC 6455 §10.2).

    Args:
        origin: the request's Origin header.
        own: this server as the client addressed it, such as "https://example.org".
        allowed: further origins, as `parse_allowed` takes them.

    Raises:
        HandshakeRefusedError: 403, and the message names the origin and the setting.
    """
    page = parse_origin(origin)
    if page is not None and page == parse_origin(own):
        return
    if not any(_lets_in(parse_allowed(one), page) for one in allowed):
        raise HandshakeRefusedError(
            403,
            f"origin '{printable(origin)}' may not connect to {printable(own)}: "
            "GWS_ALLOWED_ORIGINS does not list it",
        )


def _lets_in(allowed: Origin, page: Origin | None) -> bool:
    if page is None or allowed == _EVERYBODY:
        return allowed == _EVERYBODY
    if (page.scheme, page.port) != (allowed.scheme, allowed.port):
        return False
    # What stands before the dot is labels: a host has nothing else.
    return page.host.endswith(allowed.host) if allowed.host.startswith(".") else page.host == allowed.host
