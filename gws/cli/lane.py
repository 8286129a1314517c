"""One connection of `gws bench`: sends a message, and takes the time until the answer."""

from __future__ import annotations

import asyncio
import collections
import time
from collections import Counter
from typing import Any, Final

from websockets.client import ClientProtocol
from websockets.exceptions import InvalidHandshake
from websockets.frames import Frame, Opcode
from websockets.http11 import Response
from websockets.protocol import OPEN

from ..printable import printable
from .latencies import Latencies
from .target import describe_refusal

MAX_WAITING: Final = 1000
MAX_WAITING_BYTES: Final = 64 * 1024 * 1024
"""Messages of a connection that may wait for their answers; one that is due then is not sent, and counted."""
_PING: Final = 0x89
_MESSAGE: Final = (Opcode.CONT, Opcode.TEXT, Opcode.BINARY)


class Tally:
    """What all connections count."""

    def __init__(self) -> None:
        self.latencies = Latencies()
        self.errors: Counter[str] = Counter()
        self.sent = 0
        self.has_begun = False
        """Whether anything has been sent: what comes before that is a greeting, and no answer."""
        self.is_over = False
        """Whether nothing more is to be sent."""


class Lane(asyncio.Protocol):
    """One connection.

    Args:
        protocol: what is said on the wire.
        headers: more of the request.
        message: what to send, a frame for each.
        answer: the frame with which an echo answers.
        tally: where to count.
    """

    def __init__(
        self,
        protocol: ClientProtocol,
        headers: list[tuple[str, str]],
        message: str,
        answer: bytes,
        tally: Tally,
    ) -> None:
        self.opened: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        """Done with "" when the connection is open, and with the reason when it is not going to be."""
        self.has_ended = False
        self.waiting: collections.deque[float] = collections.deque()
        """When each message was due that is not answered."""
        self._protocol = protocol
        self._headers = headers
        # One mask for all (RFC 6455 §5.3 wants new ones): nobody between is to be fooled here.
        self._frame = Frame(Opcode.TEXT, message.encode()).serialize(mask=True)
        self._most_waiting = max(1, min(MAX_WAITING, MAX_WAITING_BYTES // len(self._frame)))
        self._answer = answer
        self._tally = tally
        self._is_echo = True
        """Whether every answer has been an echo of its own, so that no frame need be read to know it."""
        self._is_loop = False
        self._transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask for the upgrade."""
        self._transport = transport
        request = self._protocol.connect()
        for name, value in self._headers:
            request.headers[name] = value
        self._protocol.send_request(request)
        self._flush()

    def send(self, due: float) -> None:
        """Send the message, which was due then by `time.perf_counter`."""
        if len(self.waiting) >= self._most_waiting:
            self._tally.errors[f"not sent: {self._most_waiting} of its connection wait for an answer"] += 1
            return
        self.waiting.append(due)
        self._tally.sent += 1
        self._transport.write(self._frame)

    def send_in_a_loop(self) -> None:
        """Send a message, and the next one whenever an answer comes."""
        self._is_loop = True
        self.send(time.perf_counter())

    def close(self) -> None:
        """Close with 1000."""
        if not self.has_ended and self._protocol.state is OPEN:
            self.has_ended = True
            self._protocol.send_close(1000)
            self._flush()

    def abort(self) -> None:
        """Let go of the socket."""
        self._transport.abort()

    def data_received(self, data: bytes) -> None:
        """Take what comes; an echo by its bytes, which takes a tenth of the time of reading it as frames."""
        if self._is_echo and self.waiting:
            count, rest = divmod(len(data), len(self._answer))
            if not rest and (data == self._answer if count == 1 else data == self._answer * count):
                for _ in range(count):
                    self._take_answer()
                return
        self._read(data)

    def _read(self, data: bytes) -> None:
        # The keepalive's ping leaves nothing behind; after all else the next byte may be in the middle of a frame.
        if not (data[0] == _PING and len(data) == 2 + data[1]) and self._tally.has_begun:
            self._is_echo = False
        self._protocol.receive_data(data)
        for event in self._protocol.events_received():
            if isinstance(event, Response):
                self._finish_opening()
            elif isinstance(event, Frame) and event.opcode in _MESSAGE and event.fin:
                self._take_answer()
        self._flush()

    def _finish_opening(self) -> None:
        error = self._protocol.handshake_exc
        if not self.opened.done():
            self.opened.set_result("" if error is None else describe_refusal(error))

    def _take_answer(self) -> None:
        if not self._tally.has_begun:
            return
        if not self.waiting:
            self._tally.errors["messages that answer nothing"] += 1
            return
        now = time.perf_counter()
        self._tally.latencies.add(now - self.waiting.popleft())
        if self._is_loop and not self._tally.is_over:
            self.send(now)

    def _flush(self) -> None:
        for data in self._protocol.data_to_send():
            if data:
                self._transport.write(data)
            else:
                self._transport.write_eof() if self._transport.can_write_eof() else self._transport.close()

    def eof_received(self) -> None:
        """Let the connection end."""
        self._protocol.receive_eof()
        self._finish_if_refused()

    def _finish_if_refused(self) -> None:
        if not self.opened.done():
            error = self._protocol.handshake_exc or InvalidHandshake("it hung up")
            self.opened.set_result(describe_refusal(error))

    def connection_lost(self, exc: Exception | None) -> None:
        """Count how it ended, if nobody here wanted it to."""
        self._finish_if_refused()
        if self.has_ended or (self._protocol.state is not OPEN and self._protocol.close_rcvd is None):
            self.has_ended = True
            return
        self.has_ended = True
        close = self._protocol.close_rcvd
        if close is None:
            self._tally.errors["connection lost"] += 1
        else:
            reason = f": {printable(close.reason)}" if close.reason else ""
            self._tally.errors[f"closed with {close.code}{reason}"] += 1
