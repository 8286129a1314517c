"""One socket on the hub: bytes in and bytes out, without ever waiting.

A read watcher stays on for as long as its bytes are wanted. Everything that leaves goes through one queue, the
outbox, and one function, `_send`; what the kernel does not take waits for a write watcher.
"""

from __future__ import annotations

import contextlib
import logging
import ssl
from collections.abc import Callable
from socket import AF_UNIX, IPPROTO_TCP, SHUT_WR, TCP_NODELAY
from typing import Any, Final

import gevent
from gevent.event import Event
from gevent.ssl import SSLSocket

from ..errors import WouldBlockError
from ..hub.io import get_hub_io, hub_callback, report_fault
from ..settings import Settings
from . import tracing
from .states import CLOSED, CONNECTING, OPEN, State

HIGH_WATER: Final = 64 * 1024
"""Bytes in an outbox above which its client is behind, and sending to oneself waits."""

FLUSH_SIZE: Final = 32 * 1024
"""Bytes in an outbox that are sent at once: by the end of the turn they would be out of the processor's cache."""

SMALL_READ: Final = 4096
"""Bytes to read at a time, but for large frames. So small a buffer stays in the cache, which is worth five per cent of
a short message, and a flood of tiny frames holds the hub up for no more than two milliseconds at a time."""

