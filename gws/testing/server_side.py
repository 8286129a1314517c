"""What the server knows of the connections of a client: their handlers' errors, their ids and their rooms.

Whose connection a request is says the client's port, so that nothing of a handshake differs from any other client's.
"""

from __future__ import annotations

import collections
import contextlib
import enum
import threading
from typing import Any

import gevent
from flask import (
    Flask,
    got_request_exception,
    has_request_context,
    request,
    request_finished,
    request_started,
)

from ..connection.inbox import Inbox
from ..conversation.connector import WebSocketConnector
from ..conversation.conversation import Conversation
from ..conversation.sockets import Receiver
from ..servers.upgrade import ENVIRON_KEY
from .host import LOOK_TIMEOUT, Host
from .whereabouts import describe, is_in_handler


class Progress(enum.Enum):
    """How far the handlers of a connection are."""

    BUSY = enum.auto()
    """One runs, or a message waits for it."""
    DONE = enum.auto()
    """Every message is handled."""
    ENDING = enum.auto()
    """The connection ends: the close handler runs, or has run."""


class ServerSide:
    """One connection of a client, as the server sees it. Methods are for the test's thread.

    Attributes:
        errors: what its handlers have raised and the test has not, the oldest first.
    """

    def __init__(self, host: Host) -> None:
        self.errors: collections.deque[BaseException] = collections.deque()
        self._host = host
        self._greenlet: Any = None
        """Which runs the connect handler."""
        self._conversation: Conversation | None = None
        self._is_connected = threading.Event()

    def wait_begun(self, timeout: float) -> None:
        """Wait until others reach the connection, whose 101 has come, or its connect handler waits behind that."""
        # The hub answers when the greenlet that has sent the 101 has ended, or waits.
        with contextlib.suppress(TimeoutError):
            self._host.call(int, timeout=timeout)

    def connector(self, timeout: float) -> WebSocketConnector:
        """Return `ws`, as the handlers have it.

        Raises:
            TimeoutError: the connect handler has accepted and runs on.
        """
        if not self._is_connected.wait(timeout):
            raise TimeoutError(f"the connect handler has not ended after {timeout:g} s{self.describe()}")
        assert self._conversation is not None
        return self._conversation.ws

    def progress(self, timeout: float) -> Progress:
        """Return how far the handlers are with what the server has read.

        Raises:
            TimeoutError: the server has not answered for `timeout` seconds.
        """
        return self._host.call(self._progress, timeout=timeout)

    def describe(self) -> str:
        """Return which handler is where, to stand behind what a wait says that was in vain."""
        try:
            where = self._host.call(self._describe, timeout=LOOK_TIMEOUT)
        except TimeoutError:
            where = self._host.describe_block()
        return where and f": {where}"

    # In the hub, or in a greenlet of it

    def begin(self) -> None:
        """Note which greenlet serves the handshake."""
        self._greenlet = gevent.getcurrent()

    def connect(self, conversation: Conversation) -> None:
        """Note that the connect handler has finished."""
        self._conversation = conversation
        self._is_connected.set()

    def owns(self, greenlet: object) -> bool:
        """Return whether a greenlet is that of the conversation."""
        return self._conversation is not None and self._conversation.connection.inbox.greenlet is greenlet

    def _progress(self) -> Progress:
        if self._conversation is None:
            return Progress.BUSY
        connection = self._conversation.connection
        if connection.ending is not None:
            return Progress.ENDING
        return Progress.DONE if _is_idle(connection.inbox) else Progress.BUSY

    def _describe(self) -> str:
        conversation = self._conversation
        if conversation is None:
            greenlet, what = self._greenlet, "the connect handler"
        else:
            inbox = conversation.connection.inbox
            if _is_idle(inbox):
                return ""
            greenlet, what = inbox.greenlet, "a handler"
        frame = None if greenlet is None else greenlet.gr_frame
        if not is_in_handler(frame):
            return ""
        where = describe(frame)
        return f"{what} runs, at {where}" if where else f"{what} runs"


def _is_idle(inbox: Inbox) -> bool:
    """Return whether nothing is left to handle: gws, or a handler that receives, waits for the next message."""
    waits = inbox.waiting is inbox.greenlet or isinstance(inbox.waiting, Receiver)
    return waits and not inbox.messages


class ServerSides:
    """Those of one client's connections, by the ports of their two ends.

    Args:
        app: whose requests they are.
    """

    def __init__(self, app: Flask) -> None:
        self._app = app
        self._sides: dict[tuple[str, str], ServerSide] = {}
        # None of these signals changes what gws does; those of contexts would.
        request_started.connect(self._on_started, app)
        request_finished.connect(self._on_finished, app)
        got_request_exception.connect(self._on_exception, app)

    def add(self, server_port: int, client_port: int, side: ServerSide) -> None:
        """Have a connection known, before its handshake is sent."""
        self._sides[str(server_port), str(client_port)] = side

    def remove(self, side: ServerSide) -> None:
        """Forget a connection."""
        for ports, known in tuple(self._sides.items()):
            if known is side:
                self._sides.pop(ports, None)

    def _find(self) -> ServerSide | None:
        if has_request_context():
            environ = request.environ
            side = self._sides.get((environ.get("SERVER_PORT", ""), environ.get("REMOTE_PORT", "")))
            if side is not None:
                return side
        # Where teardown functions have run, the request's context is gone.
        current = gevent.getcurrent()
        return next((side for side in tuple(self._sides.values()) if side.owns(current)), None)

    def _on_started(self, sender: Flask, **_: object) -> None:
        side = self._find()
        if side is not None:
            side.begin()

    def _on_finished(self, sender: Flask, **_: object) -> None:
        side = self._find()
        upgrade = request.environ.get(ENVIRON_KEY)
        conversation = upgrade and upgrade.conversation
        if side is not None and isinstance(conversation, Conversation):
            side.connect(conversation)

    def _on_exception(self, sender: Flask, exception: BaseException, **_: object) -> None:
        side = self._find()
        # As Flask's own test client: whoever says no wants to see what a client sees.
        if side is not None and self._app.config["PROPAGATE_EXCEPTIONS"] is not False:
            side.errors.append(exception)
