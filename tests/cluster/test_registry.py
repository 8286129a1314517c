"""`gws.cluster.registry`: who is reached. The connections have no socket: what is sent waits in their outbox."""

from __future__ import annotations

import gevent
import pytest

from gws.cluster.endpoint import Endpoint
from gws.cluster.registry import Registry
from gws.connection.connection import Connection
from gws.settings import Settings

ROOM, OTHER_ROOM = Endpoint("/room"), Endpoint("/other")


def connection() -> Connection:
    return Connection(Settings(), lambda: None)


def sizes(*connections: Connection) -> list[int]:
    """Bytes that wait for each."""
    return [connection.outbox.size for connection in connections]


def test_a_registry_begins_empty() -> None:
    registry = Registry()
    assert len(registry) == 0
    assert list(registry.members(ROOM).values()) == []
    assert registry.get(ROOM, "a") is None


def test_a_connection_is_found_by_endpoint_and_id() -> None:
    registry, one, two = Registry(), connection(), connection()
    registry.add(ROOM, "1", one)
    registry.add(ROOM, "2", two)
    assert (registry.get(ROOM, "1"), registry.get(ROOM, "2")) == (one, two)
    assert list(registry.members(ROOM).values()) == [one, two]
    assert len(registry) == 2


def test_an_endpoint_does_not_see_the_connections_of_another() -> None:
    registry, one, two = Registry(), connection(), connection()
    registry.add(ROOM, "1", one)
    registry.add(OTHER_ROOM, "2", two)
    assert registry.get(ROOM, "2") is None
    assert list(registry.members(OTHER_ROOM).values()) == [two]
    assert len(registry) == 2


def test_a_removed_connection_is_not_found() -> None:
    registry, one, two = Registry(), connection(), connection()
    registry.add(ROOM, "1", one)
    registry.add(ROOM, "2", two)
    registry.remove(ROOM, "1")
    assert registry.get(ROOM, "1") is None
    assert list(registry.members(ROOM).values()) == [two]
    assert len(registry) == 1


def test_removing_twice_is_no_error() -> None:
    registry, one, two = Registry(), connection(), connection()
    registry.add(ROOM, "1", one)
    registry.add(ROOM, "2", two)
    for _ in range(2):
        registry.remove(ROOM, "1")
        registry.remove(ROOM, "never there")
        registry.remove(OTHER_ROOM, "1")
    assert list(registry.members(ROOM).values()) == [two]
    for _ in range(2):
        registry.remove(ROOM, "2")
    assert len(registry) == 0


def test_an_endpoint_without_connections_leaves_nothing_behind() -> None:
    registry = Registry()
    for number in range(100):
        place = Endpoint(f"/{number}")
        registry.add(place, "1", connection())
        registry.remove(place, "1")
        assert registry.get(place, "1") is None
        registry.deliver_local(place, b"nobody")
    assert not registry._endpoints


def test_members_are_those_of_the_moment() -> None:
    registry = Registry()
    registry.add(ROOM, "1", connection())
    members = registry.members(ROOM)
    registry.remove(ROOM, "1")
    assert len(members) == 1
    members.clear()
    registry.add(ROOM, "2", connection())
    assert len(registry.members(ROOM)) == 1


def test_send_to_reaches_one() -> None:
    registry, one, two = Registry(), connection(), connection()
    registry.add(ROOM, "1", one)
    registry.add(ROOM, "2", two)
    assert registry.deliver_local_to(ROOM, "1", b"12345") is True
    assert sizes(one, two) == [5, 0]


@pytest.mark.parametrize("unknown", ["", "3", "1 ", "\udc80", "x" * 10_000, None, 1, b"1", [], {}, object()])
def test_send_to_an_id_that_is_not_there_is_false(unknown: object) -> None:
    registry, one = Registry(), connection()
    registry.add(ROOM, "1", one)
    assert registry.deliver_local_to(ROOM, unknown, b"12345") is False
    assert sizes(one) == [0]


def test_send_to_an_id_of_another_endpoint_is_false() -> None:
    registry, one = Registry(), connection()
    registry.add(OTHER_ROOM, "1", one)
    assert registry.deliver_local_to(ROOM, "1", b"12345") is False
    assert sizes(one) == [0]


def test_send_to_a_removed_connection_is_false() -> None:
    registry, one = Registry(), connection()
    registry.add(ROOM, "1", one)
    registry.remove(ROOM, "1")
    assert registry.deliver_local_to(ROOM, "1", b"12345") is False
    assert sizes(one) == [0]


def test_broadcast_reaches_all_of_the_endpoint_and_nobody_else() -> None:
    registry, one, two, other = Registry(), connection(), connection(), connection()
    registry.add(ROOM, "1", one)
    registry.add(ROOM, "2", two)
    registry.add(OTHER_ROOM, "3", other)
    registry.deliver_local(ROOM, b"12345")
    assert sizes(one, two, other) == [5, 5, 0]


def test_broadcast_to_nobody_is_no_error() -> None:
    Registry().deliver_local(ROOM, b"12345")


def test_who_is_slow_leaves_during_a_broadcast_and_the_others_get_theirs() -> None:
    registry, frame = Registry(), bytes(70_000)
    slow = Connection(Settings(max_outbox_size=1), lambda: registry.remove(ROOM, "slow"))
    before, after = connection(), connection()
    registry.add(ROOM, "before", before)
    registry.add(ROOM, "slow", slow)
    registry.add(ROOM, "after", after)
    registry.deliver_local(ROOM, frame)
    assert len(registry) == 3
    registry.deliver_local(ROOM, frame)
    assert list(registry.members(ROOM).values()) == [before, after]
    assert sizes(before, after) == [140_000, 140_000]
    assert (slow.close_code, slow.close_reason) == (1008, "slow consumer")


def test_a_native_thread_reaches_connections_through_their_hub() -> None:
    registry, one, two = Registry(), connection(), connection()
    registry.add(ROOM, "1", one)
    registry.add(ROOM, "2", two)

    def send() -> tuple[bool, bool]:
        registry.deliver_local(ROOM, b"12345")
        return registry.deliver_local_to(ROOM, "1", b"123"), registry.deliver_local_to(ROOM, "3", b"123")

    with gevent.Timeout(10):
        assert gevent.get_hub().threadpool.apply(send) == (True, False)
        while sizes(one, two) != [8, 5]:
            gevent.sleep(0)
