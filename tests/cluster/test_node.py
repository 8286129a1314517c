"""`gws.cluster.node`: what registers for a kind gets it, where its rule says, and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import gevent
import pytest

from gws.backplane import channels, urls
from gws.backplane.contract import Backplane
from gws.backplane.engines import make_backplane
from gws.cluster.envelope import Envelope, Kind, encode
from gws.cluster.node import Node
from gws.cluster.plausible import Rule
from gws.metrics import CounterName, counters

OTHER = 77
"""The number of another node."""


class Peer:
    """A node, and another one that sends to it, by way of `memory://`."""

    def __init__(self) -> None:
        self.node = Node(make_backplane(urls.MEMORY))
        self.taken: list[tuple[str, Envelope]] = []
        self._backplane: Backplane = make_backplane(urls.MEMORY)
        self._backplane.start(lambda channel, data: None)

    def take(self, channel: str, envelope: Envelope) -> None:
        self.taken.append((channel, envelope))

    def send(self, channel: str, envelope: Envelope) -> CounterName:
        """Return what it was counted as, once the node has looked at it."""
        names: tuple[CounterName, ...] = ("backplane_received", "backplane_malformed", "callback_errors")
        before = {name: counters[name] for name in names}
        self._backplane.publish(channel, encode(envelope))
        while all(counters[name] == before[name] for name in names):
            gevent.sleep(0)
        found = [name for name in names if counters[name] != before[name]]
        # Beside it comes what other tests' servers in this process tell each other.
        return found[-1]

    def close(self) -> None:
        self.node.close(0)
        self._backplane.close(0)


@pytest.fixture
def peer() -> Iterator[Peer]:
    peer = Peer()
    peer.node.start()
    yield peer
    peer.close()


def test_what_is_registered_for_a_kind_and_a_place_gets_what_comes_there(peer: Peer) -> None:
    peer.node.on(Kind.ANSWER, peer.take, node=Rule())
    envelope = Envelope(Kind.ANSWER, OTHER, 0, b"hello")
    here = channels.of_node(peer.node.number)
    assert peer.send(here, envelope) == "backplane_received"
    assert peer.taken == [(here, envelope)]
    assert peer.send(channels.ALL, envelope) == "backplane_malformed"
    assert peer.send(here, envelope._replace(kind=Kind.QUESTION)) == "backplane_malformed"
    assert len(peer.taken) == 1


def test_what_breaks_its_rule_is_nobodys(peer: Peer) -> None:
    peer.node.on(Kind.ANSWER, peer.take, all=Rule(payloads=(b"yes", b"no")))
    good = Envelope(Kind.ANSWER, OTHER, 0, b"yes")
    for bad in (
        good._replace(payload=b"maybe"),
        good._replace(endpoint="/chat"),
        good._replace(is_text=True),
        good._replace(origin=0),
        good._replace(sequence=1 << 60),
    ):
        assert peer.send(channels.ALL, bad) == "backplane_malformed"
    assert peer.taken == []
    assert peer.send(channels.ALL, good) == "backplane_received"


def test_a_node_is_heard_behind_what_it_sent_and_not_if_that_was_made_up(peer: Peer) -> None:
    heard: list[int] = []
    peer.node.heard = heard.append
    made_up = iter((True, False))

    def take(channel: str, envelope: Envelope) -> None:
        assert heard == []
        if next(made_up):
            raise ValueError("made up")

    peer.node.on(Kind.ANSWER, take, all=Rule())
    assert peer.send(channels.ALL, Envelope(Kind.ANSWER, OTHER, 0)) == "backplane_malformed"
    assert heard == []
    assert peer.send(channels.ALL, Envelope(Kind.ANSWER, OTHER, 1)) == "backplane_received"
    assert heard == [OTHER]


def test_a_fault_in_a_receiver_loses_one_message(peer: Peer) -> None:
    def fail(channel: str, envelope: Envelope) -> None:
        raise RuntimeError("a fault in gws")

    fault: Callable[[str, Envelope], None] = fail
    peer.node.on(Kind.ANSWER, fault, all=Rule())
    assert peer.send(channels.ALL, Envelope(Kind.ANSWER, OTHER, 0)) == "callback_errors"
    peer.node.on(Kind.ANSWER, peer.take, all=Rule())
    assert peer.send(channels.ALL, Envelope(Kind.ANSWER, OTHER, 1)) == "backplane_received"


def test_gaps_are_counted_on_what_is_subscribed_to_only(peer: Peer) -> None:
    channel = channels.of_endpoint("/chat", "ops")
    peer.node.on(Kind.BROADCAST, peer.take, room=Rule(has_message=True))
    peer.node.subscribe(channel)
    before = counters["backplane_lost"]
    for number in (3, 4, 7):
        peer.send(channel, Envelope(Kind.BROADCAST, OTHER, number))
    assert counters["backplane_lost"] == before + 2
    peer.node.unsubscribe(channel)
    peer.node.subscribe(channel)
    peer.send(channel, Envelope(Kind.BROADCAST, OTHER, 50))
    assert counters["backplane_lost"] == before + 2


def test_what_it_sends_itself_it_does_not_take(peer: Peer) -> None:
    peer.node.on(Kind.ANSWER, peer.take, all=Rule())
    peer.node.publish(channels.ALL, Kind.ANSWER)
    assert peer.send(channels.ALL, Envelope(Kind.ANSWER, OTHER, 0)) == "backplane_received"
    assert [envelope.origin for _, envelope in peer.taken] == [OTHER]
