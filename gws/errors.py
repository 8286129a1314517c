"""Every exception of gws, each with the close code or HTTP status that it becomes."""

from __future__ import annotations

from typing import Any, Final

from .printable import MAX_LENGTH, printable

MAX_MESSAGE: Final = 9 * MAX_LENGTH
"""Characters of a refusal: an origin and what it was compared with, each written with four for one, and a sentence."""


class GwsError(Exception):
    """What every exception of gws is."""


class ConfigurationError(GwsError):
    """The application cannot run as it is configured: the server ends at its start, with the message."""


class BackplaneError(ConfigurationError):
    """The backplane cannot work as it is configured; the message names the URL without its password."""


class BadEnvelopeError(GwsError):
    """Bytes from another node that are no envelope, or one of another version: they are dropped and counted."""


class ProtocolError(GwsError):
    """The peer broke RFC 6455: the connection fails with `code`.

    The message is sent as the reason of the Close frame, so it stays under 123 bytes and never quotes input.
    """

    code = 1002


class InvalidPayloadError(ProtocolError):
    """Text that is not UTF-8 (RFC 6455 §8.1)."""

    code = 1007


class MessageTooBigError(ProtocolError):
    """A message over the limit (RFC 6455 §7.4.1)."""

    code = 1009


class ConnectRefusedError(GwsError):
    """The connect handler has answered the handshake itself, in plain HTTP.

    Args:
        answer: what a Flask view may return, such as a `Response` or ("no", 401).
    """

    def __init__(self, answer: Any) -> None:
        super().__init__("the connect handler refuses the handshake")
        self.answer = answer


class HandshakeRefusedError(GwsError):
    """The opening handshake is answered with a plain HTTP `status` (RFC 6455 §4.2.2).

    Args:
        status: HTTP status code.
        message: one line for the response's body and for the log; what a stranger sent may stand in it.
        headers: response headers that the status calls for.
    """

    def __init__(self, status: int, message: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(printable(message, MAX_MESSAGE))
        self.status = status
        self.headers = headers or {}


class UnsendableError(GwsError, TypeError):
    """A message of the application's is of a type that cannot be sent."""


class HandlerError(GwsError):
    """A handler returned what cannot be sent: like any error in a handler, it closes with 1011."""


class BadMessageError(GwsError):
    """A client's message that its handler cannot use; where nobody catches it, the connection closes with `code`.

    The message is sent as the reason of the Close frame, so it stays under 123 bytes and never quotes input.
    """

    code = 1007


class NotJSONError(BadMessageError, ValueError):
    """`ws.receive_json` has received what is no JSON."""


class InvalidMessageError(BadMessageError, ValueError):
    """A message that does not fit the type that its handler asks for.

    Args:
        detail: what was expected, and where; for the client, and not for a log, since it may quote a name.
    """

    def __init__(self, detail: str) -> None:
        super().__init__("invalid message")
        self.detail = detail


class WrongMessageTypeError(BadMessageError, TypeError):
    """`ws.receive_text` has received binary, or `ws.receive_bytes` text (RFC 6455 §7.4.1); a TypeError as Robyn's."""

    code = 1003


class WebSocketDisconnect(GwsError):  # noqa: N818 - Robyn's name, and Starlette's
    """The connection has ended: raised where a receive loop receives or sends; a handler may let it pass.

    Args:
        code: the close code (RFC 6455 §7.4.1); 1006 when the connection was lost.
        reason: what came with it.
    """

    def __init__(self, code: int = 1000, reason: str = "") -> None:
        super().__init__(code, reason)
        self.code = code
        self.reason = reason


class TooManyRoomsError(GwsError):
    """A connection joins more rooms than `max_rooms`; a handler that lets it pass closes its connection with 1011."""


class WouldBlockError(GwsError, RuntimeError):
    """A call that has to wait was made where nothing may wait: in a coroutine or a hub callback."""


class RefusedError(GwsError):
    """In a test: the server has not opened the WebSocket, and answered in plain HTTP.

    Args:
        response: the answer, as Flask's test client has it: `.status_code`, `.text`, `.json`, `.headers`.

    Attributes:
        status: the HTTP status code.
        body: the answer's text.
    """

    def __init__(self, response: Any) -> None:
        self.response = response
        self.status: int = response.status_code
        self.body: str = response.text
        super().__init__(
            f"{response.request.path} answers {response.status}: {printable(self.body.strip(), MAX_MESSAGE)}"
        )


class ClosedError(GwsError):
    """In a test: the WebSocket is closed, and nothing is left to receive.

    Args:
        code: of the Close frame (RFC 6455 §7.4); 1006 if the connection was lost without one.
        reason: of the Close frame.
    """

    def __init__(self, code: int, reason: str) -> None:
        self.code = code
        self.reason = reason
        super().__init__(f"the WebSocket is closed with {code} {printable(reason)}".rstrip())
