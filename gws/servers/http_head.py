"""A request's head as RFC 9112 has it, up to a bound: its line, its headers, and what they say of the body.

Strict where two readers could understand it in two ways: a proxy in front may be the other one (RFC 9112 §11.2).
All expressions take linear time: what may repeat never begins with what came before it.
"""

from __future__ import annotations

import re
from typing import Any, Final, NamedTuple

from gevent.pywsgi import OldMessage

MAX_HEADERS: Final = 100
"""Lines of a head: gunicorn's and Python's own bound."""

_REQUEST_LINE = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+) ([^\0-\x20\x7f]+) (HTTP/1\.[0-9])\r?\n")
"""RFC 9112 §3: one SP between the parts, and no other blank anywhere."""
_HEADER = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*([^\0-\x20\x7f][^\0-\x08\n-\x1f\x7f]*)?\r?\n")
"""RFC 9112 §5: a token before the colon, and no line that goes on. The value begins with what no blank is, so that
there is one way only to read the blanks before it."""
_LENGTH = re.compile(r"[0-9]{1,18}")
"""Bytes of a body, fewer than 2^63."""


class BadHeadError(ValueError):
    """The head is none; the request is answered with `status`, and its connection ends."""

    status = "400 Bad Request"


class HeadTooLargeError(BadHeadError):
    """The head is larger than the server takes (RFC 6585 §5)."""

    status = "431 Request Header Fields Too Large"


class LineTooLongError(BadHeadError):
    """The request line alone is larger than the server takes (RFC 9110 §15.5.15)."""

    status = "414 URI Too Long"


class RequestLine(NamedTuple):
    """The first line of a request."""

    method: str
    target: str
    version: str


def parse_request_line(line: bytes) -> RequestLine:
    """Parse the first line of a request (RFC 9112 §3).

    Raises:
        BadHeadError: it is none of HTTP/1.
    """
    found = _REQUEST_LINE.fullmatch(line)
    if found is None:
        raise BadHeadError("the request line is none of HTTP/1")
    return RequestLine(*(part.decode("latin-1") for part in found.groups()))


def read_headers(rfile: Any, max_size: int) -> OldMessage:
    """Read the headers of a request, up to and with the blank line.

    Args:
        rfile: has `readline(limit)`.
        max_size: bytes that they may have in all.

    Raises:
        HeadTooLargeError: they are more.
        BadHeadError: there is a line that is no header, or the client has closed before the blank line.
    """
    message = OldMessage()
    left = max_size
    for _ in range(MAX_HEADERS + 1):
        line = rfile.readline(left + 1)
        left -= len(line)
        if left < 0:
            raise HeadTooLargeError(
                f"the request's head is over the bound, which leaves {max_size} bytes to its headers"
            )
        if line in (b"\r\n", b"\n"):
            return message
        header = _HEADER.fullmatch(line)
        if header is None:
            raise BadHeadError("a line of the request's head is no header, or cut short")
        message[header[1].decode("latin-1")] = (header[2] or b"").rstrip(b" \t").decode("latin-1")
    raise HeadTooLargeError(f"the request's head has more than {MAX_HEADERS} lines")


def body_length(version: str, headers: OldMessage) -> int | None:
    """Return the bytes of a request's body; None if it comes in chunks (RFC 9112 §6.3).

    Raises:
        BadHeadError: a proxy in front might see the body's end elsewhere (RFC 9112 §11.2).
    """
    lengths = headers.get_all("Content-Length", [])
    codings = headers.get_all("Transfer-Encoding", [])
    if len(lengths) + len(codings) > 1:
        raise BadHeadError("the request's body has more than one length")
    if codings:
        # "A server or client that receives an HTTP/1.0 message containing a Transfer-Encoding header field MUST treat
        # the message as if the framing is faulty" (RFC 9112 §6.1)
        if codings[0].lower() != "chunked" or version == "HTTP/1.0":
            raise BadHeadError("the request's body has a transfer coding that is not understood here")
        return None
    if not lengths:
        return 0
    if not _LENGTH.fullmatch(lengths[0]):
        raise BadHeadError("the length of the request's body is no number of bytes")
    return int(lengths[0])


def is_kept(version: str, headers: OldMessage) -> bool:
    """Return whether the connection stays open for another request (RFC 9112 §9.3)."""
    options = {
        option.strip().lower() for value in headers.get_all("Connection", []) for option in value.split(",")
    }
    if version == "HTTP/1.0":
        return "keep-alive" in options and "close" not in options
    return "close" not in options
