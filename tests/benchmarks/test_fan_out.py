"""The benchmark of several workers: its clients notice what does not reach each of them exactly once."""

import os
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace

import load_generator
import pytest
from fan_out import fault
from fan_out_workloads import PEER, SYSTEMS, FanOutLoad, workloads_of
from websockets.exceptions import ConnectionClosed
from websockets.sync.server import ServerConnection, serve

BROADCAST = FanOutLoad("fan-out", connections=6, in_flight=2, engine=os.getpid(), workers=2)
SEND_TO = FanOutLoad("send-to", connections=6, in_flight=6, engine=os.getpid(), workers=2)
ID_SIZE = 36


@dataclass
class Everyone:
    """Who is connected, and to which of two processes, as they are told: the first one takes two of three."""

    peers: dict[str, ServerConnection] = field(default_factory=dict)
    process: dict[str, int] = field(default_factory=dict)

    def enter(self, peer: ServerConnection) -> tuple[str, int]:
        name = str(uuid.uuid4())
        self.process[name] = int(len(self.process) % 3 == 2)
        self.peers[name] = peer
        return name, self.process[name]

    def deliver(self, message: str, but: int = 0) -> None:
        for peer in list(self.peers.values())[but:]:
            with suppress(ConnectionClosed):  # One that is about to come again.
                peer.send(message)


@contextmanager
def server(receive: Callable[[Everyone, str, str], None], socket_io: bool = False) -> Iterator[int]:
    """Return a server that does this with each message; its port."""
    everyone = Everyone()
    lock = threading.Lock()

    def converse(peer: ServerConnection) -> None:
        if socket_io:
            peer.send('0{"sid":"1"}')
            assert peer.recv() == "40"
            peer.send('40{"sid":"2"}')
            peer.send("2")
            assert peer.recv() == "3"
        with lock:
            name, process = everyone.enter(peer)
        greeting = f"hello {process} {name}"
        peer.send(f'42["message","{greeting}"]' if socket_io else greeting)
        for message in peer:
            assert isinstance(message, str)
            with lock, suppress(ConnectionClosed):
                receive(everyone, name, message)

    with serve(converse, "127.0.0.1", 0, compression=None) as listening:
        thread = threading.Thread(target=listening.serve_forever)
        thread.start()
        try:
            yield listening.socket.getsockname()[1]
        finally:
            listening.shutdown()
            thread.join()


def run(load: FanOutLoad, port: int) -> tuple[dict[str, float], str]:
    load = replace(load, ports=(port, port))
    return load_generator.run(load_generator.build(), load, port, 0.1, 0, [os.getpid()])


@pytest.mark.parametrize("socket_io", [False, True])
def test_what_reaches_everyone_once_is_counted(socket_io: bool) -> None:
    load = replace(BROADCAST, socket_io=socket_io)
    with server(lambda everyone, _, message: everyone.deliver(message), socket_io) as port:
        figures, complaint = run(load, port)
    assert not complaint
    assert fault(figures, workers=2) == ""
    assert (figures["fewest"], figures["most"]) == (3, 3)
    assert 0 < figures["own_p50_us"] <= figures["last_max_us"]


def test_without_a_number_of_workers_clients_stay_where_they_are() -> None:
    with server(lambda everyone, _, message: everyone.deliver(message)) as port:
        figures, _ = run(replace(BROADCAST, workers=0), port)
    assert (figures["fewest"], figures["most"]) == (2, 4)


def test_what_comes_twice_is_an_error() -> None:
    def deliver_twice(everyone: Everyone, _: str, message: str) -> None:
        everyone.deliver(message)
        everyone.deliver(message)

    with server(deliver_twice) as port:
        figures, complaint = run(BROADCAST, port)
    assert figures["errors"] > 0
    assert "twice" in complaint


def test_what_one_client_does_not_get_is_missed() -> None:
    def forget_one(everyone: Everyone, _: str, message: str) -> None:
        everyone.deliver(message, but=1)

    with server(forget_one) as port:
        figures, _ = run(BROADCAST, port)
    assert figures["unanswered"] == BROADCAST.in_flight
    assert "2 unanswered" in fault(figures | {"count": 1}, workers=2)


def test_messages_to_one_go_to_another_process() -> None:
    routes = set()

    def route(everyone: Everyone, sender: str, message: str) -> None:
        to = message[:ID_SIZE]
        routes.add((everyone.process[sender], everyone.process[to]))
        everyone.peers[to].send(message[ID_SIZE:])

    with server(route) as port:
        figures, complaint = run(SEND_TO, port)
    assert not complaint
    assert fault(figures, workers=2) == ""
    assert routes == {(0, 1), (1, 0)}


def test_a_worker_that_no_client_met_is_a_fault() -> None:
    figures = {"count": 1.0, "errors": 0, "unanswered": 0, "overtaken": 0, "workers": 3}
    assert fault(figures, workers=4) == "the clients met 3 of 4 workers"


def test_the_engine_counts_where_cpu_time_is_compared() -> None:
    figures = BROADCAST.figures({"per_second": 600, "cpu_us": 4, "engine_us": 1})
    assert (figures["per_cpu_second"], figures["messages_per_second"]) == (200_000, 100)


def test_all_systems_have_the_same_fan_out() -> None:
    compared = [system for system in SYSTEMS if system.workers == 4]
    [ours, theirs] = [
        [row.name for row in workloads_of(system) if row.name.startswith("fan-out")]
        for system in compared
        if system.server.name in ("gws", PEER.name)
    ]
    assert ours == theirs != []
