"""One WebSocket: what is read, how it is kept alive and how it ends, on top of its transport.

The hub's callbacks parse what comes and answer control frames; data messages wait in the inbox for the connection's
own greenlet, which takes them in batches with `receive`. `states` lists all that ends a connection.

Longer than other modules: reading and every way to end set the same fields, and two classes more would cost each idle
connection as much as they would make shorter.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable
from time import monotonic
from typing import Any, Final

import gevent

from ..errors import ProtocolError
from ..hub.callbacks import hub_callback
from ..hub.timers import SharedTimer
from ..metrics import counters
from ..protocol.deflate import Inflater
from ..protocol.frames import (
    ABNORMAL,
    INTERNAL_ERROR,
    POLICY_VIOLATION,
    Close,
    Opcode,
    encode_close,
    encode_frame,
)
from ..protocol.messages import Message, MessageReader
from ..settings import Settings
from .inbox import MAX_INBOX_MESSAGES, MAX_INBOX_SIZE, Inbox
from .keepalive import Keepalive, Verdict
from .states import CLOSED, CLOSING, FAILED, LOST, OPEN, OURS, PEER, Ending
from .tracing import TracedSocket
from .transport import HIGH_WATER, SMALL_READ, Transport

LINGER: Final = 1.0
"""Seconds to read on after a failed connection's FIN: closing over unread bytes would send a reset, and the peer
would lose the Close frame that tells it why."""

LATENESS: Final = 256
"""By no more than this part of its interval is a ping late, to go out with others."""

_PING = encode_frame(Opcode.PING, b"")


class Connection(Transport):
    """Methods are for the hub's thread; those for the connection's own greenlet say so.

    Args:
        settings: limits and deadlines.
        on_ending: called once, as soon as it is known that the connection ends, whatever ends it.
    """

    __slots__ = (
        "_has_read",
        "_heard",
        "_keepalive",
        "_late_pong",
        "_on_ending",
        "_peer_closed",
        "_reader",
        "_shared_timer",
        "_timer",
        "close_code",
        "close_reason",
        "ending",
        "inbox",
        "is_reachable",
    )

    def __init__(self, settings: Settings, on_ending: Callable[[], object]) -> None:
        super().__init__(settings)
        self.inbox = Inbox(self.io)
        self.ending: Ending | None = None
        self.close_code: int | None = None
        self.close_reason: str | None = None
        self.is_reachable = False
        """Whether others may send to it: from `admit` until it begins to end."""
        self._on_ending = on_ending
        self._reader: MessageReader | None = None
        self._peer_closed = False
        """Whether nothing more can come from the peer: its Close, or a violation of the protocol, has come."""
        self._late_pong: bytes | None = None
        """The answer to the last ping of a peer that is behind."""
        self._heard = False
        """Whether the peer has sent anything since the keepalive last looked."""
        self._has_read = False
        """Whether the peer has made room for more since then."""
        self._keepalive: Keepalive | None = None
        self._shared_timer: SharedTimer | None = None
        """With those whose keepalive is due at about the same time."""
        self._timer: Any = None
        """Of the end, once that has begun."""

    def open(self, socket: Any, head: bytes, received: bytes) -> None:
        """Send the 101 with what is queued behind it, and begin to read.

        Args:
            socket: a non-blocking socket that nobody else uses any more.
            head: the 101's bytes; empty where a server has sent it already.
            received: bytes that came behind the request.
        """
        if self.state is CLOSED:
            # It has ended while the 101 was being made.
            socket.close()
            return
        # `_release` closes it, whatever fails from here on: nobody else has it.
        self._socket = socket
        try:
            reader = self._reader = MessageReader(
                self.inbox.messages,
                self._answer_ping,
                max_message_size=self.settings.max_message_size,
                inflater=self._new_inflater(),
            )
            reader.space = MAX_INBOX_SIZE
            if self.ending is not None:
                reader.discard()
            if head:
                self.outbox.queue_first(head)
            self._start_keepalive()
            self._attach()
            if received:
                if isinstance(self._socket, TracedSocket):
                    self._socket.note_received(received)
                self._receive_data(received)
        except BaseException:
            self._release()
            raise

    def _new_inflater(self) -> Inflater | None:
        """For compressed messages, if they were agreed on."""
        return None

    def admit(self) -> bool:
        """Let others send to the connection, once its connect handler has finished; False if it is over by then."""
        self.is_reachable = self.ending is None
        return self.is_reachable

    @property
    def is_joining(self) -> bool:
        """Whether its connect handler runs: only that sends to it."""
        return not self.is_reachable and self.ending is None

    def rest_in(self, greenlet: Any, at_once: bool = False) -> None:
        """Have a greenlet, which has not begun, begin with the first message or the end, or as soon as the hub can."""
        self.inbox.rest_in(greenlet)
        if at_once or self.inbox.messages or self.ending is not None:
            self.inbox.wake_soon()

    # Messages in

    def receive(self) -> list[Message]:
        """Return the next messages, in order; none once the connection ends. Own greenlet.

        Raises:
            gevent.Timeout, GreenletExit: aimed at the greenlet by somebody else; the connection is as it was.
        """
        inbox = self.inbox
        if inbox.messages or self._paused:
            inbox.wait_turn()
            if not inbox.messages:
                self._read_on()
        while not inbox.messages and self.ending is None:
            if self._reader is not None:
                self._reader.space = MAX_INBOX_SIZE
            inbox.wait()
        return inbox.take()

    def poll(self) -> list[Message]:
        """Return the next messages, if there are any yet; whoever waits for them is told by `inbox.notify`."""
        inbox = self.inbox
        if not inbox.messages and self._paused:
            self._read_on()
        if not inbox.messages and self._reader is not None:
            self._reader.space = MAX_INBOX_SIZE
        return inbox.take()

    def _receive_data(self, data: bytes | memoryview) -> None:
        self._heard = True
        reader = self._reader
        if reader is None:
            return
        try:
            reader.receive_data(data)
        except ProtocolError as error:
            self._on_protocol_error(error)
        if reader.close is not None:
            self._on_close_frame(reader.close)
        elif len(data) >= SMALL_READ:
            expected = reader.guess_next()
            self._expected = expected if expected > SMALL_READ else 0
        inbox = self.inbox
        if not inbox.messages:
            return
        if reader.space <= 0 and self.ending is None:
            # Before the greenlet looks: it goes on with what is unread when it has handled the rest.
            self._pause_reading()
        inbox.wake()
        if inbox.messages and len(inbox.messages) > MAX_INBOX_MESSAGES and self.ending is None:
            self._pause_reading()

    @hub_callback
    def _read_on(self) -> None:
        """Go on with what has been received and not read, and then with the socket."""
        reader = self._reader
        self._resume_reading()
        if reader is not None:
            reader.space = MAX_INBOX_SIZE
            if reader.unread:
                self._receive_data(reader.take_unread())

    def _on_protocol_error(self, error: ProtocolError) -> None:
        self._peer_closed = True
        self._reader = None
        self._end(FAILED, error.code, str(error))
        self._notify()

    def _on_close_frame(self, close: Close) -> None:
        self._peer_closed = True
        self._reader = None
        self._end(PEER, close.code, close.reason)
        self._notify()

    def _answer_ping(self, pong: bytes) -> None:
        # A pong waits until a peer that is behind has caught up: it is no reason to drop it. "If an endpoint receives
        # a Ping frame and has not yet sent Pong frame(s) in response to previous Ping frame(s), the endpoint MAY elect
        # to send a Pong frame for only the most recently processed Ping frame" (RFC 6455 §5.5.3).
        if self._blocked and self.outbox.size > HIGH_WATER:
            self._late_pong = pong
        else:
            self.queue(pong)

    # Ending

    def close(self, code: int, reason: str) -> None:
        """End once the greenlet has ended its handler and called `finish`. Idempotent."""
        self.inbox.messages.clear()
        if self._reader is not None:
            self._reader.discard()
        self._end(OURS, code, reason)

    def fail(self, code: int, reason: str) -> None:
        """End without waiting for the peer's Close; what has begun to end already goes on so."""
        self._end(FAILED, code, reason)
        if self.ending is FAILED:
            self._reader = None

    def fail_internally(self) -> None:
        """End after a fault of gws itself."""
        counters["callback_errors"] += 1
        self.fail(INTERNAL_ERROR, "internal error")

    def refuse(self) -> None:
        """End before the handshake is answered: it never opens."""
        self._release()
        self._end(LOST, None, None)

    def abort(self) -> None:
        """Close the socket now, behind a Close if the kernel takes one, and kill the greenlet."""
        self._queue_close()
        self._on_connection_lost()
        if self.inbox.greenlet is not None:
            gevent.kill(self.inbox.greenlet)

    def finish(self) -> None:
        """Send Close, wait for the peer's or the deadline, FIN. Own greenlet, when nothing is left to say."""
        try:
            self._queue_close()
            self._start_timer(self.settings.close_timeout, self._on_close_timeout)
            self._wait_for(self._is_finished)
            if self.ending is FAILED and self.state is CLOSING:
                self._shut_down()
                self._resume_reading()
                self._start_timer(min(LINGER, self.settings.close_timeout), self._on_close_timeout)
                self._wait_for(lambda: self.state is CLOSED)
        finally:
            self._release()

    def _wait_for(self, condition: Callable[[], bool]) -> None:
        """Wait in a greenlet for a condition that holds once the socket is closed, as the timer sees to."""
        while not condition():
            # One that a handler has left running is nothing to the connection.
            with contextlib.suppress(gevent.Timeout):
                self.changed().wait()

    def _is_finished(self) -> bool:
        if self.state is CLOSED:
            return True
        return not self.outbox.size and (self._peer_closed or self.ending is not OURS)

    def _end(self, ending: Ending, code: int | None, reason: str | None) -> None:
        if self.ending is not None:
            return
        self.ending = ending
        self.is_reachable = False
        self.close_code = code
        self.close_reason = reason
        if isinstance(self._socket, TracedSocket):
            self._socket.note_state(self.state.name, f"{ending.name} {code} {reason}".strip())
        self._on_ending()
        self._stop_timer()
        if ending is OURS:
            self._read_on()
        elif self.state is OPEN:
            # A handler that goes on holds the Close back no longer than this.
            self._start_timer(self.settings.close_timeout, self._on_close_timeout)
        self.inbox.wake_soon()

    def _queue_close(self) -> None:
        """Queue the Close frame; nothing goes out behind it."""
        if self.state is OPEN and self.close_code is not None:
            frame = encode_close(Close(self.close_code, self.close_reason or ""))
            self._enter(CLOSING)
            self.outbox.queue_last(frame)
            self._send()

    @hub_callback
    def _on_close_timeout(self) -> None:
        self._queue_close()
        self._release()

    def _on_connection_lost(self) -> None:
        self._release()
        self._end(LOST, ABNORMAL, "")

    def drop_slow_consumer(self) -> None:
        if self.state in (CLOSING, CLOSED):
            # A Close is queued, which is not to be dropped.
            return
        if self.ending is None:
            counters["slow_consumers"] += 1
        self.outbox.drop_queued()
        self.fail(POLICY_VIOLATION, "slow consumer")
        self._queue_close()

    def forget_after_fork(self) -> None:
        """Leave the peer to the process that this one was forked from, where nothing has ended: nobody is told."""
        self.inbox.messages.clear()
        self._changed = None
        self._release()

    def _release(self) -> None:
        super()._release()
        self._stop_timer()
        self._reader = None

    # Keepalive

    def _start_keepalive(self) -> None:
        interval = self.settings.ping_interval
        if interval is not None and interval < math.inf:
            self._keepalive = Keepalive(interval, self.settings.ping_timeout, monotonic())
            self._keep_alive_at(self._keepalive.due)

    def _keep_alive_at(self, when: float) -> None:
        settings = self.settings
        shortest = min(settings.ping_interval or settings.ping_timeout, settings.ping_timeout)
        self._shared_timer = self.io.timers.add(self, when, max(shortest / LATENESS, 0.0001))

    @hub_callback
    def keep_alive(self) -> None:
        """Look at the peer: send the ping that is due, or give it up."""
        assert self._keepalive is not None
        now = monotonic()
        behind = self.outbox.size > HIGH_WATER
        verdict = self._keepalive.look(
            now, heard=self._heard, has_read=self._has_read or self._paused, behind=behind
        )
        self._has_read = self._heard = False
        if verdict is Verdict.GIVE_UP:
            self._on_ping_timeout(behind)
            return
        if verdict is Verdict.PING:
            self.queue(_PING)
        if self.ending is None:
            self._keep_alive_at(max(self._keepalive.due, now + 0.001))

    def _on_ping_timeout(self, behind: bool) -> None:
        if behind:
            self.drop_slow_consumer()
            return
        counters["keepalive_timeouts"] += 1
        self._release()
        self._end(LOST, ABNORMAL, "keepalive ping timeout")

    def _on_writable(self) -> None:
        self._has_read = True
        super()._on_writable()

    def _on_caught_up(self) -> None:
        if self._late_pong is not None:
            pong, self._late_pong = self._late_pong, None
            self.queue(pong)

    def _start_timer(self, seconds: float, callback: Callable[[], None]) -> None:
        self._stop_timer()
        self._timer = self.io.loop.timer(seconds)
        self._timer.start(callback, update=True)

    def _stop_timer(self) -> None:
        if self._shared_timer is not None:
            self._shared_timer.pop(self, None)
            self._shared_timer = None
        if self._timer is not None:
            self._timer.stop()
            self._timer.close()
            self._timer = None
