"""Guards an application that gevent-websocket's own server runs, as far as an application can.

That server has parsed the head by then. How a body is read, and when the others have their turn, is still ours to say.
"""

from __future__ import annotations

import functools
import logging
import weakref
from collections.abc import Callable, Iterable, MutableMapping
from contextlib import nullcontext
from typing import Any

import gevent
from flask import Flask
from gevent.pywsgi import Input
from werkzeug.exceptions import RequestHeaderFieldsTooLarge
from werkzeug.wsgi import ClosingIterator

from ..printable import printable
from ..settings import from_config
from .http_body import Body, Turn
from .upgrade import EMPTY_INPUT, ENVIRON_KEY

_turns: MutableMapping[Any, Turn] = weakref.WeakKeyDictionary()
"""By the greenlet that serves a TCP connection."""


class _Printable(logging.Filter):
    """Escape what a stranger has sent in the lines of somebody else's log."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = printable(record.getMessage()), None
        return True


_printable = _Printable()


def guarded(app: Flask) -> Callable[[dict[str, Any], Any], Iterable[bytes]]:
    """Return the application's WSGI callable, which guards itself under another pywsgi server than gws's."""
    wsgi_app: Any = app.wsgi_app
    logging.getLogger("geventwebsocket.handler").addFilter(_printable)

    @functools.cache
    def max_head_size() -> int:
        return from_config(app.config, {}).max_head_size

    def application(environ: dict[str, Any], start_response: Any) -> Any:
        body: Any = environ.get("wsgi.input")
        if ENVIRON_KEY in environ or not (isinstance(body, Input) or "wsgi.websocket" in environ):
            return wsgi_app(environ, start_response)
        if "wsgi.websocket" in environ:
            # pywsgi gives frames to whoever reads the body of an upgrade request.
            environ["wsgi.input"], environ["wsgi.input_terminated"] = EMPTY_INPUT, True
        _turns.setdefault(gevent.getcurrent(), Turn()).end()
        if _head_size(environ) > max_head_size():
            return RequestHeaderFieldsTooLarge()(environ, _closing(start_response))
        if not _has_body(environ):
            return wsgi_app(environ, start_response)
        result = wsgi_app(environ, _reading(environ, body, start_response))
        # What has a length is made already, and pywsgi looks for it.
        return result if body.socket is None or hasattr(result, "__len__") else _asking_no_more(body, result)

    return application


def _head_size(environ: dict[str, Any]) -> int:
    return sum(len(value) for value in environ.values() if isinstance(value, str))


def _has_body(environ: dict[str, Any]) -> bool:
    return "wsgi.websocket" not in environ and (
        "HTTP_TRANSFER_ENCODING" in environ or environ.get("CONTENT_LENGTH", "0") != "0"
    )


class _Rest:
    """What pywsgi reads behind an answer, in the place of what is left of the request's body.

    Not before: an application may read the body while its answer is sent.
    """

    def __init__(self, body: Body, rfile: Any) -> None:
        self._body = body
        self._rfile = rfile

    def read(self, size: int) -> bytes:
        """Discard it, or end the connection: behind the rest of a body, nobody knows where a request begins."""
        self._body._discard()
        if not self._body.is_complete:
            # pywsgi looks for no other request on a connection whose reader is closed.
            self._rfile.close()
        # It is called once; and the body may keep the `Input` that keeps this.
        del self._body
        return bytes(size)


def _reading(environ: dict[str, Any], theirs: Any, start_response: Any) -> Any:
    """Put gws's body in the place of pywsgi's.

    Returns:
        A `start_response` that sends `Connection: close` where the connection will end.
    """
    length = None if theirs.chunked_input else theirs.content_length
    ours = Body(
        theirs.rfile,
        length,
        _turns[gevent.getcurrent()],
        lambda late: nullcontext(),
        theirs._send_100_continue if theirs.socket is not None else None,
    )
    environ["wsgi.input"] = ours
    # One byte, to be passed over behind the answer.
    theirs.rfile, theirs.chunked_input, theirs.content_length = _Rest(ours, theirs.rfile), False, 1

    def start(status: str, headers: Any, exc_info: Any = None) -> Any:
        return (start_response if ours.may_be_discarded else _closing(start_response))(
            status, headers, exc_info
        )

    return start


def _asking_no_more(theirs: Any, result: Iterable[bytes]) -> Iterable[bytes]:
    """Have the client not be asked for its body once the answer has begun: amid that it would be a part of it."""

    def note(piece: bytes) -> bytes:
        # pywsgi sends the head with the first piece that has something in it.
        if piece:
            theirs.send_100_continue_enabled = False
        return piece

    return ClosingIterator(map(note, result), getattr(result, "close", None))


def _closing(start_response: Any) -> Any:
    def start(status: str, headers: Any, exc_info: Any = None) -> Any:
        kept = [(name, value) for name, value in headers if name.lower() != "connection"]
        return start_response(status, [*kept, ("Connection", "close")], exc_info)

    return start
