"""A request's body, read as it is framed (RFC 9112 §6, §7.1), slowly enough for the others and fast enough for us.

What cannot be read to its end as it was framed ends its connection: behind it, nobody knows where a request begins.
"""

from __future__ import annotations

import io
import re
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import Any, Final, NoReturn

import gevent
from werkzeug.exceptions import BadRequest, RequestTimeout

from ..hub.io import TURN
from ..hub.threads import poll_once
from ..metrics import counters

PIECE_SIZE: Final = 64 * 1024
"""Bytes that are read at a time: what is announced reserves nothing."""
MAX_CHUNK_LINE: Final = 256
"""Bytes of the line before a chunk. Nobody uses extensions, and "a server ought to limit the total length of chunk
extensions received in a request" (RFC 9112 §7.1.1)."""
MAX_CHUNK_EXTENSIONS: Final = 4 * 1024
"""Bytes of all extensions of a body."""
MAX_TRAILERS: Final = 8 * 1024
"""Bytes behind the last chunk; they are read and dropped."""

PATIENCE: Final = 20.0
"""Seconds to wait for a client that is slower than `LEAST_RATE`: what Apache gives one (mod_reqtimeout:
body=20,MinRate=500), and a bad telephone line keeps up with."""
LEAST_RATE: Final = 500
"""Bytes a second."""

DISCARD_SIZE: Final = 64 * 1024
"""Bytes that are read of a body which the application has not read. With more, a new connection is cheaper."""
DISCARD_TIMEOUT: Final = 1.0
"""Seconds for them to come."""

_CHUNK_LINE = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(;[^\0-\x08\n-\x1f\x7f]*)?\r\n")
_TRAILER = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+:[^\0-\x08\n-\x1f\x7f]*\r\n")


class Turn:
    """Let the others have theirs.

    gevent's sockets wait only when nothing has come, and a client may see to it that something always has.
    """

    __slots__ = ("_began",)

    def __init__(self) -> None:
        self._began = time.monotonic()

    def end(self) -> None:
        """Have the hub look at all sockets if this greenlet has kept it for `TURN`."""
        if time.monotonic() - self._began > TURN:
            poll_once()
            self._began = time.monotonic()


class Patience:
    """Bounds how long a client is waited for: it may use up `PATIENCE`, and earns it back at `LEAST_RATE`.

    Attributes:
        left: seconds that it may still be waited for.
    """

    __slots__ = ("_most", "_seconds_a_byte", "left")

    def __init__(self) -> None:
        self.left = self._most = PATIENCE
        self._seconds_a_byte = 1 / LEAST_RATE

    def count(self, waited: float, size: int) -> None:
        """Count seconds of waiting, and the bytes that have moved in them."""
        self.left = min(self._most, self.left - waited + size * self._seconds_a_byte)

    def limit(self, seconds: float) -> None:
        """Wait no longer than this from now on, whatever comes."""
        self.left = min(self.left, seconds)
        self._seconds_a_byte = 0.0


