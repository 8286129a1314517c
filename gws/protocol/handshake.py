"""The opening handshake (RFC 6455 §4.2): an upgrade request in, the 101's head or a refusal out.

The checks and the answer are those of the `websockets` package; what is decided here is what it leaves to its
user: which browser origins are welcome, whether a client must speak one of our subprotocols, and the status that
tells an old client which version to speak.
"""

from __future__ import annotations

import fnmatch
import logging
from collections.abc import Iterable, Sequence
from typing import NamedTuple
from urllib.parse import urlsplit

from websockets.datastructures import Headers
from websockets.exceptions import InvalidHandshake, NegotiationError
from websockets.http11 import Request
from websockets.server import ServerProtocol
from websockets.typing import Subprotocol

from ..errors import HandshakeRefusedError
from .deflate import Agreement, Compression, find_agreement

_silent = logging.getLogger("gws.handshake.oracle")
_silent.addHandler(logging.NullHandler())
_silent.propagate = False

_DEFAULT_PORTS = {"http": 80, "https": 443}


class Accepted(NamedTuple):
    """A valid opening handshake, and what was agreed on in it."""

    headers: list[tuple[str, str]]
    """Those of the 101 response."""
    subprotocol: str | None
    agreement: Agreement | None
    """On permessage-deflate."""


def accept(
    method: str,
    protocol: str,
    headers: Iterable[tuple[str, str]],
    *,
    subprotocols: Sequence[str] = (),
    require_subprotocol: bool = False,
    compression: Compression | None = None,
) -> Accepted:
    """Check an upgrade request, and agree on what is between the endpoints (RFC 6455 §4.2.2, §9.1).

    Args:
        method: the request's method.
        protocol: the request's version, such as "HTTP/1.1".
        headers: its headers.
        subprotocols: those that are spoken, the best first.
        require_subprotocol: whether a client that speaks none of them is refused.
        compression: what to agree to; None to nothing.

    Raises:
        HandshakeRefusedError: the request is not a valid opening handshake.
    """
    if method != "GET":
        raise HandshakeRefusedError(405, f"a WebSocket is opened with GET, not {method}", {"Allow": "GET"})
    if protocol != "HTTP/1.1":
        raise HandshakeRefusedError(505, f"a WebSocket is opened with HTTP/1.1, not {protocol}")
    try:
        request = Request("/", Headers(list(headers)))
    except InvalidHandshake as error:
        raise HandshakeRefusedError(400, f"bad header: {str(error)!r}") from error
    # A handshake has no body (RFC 6455 §4.1), and what follows it are frames.
    if request.headers.get_all("Content-Length") not in ([], ["0"]) or "Transfer-Encoding" in request.headers:
        raise HandshakeRefusedError(400, "a WebSocket handshake has no body")
    versions = request.headers.get_all("Sec-WebSocket-Version")
    if versions and versions != ["13"]:
        # "the server MUST abort the WebSocket handshake described in this section and instead send an appropriate
        # HTTP error code (such as 426 Upgrade Required) and a |Sec-WebSocket-Version| header field indicating the
        # version(s) the server is capable of understanding" (RFC 6455 §4.2.2)
        raise HandshakeRefusedError(
            426,
            f"WebSocket version {', '.join(versions)!r} is not spoken here, 13 is",
            {"Sec-WebSocket-Version": "13"},
        )

    def select_subprotocol(_: ServerProtocol, offered: Sequence[Subprotocol]) -> Subprotocol | None:
        for subprotocol in subprotocols:
            if subprotocol in offered:
                return Subprotocol(subprotocol)
        if require_subprotocol:
            raise NegotiationError(f"no subprotocol in common; spoken are {', '.join(subprotocols)}")
        return None

    negotiation = ServerProtocol(
        extensions=[compression.factory()] if compression else None,
        select_subprotocol=select_subprotocol,
        logger=_silent,
    )
    response = negotiation.accept(request)
    if response.status_code != 101:
        kept = {name: value for name, value in response.headers.raw_items() if name == "Upgrade"}
        raise HandshakeRefusedError(response.status_code, " ".join(response.body.decode().split()), kept)
    agreement = find_agreement(negotiation.extensions)
    return Accepted(list(response.headers.raw_items()), negotiation.subprotocol, agreement)


def encode_response(headers: Iterable[tuple[str, str]]) -> bytes:
    """The head of the 101 response as it goes on the wire."""
    lines = [f"{name}: {value}\r\n" for name, value in headers]
    return ("HTTP/1.1 101 Switching Protocols\r\n" + "".join(lines) + "\r\n").encode("latin-1")


def check_origin(origin: str | None, own: str, allowed: Sequence[str]) -> None:
    """Let in the pages that may connect (RFC 6455 §10.2); programs send no Origin and are let in.

    Args:
        origin: the request's Origin header.
        own: this server as the client addressed it, such as "https://example.org".
        allowed: further origins; `*` and `?` in them match as in file names, "*" alone lets everybody in.

    Raises:
        HandshakeRefusedError: 403, and the message names the origin and the setting.
    """
    if origin is None or _normal(origin) == _normal(own):
        return
    if not any(_matches(_normal(origin), pattern) for pattern in allowed):
        raise HandshakeRefusedError(
            403, f"origin {origin!r} may not connect to {own}: GWS_ALLOWED_ORIGINS does not list it"
        )


def _matches(origin: str, pattern: str) -> bool:
    # Brackets stand around IPv6 addresses, not around characters to choose from.
    return fnmatch.fnmatchcase(origin, _normal(pattern).replace("[", "[[]"))


def _normal(origin: str) -> str:
    """An origin in lower case without its scheme's default port (RFC 6454 §4)."""
    origin = origin.lower()
    try:
        parts = urlsplit(origin)
        default = parts.port is not None and parts.port == _DEFAULT_PORTS.get(parts.scheme)
    except ValueError:
        return origin
    return origin.rpartition(":")[0] if default else origin