_READ, _WRITE = 1, 2
_WOULD_BLOCK = (BlockingIOError, InterruptedError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


class Transport:
    """Methods are for the hub's thread: its greenlets and callbacks.

    Args:
        settings: limits and deadlines.
    """

    __slots__ = (
        "_blocked",
        "_changed",
        "_dirty",
        "_expected",
        "_outbox",
        "_paused",
        "_read_watcher",
        "_settings",
        "_socket",
        "_tls",
        "_unsent",
        "_write_watcher",
        "io",
        "outbox_size",
        "state",
    )

    def __init__(self, settings: Settings) -> None:
        self.io = get_hub_io()
        self.state = CONNECTING
        self.outbox_size = 0
        """Bytes that wait to be sent."""
        self._settings = settings
        self._outbox: list[bytes] = []
        self._unsent: memoryview | None = None
        """What the kernel did not take of the last send; goes out before the outbox."""
        self._dirty = True
        """Whether somebody is going to flush: until there is a socket, `_attach` will."""
        self._blocked = False
        """Whether a write watcher waits for the kernel to take more."""
        self._paused = False
        self._expected = 0
        """Bytes of a large frame that are about to come: only large frames are read in large pieces."""
        self._changed: Event | None = None
        self._socket: Any = None
        self._tls = False
        self._read_watcher: Any = None
        self._write_watcher: Any = None

    @property
    def stall_timeout(self) -> float:
        """Seconds for which a peer that is waited for may read nothing."""
        return self._settings.ping_timeout

    def _receive_data(self, data: bytes | memoryview) -> None:
        """Bytes have come from the peer."""
        raise NotImplementedError

    def _caught_up(self) -> None:
        """Go on when the kernel has taken everything, after a time in which it took nothing."""
        raise NotImplementedError

    def _end_lost(self) -> None:
        """End because the peer is gone, with the socket closed already."""
        raise NotImplementedError

    def end_slow(self) -> None:
        """End because the peer does not read: more than `max_outbox_size` waits for it."""
        raise NotImplementedError

    def crash(self) -> None:
        """End after a fault of gws itself."""
        raise NotImplementedError

    # Sending

    def queue(self, frame: bytes) -> bool:
        """Queue a frame and return at once; False when the connection takes no more.

        A peer with more than `max_outbox_size` waiting does not read: it is dropped, and nobody else notices.
        """
        state = self.state
        if state is not OPEN and state is not CONNECTING:
            return False
        if self.outbox_size > HIGH_WATER and not self._make_room():
            return False
        self._outbox.append(frame)
        self.outbox_size += len(frame)
        if self.outbox_size >= FLUSH_SIZE and self.io.send_space >= 0:
            if self._socket is not None and not self._blocked:
                self._send()
        elif not self._dirty:
            self._dirty = True
            self.io.flush_soon(self)
        return True

    def flush(self) -> None:
        """Send what is queued, as far as the kernel takes it."""
        self._dirty = False
        if self._outbox and not self._blocked:
            self._send()

    def drain(self) -> None:
        """Wait while the peer is behind, for as long as it reads. Any greenlet; another thread does not wait.

        Raises:
            WouldBlockError: the caller is a coroutine or a callback of the hub, which may not wait.
        """
        while self.io.is_current() and self.is_behind():
            if not self.io.may_wait():
                raise WouldBlockError(
                    "the client reads slower than this coroutine sends: "
                    "write `await ws.async_send(...)` or `await ws.async_send_to(...)`, which wait for it"
                )
            if not self._wait_until(self._sees_progress(), self.stall_timeout):
                self.end_slow()

    def is_behind(self) -> bool:
        """Return whether more than the high-water mark waits, the kernel having taken what it would."""
        if self.outbox_size > HIGH_WATER and self.state is OPEN:
            self._send()
        return self.outbox_size > HIGH_WATER and self.state is OPEN

    def changed(self) -> Event:
        """Return an event that is set when the kernel takes more, or the connection's state changes."""
        if self._changed is None:
            self._changed = Event()
        return self._changed

    def _make_room(self) -> bool:
        """Send once more, though the kernel took nothing, before an outbox is full; give the peer up if it stays so."""
        if self._socket is not None and self.outbox_size > self._settings.max_outbox_size:
            self._send()
        if self.outbox_size > self._settings.max_outbox_size:
            self.end_slow()
            return False
        return self.state is not CLOSED

    def _send(self) -> None:
        """Send until the kernel takes no more. The one place that writes to the socket."""
        outbox = self._outbox
        data: bytes | memoryview
        while self._unsent is not None or outbox:
            if self._unsent is not None:
                data = self._unsent
                self._unsent = None
            elif len(outbox) == 1:
                data = outbox.pop()
            else:
                data = b"".join(outbox)
                outbox.clear()
            size = len(data)
            try:
                sent = self._socket.send(data)
            except _WOULD_BLOCK:
                sent = 0
            except OSError:
                self._lose()
                return
            self.outbox_size -= sent
            self.io.send_space -= sent
            if sent < size:
                self._unsent = memoryview(data)[sent:]
                self._watch_for_room()
                return
        if self._blocked:
            self._blocked = False
            self._write_watcher.stop()
            self._caught_up()

    def _watch_for_room(self) -> None:
        if not self._blocked:
            self._blocked = True
            if self._write_watcher is None:
                self._write_watcher = self.io.loop.io(self._socket.fileno(), _WRITE)
            self._write_watcher.start(self._on_writable)

    @hub_callback
    def _on_writable(self) -> None:
        self._send()
        self._tell()

    # Receiving

    def _attach(self) -> None:
        """Begin to read from, and to write to, the socket."""
        socket = self._socket
        if socket.family != AF_UNIX:
            # Else a second small frame waits for the peer's delayed acknowledgement of the first: 40 ms.
            with contextlib.suppress(
                OSError
            ):  # Some systems refuse when the peer is gone; reading will tell.
                socket.setsockopt(IPPROTO_TCP, TCP_NODELAY, 1)
        self._tls = isinstance(socket, SSLSocket)
        if tracing.logger.isEnabledFor(logging.DEBUG):
            self._socket = tracing.TracedSocket(socket)
        self._enter(OPEN)
        self._read_watcher = self.io.loop.io(socket.fileno(), _READ)
        self._read_watcher.start(self._on_readable)
        self._look_for_decrypted()
        self.flush()

    def _on_readable(self) -> None:
        # Guarded here and not with `hub_callback`: every message passes, and a call is two per cent of its way.
        try:
            data = self._read_much() if self._expected else self._socket.recv(SMALL_READ)
            if data:
                self._receive_data(data)
            else:
                self._lose()
        except _WOULD_BLOCK:
            return
        except OSError:
            self._lose()
        except Exception as error:
            report_fault(error)
            self.crash()
        if self._tls:
            self._look_for_decrypted()

    def _read_much(self) -> memoryview:
        buffer = self.io.buffer
        size: int = self._socket.recv_into(buffer, min(len(buffer), self._expected + SMALL_READ))
        self._expected = 0
        return buffer[:size]

    def _look_for_decrypted(self) -> None:
        """Read on soon if a TLS socket holds bytes that it has decrypted, which the poll does not see."""
        if self._tls and self._socket is not None and self._socket.pending():
            self.io.loop.run_callback(self._on_decrypted)

    @hub_callback
    def _on_decrypted(self) -> None:
        if self._socket is not None and not self._paused and self._socket.pending():
            self._on_readable()

    def _pause_reading(self) -> None:
        """Leave what comes to TCP, which holds the peer back."""
        self._paused = True
        self._read_watcher.stop()

    def _resume_reading(self) -> None:
        if self._paused and self._socket is not None:
            self._paused = False
            self._read_watcher.start(self._on_readable)
            self._look_for_decrypted()

    # Ending

    def _shut_down(self) -> None:
        """FIN: the peer sees the end, and may still send."""
        try:
            self._socket.shutdown(SHUT_WR)
        except OSError:
            self._lose()

    def _lose(self) -> None:
        self._release()
        self._end_lost()

    def _release(self) -> None:
        """Close the socket, its watchers first, and let go of what was queued. Idempotent."""
        if self.state is CLOSED:
            return
        self._enter(CLOSED)
        for watcher in (self._read_watcher, self._write_watcher):
            if watcher is not None:
                watcher.stop()
                watcher.close()
        if self._socket is not None:
            self._socket.close()
        self._socket = self._read_watcher = self._write_watcher = self._unsent = None
        self._outbox.clear()
        self.outbox_size = 0
        self._tell()

    def _enter(self, state: State) -> None:
        self.state = state
        if isinstance(self._socket, tracing.TracedSocket):
            self._socket.note_state(state.name)

    # Waiting

    def _wait_until(self, condition: Callable[[], bool], seconds: float) -> bool:
        """Wait in a greenlet for a condition, looking at each change; False when the time is over first."""
        if condition():
            return True
        deadline = gevent.Timeout(seconds)
        try:
            with deadline:
                while not condition():
                    self.changed().wait()
        except gevent.Timeout as timeout:
            if timeout is not deadline:
                raise
        return condition()

    def _sees_progress(self) -> Callable[[], bool]:
        before = self.outbox_size
        return lambda: self.outbox_size != before

    def _tell(self) -> None:
        """Let those who wait for a change look again."""
        if self._changed is not None:
            changed, self._changed = self._changed, None
            changed.set()
