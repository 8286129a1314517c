"""One socket on the hub: bytes in and bytes out, without ever waiting.

A read watcher stays on for as long as its bytes are wanted. Everything that leaves goes through the outbox, and one
function, `_send`; what the kernel does not take waits for a write watcher.
"""

from __future__ import annotations

import contextlib
import logging
import ssl
from socket import AF_UNIX, IPPROTO_TCP, SHUT_WR, TCP_NODELAY
from typing import Any, Final

from gevent.event import Event
from gevent.ssl import SSLSocket

from ..hub.callbacks import hub_callback, report_fault
from ..hub.io import get_hub_io
from ..settings import Settings
from . import tracing
from .outbox import Outbox
from .states import CLOSED, HANDSHAKE, NEXT, OPEN, State

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
        "_paused",
        "_read_watcher",
        "_socket",
        "_tls",
        "_write_watcher",
        "io",
        "outbox",
        "settings",
        "state",
    )

    def __init__(self, settings: Settings) -> None:
        self.io = get_hub_io()
        self.state = HANDSHAKE
        self.outbox = Outbox()
        self.settings = settings
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
        return self.settings.ping_timeout

    def _receive_data(self, data: bytes | memoryview) -> None:
        """Bytes have come from the peer."""
        raise NotImplementedError

    def _on_caught_up(self) -> None:
        """Go on when the kernel has taken everything, after a time in which it took nothing."""
        raise NotImplementedError

    def _on_connection_lost(self) -> None:
        """End because the peer is gone."""
        raise NotImplementedError

    def drop_slow_consumer(self) -> None:
        """End because the peer does not read: more than `max_outbox_size` waits for it."""
        raise NotImplementedError

    def fail_internally(self) -> None:
        """End after a fault of gws itself."""
        raise NotImplementedError

    # Sending

    def queue(self, frame: bytes) -> bool:
        """Queue a frame and return at once; False when the connection takes no more.

        A peer with more than `max_outbox_size` waiting does not read: it is dropped, and nobody else notices.
        """
        state = self.state
        if state is not OPEN and state is not HANDSHAKE:
            return False
        outbox = self.outbox
        if outbox.size > HIGH_WATER and not self._make_room():
            return False
        outbox.queue_last(frame)
        if outbox.size >= FLUSH_SIZE and self.io.send_space >= 0:
            if self._socket is not None and not self._blocked:
                self._send()
        elif not self._dirty:
            self._dirty = True
            self.io.flush_soon(self)
        return True

    def flush(self) -> None:
        """Send what is queued, as far as the kernel takes it."""
        self._dirty = False
        if self.outbox.size and not self._blocked:
            self._send()

    def is_behind(self) -> bool:
        """Return whether more than the high-water mark waits, the kernel having taken what it would."""
        if self.outbox.size > HIGH_WATER and self.state is OPEN:
            self._send()
        return self.outbox.size > HIGH_WATER and self.state is OPEN

    def changed(self) -> Event:
        """Return an event that is set when the kernel takes more, or the connection's state changes."""
        if self._changed is None:
            self._changed = Event()
        return self._changed

    def _make_room(self) -> bool:
        """Send once more, though the kernel took nothing, before an outbox is full; give the peer up if it stays so."""
        if self._socket is not None and self.outbox.size > self.settings.max_outbox_size:
            self._send()
        if self.outbox.size > self.settings.max_outbox_size:
            self.drop_slow_consumer()
            return False
        return self.state is not CLOSED

    def _send(self) -> None:
        """Send until the kernel takes no more. The one place that writes to the socket."""
        outbox = self.outbox
        while outbox.size:
            data = outbox.take()
            try:
                count = self._socket.send(data)
            except _WOULD_BLOCK:
                count = 0
            except OSError:
                self._on_connection_lost()
                return
            self.io.send_space -= count
            if not outbox.sent(data, count):
                self._watch_for_room()
                return
        if self._blocked:
            self._blocked = False
            self._write_watcher.stop()
            self._on_caught_up()

    def _watch_for_room(self) -> None:
        if not self._blocked:
            self._blocked = True
            if self._write_watcher is None:
                self._write_watcher = self.io.loop.io(self._socket.fileno(), _WRITE)
            self._write_watcher.start(self._on_writable)

    @hub_callback
    def _on_writable(self) -> None:
        self._send()
        self._notify()

    # Receiving

    def _attach(self) -> None:
        """Begin to read from, and to write to, the socket."""
        socket = self._socket
        if socket.family != AF_UNIX:
            # Else a second small frame waits for the peer's delayed acknowledgement of the first: 40 ms.
            # Some systems refuse when the peer is gone; reading will tell.
            with contextlib.suppress(OSError):
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
                self._on_connection_lost()
        except _WOULD_BLOCK:
            return
        except OSError:
            self._on_connection_lost()
        except Exception as error:
            report_fault(error)
            self.fail_internally()
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
            self._on_connection_lost()

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
        self._socket = self._read_watcher = self._write_watcher = None
        self.outbox.clear()
        self._notify()

    def _enter(self, state: State) -> None:
        if state not in NEXT[self.state]:
            raise RuntimeError(f"a connection that is {self.state.name} does not become {state.name}")
        self.state = state
        if isinstance(self._socket, tracing.TracedSocket):
            self._socket.note_state(state.name)

    def _notify(self) -> None:
        """Have those who wait for a change look again."""
        if self._changed is not None:
            changed, self._changed = self._changed, None
            changed.set()
