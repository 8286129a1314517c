"""The states of a connection, and the table of what ends it, which stands at the head of `gws.connection.states`."""

from __future__ import annotations

import re
import socket
from collections.abc import Callable, Iterator
from typing import Final

import gevent
import pytest

from gws.connection import states
from gws.connection.connection import Connection
from gws.connection.states import CLOSED, CLOSING, FAILED, HANDSHAKE, LOST, OPEN, OURS, Ending, State
from gws.protocol.frames import Close
from gws.settings import Settings

ROWS: Final = re.findall(
    r"^    \S.{27}(\w+) +(OURS|PEER|FAILED|LOST|-|none) ", states.__doc__ or "", re.MULTILINE
)
"""Each method that ends a connection, and who has ended it then."""


@pytest.fixture
def peer() -> Iterator[socket.socket]:
    """Return the other end of `connection`."""
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    with theirs:
        theirs.settimeout(5)
        _SOCKETS.append(ours)
        yield theirs
    ours.close()


_SOCKETS: list[socket.socket] = []


@pytest.fixture
def connection(peer: socket.socket) -> Iterator[Connection]:
    """Return one that is open."""
    one = Connection(Settings(close_timeout=0.2), lambda: None)
    one.open(_SOCKETS.pop(), b"", b"")
    yield one
    one.forget_after_fork()


ENDINGS: Final[dict[str, Callable[[Connection], object]]] = {
    "close": lambda one: one.close(1000, ""),
    "refuse": lambda one: one.refuse(),
    "_on_close_frame": lambda one: one._on_close_frame(Close(1000, "")),
    "_on_protocol_error": lambda one: one._receive_data(b"\xff\xff"),
    "fail": lambda one: one.fail(1011, ""),
    "fail_internally": lambda one: one.fail_internally(),
    "drop_slow_consumer": lambda one: one.drop_slow_consumer(),
    "_on_ping_timeout": lambda one: one._on_ping_timeout(False),
    "_on_connection_lost": lambda one: one._on_connection_lost(),
    "abort": lambda one: one.abort(),
    "_on_close_timeout": lambda one: one._on_close_timeout(),
    "forget_after_fork": lambda one: one.forget_after_fork(),
}


def test_the_table_has_every_way_to_end() -> None:
    assert {name for name, _ in ROWS} == set(ENDINGS)


@pytest.mark.parametrize(("name", "ending"), ROWS)
def test_each_way_ends_as_the_table_says(connection: Connection, name: str, ending: str) -> None:
    connection.admit()
    ENDINGS[name](connection)
    assert connection.ending is (Ending[ending] if ending.isupper() else None)
    assert connection.is_reachable is (connection.ending is None)


@pytest.mark.parametrize("name", [name for name, ending in ROWS if ending.isupper()])
def test_who_is_first_decides_and_it_is_told_once(peer: socket.socket, name: str) -> None:
    told: list[object] = []
    connection = Connection(Settings(close_timeout=0.2), lambda: told.append(1))
    connection.open(_SOCKETS.pop(), b"", b"")
    ENDINGS[name](connection)
    first = (connection.ending, connection.close_code, connection.close_reason)
    for end in ENDINGS.values():
        end(connection)
    assert (connection.ending, connection.close_code, connection.close_reason) == first
    assert told == [1]
    assert connection.state is CLOSED


def test_admitted_is_who_has_not_ended(connection: Connection) -> None:
    assert connection.is_joining
    assert connection.admit()
    assert not connection.is_joining
    assert connection.is_reachable
    connection.close(1000, "")
    assert not connection.is_reachable
    assert not connection.is_joining


def test_who_has_ended_is_not_admitted_any_more(connection: Connection) -> None:
    connection.close(1000, "")
    assert not connection.admit()
    assert not connection.is_reachable


def test_a_connection_goes_through_its_states(connection: Connection) -> None:
    assert Connection(Settings(), lambda: None).state is HANDSHAKE
    seen = [connection.state]
    connection.fail(1011, "")
    seen.append(connection.state)
    connection._queue_close()
    seen.append(connection.state)
    connection.abort()
    seen.append(connection.state)
    assert seen == [OPEN, OPEN, CLOSING, CLOSED]
    assert connection.ending is FAILED


def test_before_the_handshake_is_answered_it_can_only_be_lost() -> None:
    one = Connection(Settings(), lambda: None)
    one.refuse()
    assert (one.state, one.ending, one.close_code, one.close_reason) == (CLOSED, LOST, None, None)


def test_a_socket_that_comes_too_late_is_closed(peer: socket.socket) -> None:
    one = Connection(Settings(), lambda: None)
    one.abort()
    one.open(_SOCKETS.pop(), b"HTTP/1.1 101", b"")
    assert one.state is CLOSED
    assert peer.recv(100) == b""


@pytest.mark.parametrize("before", State)
@pytest.mark.parametrize("after", State)
def test_no_other_step_can_be_taken(before: State, after: State) -> None:
    one = Connection(Settings(), lambda: None)
    one.state = before
    if after in states.NEXT[before]:
        one._enter(after)
        assert one.state is after
    else:
        with pytest.raises(RuntimeError, match=f"is {before.name} does not become {after.name}"):
            one._enter(after)
        assert one.state is before


def test_a_close_of_ours_waits_for_the_peer_and_no_longer_than_its_deadline(connection: Connection) -> None:
    connection.close(1000, "bye")
    assert connection.ending is OURS
    greenlet = gevent.spawn(connection.finish)
    greenlet.join(timeout=5)
    assert greenlet.successful()
    assert connection.state is CLOSED
