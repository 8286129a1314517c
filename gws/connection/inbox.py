"""What has come on one connection and waits for its handlers, and the turns of the greenlet that runs them.

The greenlet is switched to by nobody but its connection: by `wake` when it waits for messages, by `take_turn` when it
waits for its turn. While a coroutine receives, its waker takes the greenlet's place.
"""

from __future__ import annotations

from collections.abc import Iterable
from time import monotonic
from typing import Any, Final, Protocol

import gevent

from ..hub.io import TURN, HubIO
from ..protocol.messages import LEAST_SIZE, Message

BATCH_SIZE: Final = 256
"""Messages that a greenlet handles, at the most, before the other connections have their turn."""
LONGEST_STRIDE: Final = 8
"""Messages between two looks at the clock."""
MAX_INBOX_SIZE: Final = 1024 * 1024
"""Bytes of memory that messages take which wait for a handler that is busy; the one that exceeds it is the last. Then
reading stops, and TCP holds the peer back."""
MAX_INBOX_MESSAGES: Final = MAX_INBOX_SIZE // LEAST_SIZE
"""How many these may be if they are short, and not weighed."""


class Waker(Protocol):
    """What is told that something has come, or that the connection ends."""

    def switch(self) -> object:
        """Take note; called in the hub, and named as what greenlets have."""


class Inbox:
    """Messages in the order in which they came, and the greenlet that takes them.

    Args:
        io: of the greenlet's hub.

    Attributes:
        messages: a `MessageReader` appends to them.
        greenlet: the connection's own; None until there is one.
        waiting: who waits for messages or the end, and is switched to: the greenlet, or what `notify` was given.
    """

    __slots__ = ("_has_turn", "_io", "_turn_ends", "greenlet", "messages", "waiting")

    def __init__(self, io: HubIO) -> None:
        self.messages: list[Message] = []
        self.greenlet: Any = None
        self._io = io
        self.waiting: Any = None
        self._has_turn = True
        """Whether it does not wait for its turn."""
        self._turn_ends = 0.0

    def adopt(self) -> None:
        """Make the calling greenlet the connection's own."""
        self.greenlet = gevent.getcurrent()
        self.waiting = None

    def rest_in(self, greenlet: Any) -> None:
        """Have a greenlet, which has not begun and calls `adopt`, wait for the first message or the end."""
        self.greenlet = self.waiting = greenlet

    def notify(self, waker: Waker | None) -> Waker | None:
        """Have somebody told of every change, as long as nobody else waits; return who was told before."""
        before: Waker | None = self.waiting
        self.waiting = waker
        return before

    def take(self) -> list[Message]:
        """Return the next messages, a batch at most."""
        messages = self.messages
        batch = messages[:BATCH_SIZE]
        if len(messages) > BATCH_SIZE:
            del messages[:BATCH_SIZE]
        else:
            messages.clear()
        return batch

    def put_back(self, messages: Iterable[Message]) -> None:
        """Have `take` return these first, which it has returned before."""
        self.messages[:0] = messages

    def wait(self) -> None:
        """Wait until something has changed. Whoever else switches here only makes the caller look again."""
        before, self.waiting = self.waiting, self.greenlet
        try:
            self._io.switch_to_hub()
        finally:
            self.waiting = before

    def wake(self) -> None:
        """Switch to whoever waits for a change. In the hub only."""
        if self.waiting is not None:
            self.waiting.switch()

    def wake_soon(self) -> None:
        """Have the hub call `wake` in its next turn."""
        self._io.loop.run_callback(_wake, self)

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

    def wait_turn(self) -> None:
        """Wait with the others that have more to do, in the middle of a burst. The greenlet itself."""
        self._has_turn = False
        self._io.wait_turn(self)
        try:
            while not self._has_turn:
                self._io.switch_to_hub()
        finally:
            if not self._has_turn:
                self._has_turn = True
                self._io.drop_turn(self)

    def take_turn(self) -> None:
        """Switch to the greenlet, which has waited for its turn. In the hub only."""
        self._has_turn = True
        self.greenlet.switch()


def _wake(inbox: Inbox) -> None:
    # Not the method: of one with a C type Cython makes a function pointer of the wrong type, which GCC 14 refuses.
    inbox.wake()