class Body(io.BufferedIOBase):
    """What a WSGI application reads as `wsgi.input`.

    What it raises in the application Flask answers by itself: 400 for a body that is none, 408 for one that is late.

    Args:
        rfile: the buffered reader of the connection.
        length: bytes of the body; None if it comes in chunks.
        turn: of the connection.
        waiting: makes a context that ends a read with the error it is given, when the server stops and the client sends
            nothing more.
        send_continue: called before the first read, if the client waits to be asked for the body (RFC 9110 §10.1.1). It
            sends nothing when the answer has begun.
    """

    def __init__(
        self,
        rfile: Any,
        length: int | None,
        turn: Turn,
        waiting: Callable[[BaseException], AbstractContextManager[object]],
        send_continue: Callable[[], object] | None = None,
    ) -> None:
        self._rfile = rfile
        self._turn = turn
        self._waiting = waiting
        self._send_continue = send_continue
        self._is_chunked = length is None
        self._left = length or 0
        """Bytes of the body, or of the current chunk, that are to come."""
        self.is_complete = length == 0
        """Whether it has been read to its end, as it was framed."""
        self.error: Exception | None = None
        """Why it cannot be."""
        self._extensions = 0
        self._patience = Patience()

    def readable(self) -> bool:
        """Return True."""
        return True

    def read(self, size: int | None = -1) -> bytes:
        """Read so many bytes, or all that are to come."""
        pieces = []
        left = float("inf") if size is None or size < 0 else size
        while left > 0 and (piece := self.read1(int(min(left, PIECE_SIZE)))):
            pieces.append(piece)
            left -= len(piece)
        return b"".join(pieces)

    def read1(self, size: int = -1) -> bytes:
        """Read what one read of the connection brings, of so many bytes at most; nothing at the body's end.

        Raises:
            BadRequest: the body does not keep to its framing, or the client has closed.
            RequestTimeout: it comes too slowly.
        """
        return self._read(self._rfile.read1, size)

    def readline(self, size: int | None = -1) -> bytes:
        """Read a line, of so many bytes at most."""
        line = b""
        left = float("inf") if size is None or size < 0 else size
        while left > 0 and not line.endswith(b"\n") and (piece := self._read(self._rfile.readline, left)):
            line += piece
            left -= len(piece)
        return line

    def _read(self, read: Callable[[int], bytes], size: float) -> bytes:
        if self.error is not None:
            raise self.error
        if self.is_complete or size == 0:
            return b""
        self._turn.end()
        if self._send_continue is not None:
            send_continue, self._send_continue = self._send_continue, None
            send_continue()
        with self._in_time():
            if not self._left:
                self._begin_chunk()
                if self.is_complete:
                    return b""
            piece = read(int(min(self._left, PIECE_SIZE if size < 0 else size, PIECE_SIZE)))
            if not piece:
                self._fail("the client closed before the end of the request's body")
            self._left -= len(piece)
            self._patience.count(0, len(piece))
            if not self._left:
                self._end_chunk()
        return piece

    @contextmanager
    def _in_time(self) -> Iterator[None]:
        """Bound what is waited for, and keep what goes wrong: there is no reading on behind it."""
        began = time.monotonic()
        late = RequestTimeout("the request's body came too slowly")
        try:
            with self._waiting(late), gevent.Timeout(max(self._patience.left, 0.001), late):
                yield
        except RequestTimeout as error:
            if error is late:
                counters["slow_bodies"] += 1
            self.error = error
            raise
        except BadRequest as error:
            self.error = error
            raise
        except OSError as error:
            self.error = BadRequest(f"the request's body broke off: {error}")
            raise self.error from error
        finally:
            self._patience.count(time.monotonic() - began, 0)

    def _begin_chunk(self) -> None:
        """Read the line before a chunk (RFC 9112 §7.1), and what is behind the last one."""
        line = self._rfile.readline(MAX_CHUNK_LINE)
        found = _CHUNK_LINE.fullmatch(line)
        if found is None:
            self._fail("the request's body has a chunk without a size, or one with a long extension")
        self._extensions += len(found[2] or b"")
        if self._extensions > MAX_CHUNK_EXTENSIONS:
            self._fail("the request's body has more chunk extensions than are read")
        self._left = int(found[1], 16)
        if not self._left:
            self._read_trailers()

    def _read_trailers(self) -> None:
        left = MAX_TRAILERS
        while (line := self._rfile.readline(left)) != b"\r\n":
            left -= len(line)
            if not _TRAILER.fullmatch(line) or left <= 0:
                self._fail("the request's body has a trailer that is none, or too many of them")
        self.is_complete = True

    def _end_chunk(self) -> None:
        if not self._is_chunked:
            self.is_complete = True
        elif self._rfile.read(2) != b"\r\n":
            self._fail("the request's body has a chunk that is not as long as it says")

    def _fail(self, reason: str) -> NoReturn:
        raise BadRequest(reason)

    @property
    def may_be_discarded(self) -> bool:
        """Return whether another request may come behind what is left, as far as the length of that is known."""
        return self.error is None and self._send_continue is None and self._left <= DISCARD_SIZE

    def _discard(self) -> None:
        """Read what the application has not, if it is little and comes at once; `is_complete` says whether it was.

        Named by pywsgi, which calls it behind the answer.
        """
        if self.is_complete or self.error is not None or self._send_continue is not None:
            return
        self._patience.limit(DISCARD_TIMEOUT)
        left = DISCARD_SIZE
        # Nobody waits for it: what goes wrong only ends the connection.
        with suppress(BadRequest, RequestTimeout):
            while left > 0 and (piece := self.read1()):
                left -= len(piece)
