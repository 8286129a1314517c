"""The opening handshake (RFC 6455 §4.2): an upgrade request in, the 101's head or a refusal out.

The checks and the answer are those of the `websockets` package; what is decided here is what it leaves to its
user: whether a client must speak one of our subprotocols, and the status that tells an old client which version to
speak.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from websockets.datastructures import Headers
from websockets.exceptions import InvalidHandshake, NegotiationError
from websockets.http11 import Request
from websockets.server import ServerProtocol
from websockets.typing import Subprotocol
from websockets.utils import accept_key

from ..errors import HandshakeRefusedError
from ..printable import printable
from .deflate import Agreement, Compression, find_agreement

_silent = logging.getLogger("gws.handshake.oracle")
_silent.addHandler(logging.NullHandler())
_silent.propagate = False

_KEY = re.compile(r"[A-Za-z0-9+/]{21}[AQgw]==")
"""16 bytes in base64."""
_TO_BE_EXAMINED = ("content-length", "transfer-encoding", "sec-websocket-protocol")

MAX_OFFER: Final = 2048
"""Characters of all the headers that say what a client offers. Browsers send less than 300, and to read 32 KB of commas
takes 50 ms."""
_OFFERS = (
    "connection",
    "upgrade",
    "sec-websocket-version",
    "sec-websocket-key",
    "sec-websocket-protocol",
    "sec-websocket-extensions",
)


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
    headers = list(headers)
    if not require_subprotocol:
        accepted = _accept_plainly(headers, compression)
        if accepted is not None:
            return accepted
    if sum(len(value) for name, value in headers if name.lower() in _OFFERS) > MAX_OFFER:
        raise HandshakeRefusedError(431, f"the handshake offers more than {MAX_OFFER} characters")
    try:
        request = Request("/", Headers(headers))
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
            f"WebSocket version '{printable(', '.join(versions))}' is not spoken here, 13 is",
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
        told = {name: value for name, value in response.headers.raw_items() if name == "Upgrade"}
        raise HandshakeRefusedError(response.status_code, " ".join(response.body.decode().split()), told)
    agreement = find_agreement(negotiation.extensions)
    # Without the date, which a 101 may do without (RFC 9110 §6.6.1) and which takes a while to write.
    kept = [(name, value) for name, value in response.headers.raw_items() if name != "Date"]
    return Accepted(kept, negotiation.subprotocol, agreement)


def _accept_plainly(headers: list[tuple[str, str]], compression: Compression | None) -> Accepted | None:
    """Return the answer to a handshake in which nothing is unusual and nothing to be agreed on; None for any other.

    Most are so, and `websockets`, which takes ten times as long, would answer the same.
    """
    found = {name.lower(): value for name, value in headers}
    if (
        len(found) != len(headers)
        or found.get("upgrade", "").lower() != "websocket"
        or found.get("connection", "").lower() not in ("upgrade", "keep-alive, upgrade")
        or found.get("sec-websocket-version") != "13"
        or not _KEY.fullmatch(found.get("sec-websocket-key", ""))
        or not found.keys().isdisjoint(_TO_BE_EXAMINED)
        or (compression is not None and "sec-websocket-extensions" in found)
    ):
        return None
    answer = [
        ("Upgrade", "websocket"),
        ("Connection", "Upgrade"),
        ("Sec-WebSocket-Accept", accept_key(found["sec-websocket-key"])),
    ]
    return Accepted(answer, None, None)


def encode_response(headers: Iterable[tuple[str, str]]) -> bytes:
    """Return the head of the 101 response as it goes on the wire."""
    lines = [f"{name}: {value}\r\n" for name, value in headers]
    return ("HTTP/1.1 101 Switching Protocols\r\n" + "".join(lines) + "\r\n").encode("latin-1")
