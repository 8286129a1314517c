"""One WebSocket: its inbox, keepalive, deadlines and close, on top of its transport.

The hub's callbacks parse what comes and answer control frames; data messages wait in the inbox for the connection's
own greenlet, which takes them in batches with `receive` and is switched to by nobody but this connection.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterable
from time import monotonic
from typing import Any, Final

import gevent

from ..errors import ProtocolError
from ..hub.io import TURN, hub_callback
from ..hub.timers import Slot
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
from ..protocol.messages import LEAST_SIZE, Message, MessageReader
from ..settings import Settings
from .states import CLOSED, CLOSING, FAILED, LOST, OPEN, OURS, PEER, Ending
from .tracing import TracedSocket
from .transport import HIGH_WATER, SMALL_READ, Transport

BATCH_SIZE: Final = 256
"""Messages that a greenlet handles, at the most, before the other connections have their turn."""
LONGEST_STRIDE: Final = 8
"""Messages between two looks at the clock."""
MAX_INBOX_SIZE: Final = 1024 * 1024
"""Bytes of memory that messages take which wait for a handler that is busy; the one that exceeds it is the last. Then
reading stops, and TCP holds the peer back."""
MAX_INBOX_MESSAGES: Final = MAX_INBOX_SIZE // LEAST_SIZE
"""How many these may be if they are short, and not weighed."""
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
        "_greenlet",
        "_has_read",
        "_has_turn",
        "_heard",
        "_inbox",
        "_late_pong",
        "_next_ping",
        "_on_ending",
        "_peer_closed",
        "_reader",
        "_slot",
        "_timer",
        "_turn_ends",
        "_unanswered_since",
        "_waiting",
        "close_code",
        "close_reason",
        "ending",
        "is_hidden",
    )

    def __init__(self, settings: Settings, on_ending: Callable[[], object]) -> None:
        super().__init__(settings)
        self.ending: Ending | None = None
        self.close_code: int | None = None
        self.close_reason: str | None = None
        self.is_hidden = True
        """Whether nobody else reaches the connection, be it in rooms: its connect handler has not finished, or it is
        over."""
        self._on_ending = on_ending
        self._inbox: list[Message] = []
        self._reader: MessageReader | None = None
        self._greenlet: Any = None
        self._waiting = False
        """Whether the greenlet waits in `receive` for messages or the end, and may be switched to."""
        self._has_turn = True
        """Whether it does not wait for its turn."""
        self._turn_ends = 0.0
        self._peer_closed = False
        """Whether nothing more is to be had from the peer: its Close, or nonsense, has come."""
        self._late_pong: bytes | None = None
        """The answer to the last ping of a peer that is behind."""
        self._heard = False
        """Whether the peer has sent anything since the keepalive last looked."""
        self._has_read = False
        """Whether the peer has made room for more since then."""
        self._next_ping = 0.0
        self._unanswered_since: float | None = None
        """When the first ping was sent that nothing has come after."""
        self._timer: Any = None
        """Of the end, once that has begun."""
        self._slot: Slot | None = None
        """With those whose keepalive is due at about the same time."""

    def open(self, socket: Any, head: bytes, received: bytes) -> None:
        """Send the 101 with what is queued behind it, and begin to read.

        Args:
            socket: a non-blocking socket that nobody else uses any more.
            head: the 101's bytes; empty where a server has sent it already.
            received: bytes that came behind the request.
        """
        # `_release` closes it, whatever fails from here on: nobody else has it.
        self._socket = socket
        try:
            reader = self._reader = MessageReader(
                self._inbox,
                self._answer_ping,
                max_message_size=self._settings.max_message_size,
                inflater=self._new_inflater(),
            )
            reader.space = MAX_INBOX_SIZE
            if self.ending is not None:
                reader.discard()
            if head:
                self._outbox.insert(0, head)
                self.outbox_size += len(head)
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

    def adopt(self) -> None:
        """Make the calling greenlet the connection's own, the one that receives and finishes."""
        self._greenlet = gevent.getcurrent()
        self._waiting = False

    def rest_in(self, greenlet: Any) -> None:
        """Have a greenlet, which has not begun and calls `adopt`, wait for the first message or the end."""
        self._greenlet = greenlet
        self._waiting = True
        if self._inbox or self.ending is not None:
            self.io.loop.run_callback(self._wake)

    # Messages in

    def receive(self) -> list[Message]:
        """Return the next messages, in order; none once the connection ends. Own greenlet.

        Raises:
            gevent.Timeout, GreenletExit: aimed at the greenlet by somebody else; the connection is as it was.
        """
        inbox = self._inbox
        if inbox or self._paused:
            self._let_others_run()
            if not inbox:
                self._read_on()
        while not inbox and self.ending is None:
            if self._reader is not None:
                self._reader.space = MAX_INBOX_SIZE
            self._wait()
        batch = inbox[:BATCH_SIZE]
        if len(inbox) > BATCH_SIZE:
            del inbox[:BATCH_SIZE]
        else:
            inbox.clear()
        return batch

    def next_look(self, handled: int) -> int:
        """After how many messages of a turn to look at the clock again; 0 when the turn is over.

        Args:
            handled: how many there were so far. The first one starts the clock: a look takes 40 ns, and is measurable
                at every message of a burst.
        """
        now = monotonic()
        if handled == 1:
            self._turn_ends = now + TURN
        elif now > self._turn_ends:
            return 0
        return handled + min(3 * handled, LONGEST_STRIDE)

    def put_back(self, messages: Iterable[Message]) -> None:
        """Have `receive` return these first, which it has returned before. Own greenlet."""
        self._inbox[:0] = messages

    def take_turn(self) -> None:
        """Switch to the greenlet, which has waited for its turn. In the hub only."""
        self._has_turn = True
        self._greenlet.switch()

    def _let_others_run(self) -> None:
        """In the middle of a burst: wait with the others that have more to do."""
        self._has_turn = False
        self.io.wait_turn(self)
        try:
            while not self._has_turn:
                self.io.switch_to_hub()
        finally:
            if not self._has_turn:
                self._has_turn = True
                self.io.drop_turn(self)

    def _wait(self) -> None:
        # Whoever else switches here only makes `receive` look again.
        self._waiting = True
        try:
            self.io.switch_to_hub()
        finally:
            self._waiting = False

    def _wake(self) -> None:
        """Switch to the greenlet, if it waits in `receive`. In the hub only."""
        if self._waiting:
            self._greenlet.switch()

    def _receive_data(self, data: bytes | memoryview) -> None:
        self._heard = True
        reader = self._reader
        if reader is None:
            return
        try:
            reader.receive_data(data)
        except ProtocolError as error:
            self._receive_nonsense(error)
        if reader.close is not None:
            self._receive_close(reader.close)
        elif len(data) >= SMALL_READ:
            expected = reader.guess_next()
            self._expected = expected if expected > SMALL_READ else 0
        if not self._inbox:
            return
        if reader.space <= 0 and self.ending is None:
            # Before the greenlet looks: it goes on with what is unread when it has handled the rest.
            self._pause_reading()
        if self._waiting:
            self._greenlet.switch()
        if self._inbox and len(self._inbox) > MAX_INBOX_MESSAGES and self.ending is None:
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

    def _receive_nonsense(self, error: ProtocolError) -> None:
        self._peer_closed = True
        self._reader = None
        self._end(FAILED, error.code, str(error))
        self._tell()

    def _receive_close(self, close: Close) -> None:
        self._peer_closed = True
        self._reader = None
        self._end(PEER, close.code, close.reason)
        self._tell()

    def _answer_ping(self, pong: bytes) -> None:
        # A pong waits until a peer that is behind has caught up: it is no reason to drop it. "If an endpoint receives
        # a Ping frame and has not yet sent Pong frame(s) in response to previous Ping frame(s), the endpoint MAY elect
        # to send a Pong frame for only the most recently processed Ping frame" (RFC 6455 §5.5.3).
        if self._blocked and self.outbox_size > HIGH_WATER:
            self._late_pong = pong
        else:
            self.queue(pong)

    # Ending

    def close(self, code: int, reason: str) -> None:
        """End in order: the greenlet ends its handler and then calls `finish`. Idempotent."""
        self._inbox.clear()
        if self._reader is not None:
            self._reader.discard()
        self._end(OURS, code, reason)

    def fail(self, code: int, reason: str) -> None:
        """End at once, without waiting for the peer's Close; one that ends in order already goes on so."""
        self._end(FAILED, code, reason)
        if self.ending is FAILED:
            self._reader = None

    def crash(self) -> None:
        """End after a fault of gws itself."""
        counters["callback_errors"] += 1
        self.fail(INTERNAL_ERROR, "internal error")

    def kill(self) -> None:
        """Say Close and close the socket now, and break off the handler that runs."""
        self._queue_close()
        self._lose()
        if self._greenlet is not None:
            gevent.kill(self._greenlet)

    def finish(self) -> None:
        """Send Close, wait for the peer's or the deadline, FIN. Own greenlet, when nothing is left to say."""
        try:
            self._queue_close()
            self._start_timer(self._settings.close_timeout, self._on_overdue)
            self._wait_for(self._is_finished)
            if self.ending is FAILED and self.state is CLOSING:
                self._shut_down()
                self._resume_reading()
                self._start_timer(min(LINGER, self._settings.close_timeout), self._on_overdue)
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
        return not self.outbox_size and (self._peer_closed or self.ending is not OURS)

    def _end(self, ending: Ending, code: int, reason: str) -> None:
        if self.ending is not None:
            return
        self.ending = ending
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
            self._start_timer(self._settings.close_timeout, self._on_overdue)
        self.io.loop.run_callback(self._wake)

    def _queue_close(self) -> None:
        """Queue the Close frame; nothing goes out behind it."""
        if self.state is OPEN and self.close_code is not None:
            frame = encode_close(Close(self.close_code, self.close_reason or ""))
            self._enter(CLOSING)
            self._outbox.append(frame)
            self.outbox_size += len(frame)
            self._send()

    @hub_callback
    def _on_overdue(self) -> None:
        self._queue_close()
        self._release()

    def _end_lost(self) -> None:
        self._end(LOST, ABNORMAL, "")

    def end_slow(self) -> None:
        if self.ending is None:
            counters["slow_consumers"] += 1
        self._outbox.clear()
        self.outbox_size = len(self._unsent or b"")
        self.fail(POLICY_VIOLATION, "slow consumer")
        self._queue_close()

    def abandon(self) -> None:
        """Leave the peer to the process that this one was forked from, where nothing has ended: nobody is told."""
        self._inbox.clear()
        self._changed = None
        self._release()

    def _release(self) -> None:
        super()._release()
        self._stop_timer()
        self._reader = None

    # Keepalive

    def _start_keepalive(self) -> None:
        interval = self._settings.ping_interval
        if interval is not None and interval < math.inf:
            self._next_ping = monotonic() + interval
            self._keep_alive_at(self._next_ping)

    def _keep_alive_at(self, when: float) -> None:
        settings = self._settings
        shortest = min(settings.ping_interval or settings.ping_timeout, settings.ping_timeout)
        self._slot = self.io.slots.add(self, when, max(shortest / LATENESS, 0.0001))

    @hub_callback
    def keep_alive(self) -> None:
        """Send the ping that is due, and give up a peer that has left one unanswered for too long."""
        now = monotonic()
        timeout = self._settings.ping_timeout
        # Who is behind shows life by reading, not by what it sends.
        behind = self.outbox_size > HIGH_WATER
        if self._has_read or self._paused or (self._heard and not behind):
            self._unanswered_since = None
        self._has_read = self._heard = False
        if self._unanswered_since is not None and now >= self._unanswered_since + timeout:
            self._give_up(behind)
            return
        if now >= self._next_ping:
            self._next_ping = now + (self._settings.ping_interval or timeout)
            self._unanswered_since = self._unanswered_since or now
            if not behind:
                self.queue(_PING)
        due = self._next_ping
        if self._unanswered_since is not None:
            due = min(due, self._unanswered_since + timeout)
        if self.ending is None:
            self._keep_alive_at(max(due, now + 0.001))

    def _give_up(self, behind: bool) -> None:
        if behind:
            self.end_slow()
            return
        counters["keepalive_timeouts"] += 1
        self._release()
        self._end(LOST, ABNORMAL, "keepalive ping timeout")

    def _on_writable(self) -> None:
        self._has_read = True
        super()._on_writable()

    def _caught_up(self) -> None:
        if self._late_pong is not None:
            pong, self._late_pong = self._late_pong, None
            self.queue(pong)

    def _start_timer(self, seconds: float, callback: Callable[[], None]) -> None:
        self._stop_timer()
        self._timer = self.io.loop.timer(seconds)
        self._timer.start(callback, update=True)

    def _stop_timer(self) -> None:
        if self._slot is not None:
            self._slot.pop(self, None)
            self._slot = None
        if self._timer is not None:
            self._timer.stop()
            self._timer.close()
            self._timer = None
