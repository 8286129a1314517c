"""A client's end of one WebSocket, of `websockets`' protocol without I/O, a socket, and a deadline for every wait.

The package's own clients have a thread for each connection; in a process that gevent patches these would be greenlets.
"""

from __future__ import annotations

import collections
import select
import socket
import time
from typing import Final, NamedTuple

from websockets.client import ClientProtocol
from websockets.frames import Frame, Opcode
from websockets.http11 import Request, Response

READ_SIZE: Final = 65536
REPLY_TIMEOUT: Final = 2.0
"""Seconds for the server to read a pong, or the answer to its Close."""
_DATA: Final = (Opcode.TEXT, Opcode.BINARY, Opcode.CONT)


class Closed(NamedTuple):
    """How a WebSocket was closed."""

    code: int
    """Of the server's Close frame (RFC 6455 §7.4); 1006 if the connection was lost without one."""
    reason: str


LOST: Final = Closed(1006, "")


class Wire:
    """One connection; for one greenlet or thread at a time.

    Args:
        connection: a connected socket, which is the wire's from now on.
        protocol: whose handshake is to be sent.

    Attributes:
        messages: those that have come and nobody has taken.
        closed: how it was closed; None while it is open.
        port: of the client's end.
    """

    def __init__(self, connection: socket.socket, protocol: ClientProtocol) -> None:
        self.messages: collections.deque[str | bytes] = collections.deque()
        self.closed: Closed | None = None
        self.port: int = connection.getsockname()[1]
        self._socket = connection
        self._protocol = protocol
        self._response: Response | None = None
        self._pieces: list[bytes | bytearray | memoryview] = []
        """Of a message of which more is to come."""
        self._is_text = False
        self._pings = 0
        self._answered = b""
        """The ping that the server has answered last."""
        # A ping behind a message would wait for the acknowledgement of that.
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def shake_hands(self, handshake: Request, deadline: float) -> Response:
        """Send the request, and return what it is answered with, whatever that is.

        Raises:
            TimeoutError: nothing has come by `deadline`, a time of `time.monotonic`.
            ConnectionError: the server has closed the connection without an answer that is HTTP.
        """
        self._protocol.send_request(handshake)
        self._flush(deadline)
        while self._response is None:
            if self.closed is not None:
                raise ConnectionError(
                    f"the server has closed the connection without an answer to GET {handshake.path}"
                ) from self._protocol.handshake_exc
            if not self.read(deadline):
                raise TimeoutError
        return self._response

    def send(self, message: str | bytes, deadline: float) -> None:
        """Send a message, and read what comes meanwhile: a server that is not read from stops reading.

        Raises:
            TimeoutError: the server has not read it by then.
        """
        if isinstance(message, str):
            self._protocol.send_text(message.encode())
        else:
            self._protocol.send_binary(message)
        self._flush(deadline)

    def ping(self, deadline: float) -> bool:
        """Return whether the server has read all that was sent before, and answered a ping, by then."""
        self._pings += 1
        ping = b"%d" % self._pings
        if self.closed is None:
            self._protocol.send_ping(ping)
            self._flush(deadline)
        while self._answered != ping and self.closed is None:
            if not self.read(deadline):
                return False
        return True

    def close(self, code: int, reason: str, deadline: float) -> bool:
        """Return whether the server has answered a Close by then, behind the last of its messages."""
        if self.closed is None:
            self._protocol.send_close(code, reason)
            self._flush(deadline)
        return self.wait_closed(deadline)

    def wait_closed(self, deadline: float) -> bool:
        """Return whether it is closed by then."""
        while self.closed is None:
            if not self.read(deadline):
                return False
        return True

    def abort(self) -> None:
        """Close the socket, without a word if nothing was said."""
        self._end(LOST)

    def read(self, deadline: float) -> bool:
        """Read once; return False if nothing has come by then. A time that is over reads what is there."""
        if self.closed is not None:
            return True
        self._socket.settimeout(max(deadline - time.monotonic(), 0))
        data = self._receive()
        if data is None:
            return False
        self._absorb(data)
        # Pongs and the answer to a Close go out though the wait is over.
        self._flush(max(deadline, time.monotonic() + REPLY_TIMEOUT))
        self._end_if_over(data)
        return True

    def _absorb(self, data: bytes) -> None:
        """Hand what has come to the protocol; b"" is the end."""
        if data:
            self._protocol.receive_data(data)
        else:
            self._protocol.receive_eof()
        for event in self._protocol.events_received():
            if isinstance(event, Response):
                self._response = event
            elif isinstance(event, Frame):
                self._take(event)

    def _take(self, frame: Frame) -> None:
        if frame.opcode is Opcode.PONG:
            self._answered = bytes(frame.data)
        elif frame.opcode in _DATA:
            if frame.opcode is not Opcode.CONT:
                self._is_text = frame.opcode is Opcode.TEXT
            self._pieces.append(frame.data)
            if frame.fin:
                message = b"".join(self._pieces)
                self._pieces.clear()
                self.messages.append(message.decode() if self._is_text else message)

    def _end_if_over(self, data: bytes) -> None:
        close = self._protocol.close_rcvd
        if close is not None:
            # The handlers have ended: the server's Close comes behind the close handler.
            self._end(Closed(close.code, close.reason))
        elif not data:
            self._end(LOST)

    def _end(self, closed: Closed) -> None:
        if self.closed is None:
            self.closed = closed
        self._socket.close()

    def _flush(self, deadline: float) -> None:
        while data := b"".join(self._protocol.data_to_send()):
            self._send_all(memoryview(data), deadline)

    def _send_all(self, data: memoryview, deadline: float) -> None:
        while data and self.closed is None:
            try:
                self._socket.settimeout(0)
                data = data[self._socket.send(data) :]
            except BlockingIOError:
                self._wait_for_room(deadline)
            except ConnectionError:
                # What the server has said before is still there to be read.
                return

    def _wait_for_room(self, deadline: float) -> None:
        """Wait until the socket takes more, or something has come."""
        poll = select.poll()
        poll.register(self._socket, select.POLLIN | select.POLLOUT)
        ready = poll.poll(max(deadline - time.monotonic(), 0) * 1000)
        if not ready:
            # A part of a frame is sent: nothing that follows would be understood.
            self._end(LOST)
            raise TimeoutError
        if ready[0][1] & ~select.POLLOUT:
            # Answers to it go out behind what is being sent.
            data = self._receive()
            if data is not None:
                self._absorb(data)
                self._end_if_over(data)

    def _receive(self) -> bytes | None:
        """Return what has come, b"" if that is the end, and None if it is nothing within the socket's timeout."""
        try:
            return self._socket.recv(READ_SIZE)
        except (BlockingIOError, TimeoutError):
            return None
        except ConnectionError:
            return b""
