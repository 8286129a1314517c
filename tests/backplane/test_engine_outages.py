"""The engine between the nodes goes away: each goes on with its own clients, says so, and is back by itself."""

from __future__ import annotations

import contextlib
import itertools
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from ..conftest import StartServer
from ..support.cluster_client import Client, connect_everywhere, one_of_each, wait_until_acquainted
from ..support.harness import Server
from ..support.program import DEADLINE, wait_for
from ..support.valkey import Valkey

PAUSE = 2.5
"""Seconds for which a busy machine may keep any of the processes from running."""
INTERVAL = 0.002
"""Seconds between the messages of a stream."""
ROUNDS = int(os.environ.get("OUTAGES", "4"))
"""Times that an engine is killed under idle workers; `make outages` does it more often."""
SENT = ("published", "unconfirmed", "dropped")
HEARD = ("received", "lost")


@pytest.fixture(scope="module")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Valkey]:
    """Return the engine."""
    with Valkey(tmp_path_factory.mktemp("valkey")) as valkey:
        yield valkey


@pytest.fixture(scope="module")
def server(valkey: Valkey, start_module_server: StartServer) -> Server:
    """Two workers of it, so that each hears of nobody but the other."""
    return start_module_server("chat", "worker", ["-w", "2"], config=config_of(valkey.url))


def config_of(url: str) -> dict[str, str]:
    return {"GWS_BACKPLANE_URL": url}


class Traffic:
    """Two workers that broadcast all the time, and a client of each that hears it all.

    Args:
        server: of two workers.
    """

    def __init__(self, server: Server) -> None:
        controls, listeners = connect_everywhere(server, 2), connect_everywhere(server, 2)
        self._everyone = controls + listeners
        wait_until_acquainted(self._everyone)
        self.controls, self._listeners = one_of_each(controls), one_of_each(listeners)
        self._before = self._settled_states()
        self._pool = ThreadPoolExecutor()
        self._heard = [self._pool.submit(self._listen, listener) for listener in self._listeners]
        for control in self.controls:
            control.ask("stream", f"from {control.process}", INTERVAL)
        self.wait_for_flow()

    def _listen(self, listener: Client) -> list[tuple[float, str]]:
        heard = []
        over = {f"{control.process} is over" for control in self.controls}
        while over:
            text = listener.hear_next()
            heard.append((time.monotonic(), text))
            over.discard(text)
        return heard

    def _settled_states(self) -> list[dict[str, Any]]:
        """Return the states of both, with nothing between them that one has counted and the other not yet."""
        looks: list[list[dict[str, Any]]] = [[], []]

        def is_settled() -> bool:
            looks.append([control.state() for control in self.controls])
            return looks[-2] == looks[-1]

        wait_for(is_settled, "the counters to stand still")
        return looks[-1]

    def wait_for_flow(self) -> None:
        """Wait until each worker has heard a hundred more messages of the other."""
        for control in self.controls:
            enough = control.counter("received") + 100
            wait_for(lambda: control.counter("received") > enough, "what the other sends")  # noqa: B023

    def wait_until(self, is_ready: bool) -> None:
        """Wait until both say that they are ready, or that they are not."""
        for control in self.controls:
            wait_for(lambda: control.state()["ready"] is is_ready, f"ready to be {is_ready}")  # noqa: B023

    def end(self) -> list[int]:
        """End it, and check that nothing is missing that is not counted; how many each has not heard of the other."""
        sent = {}
        for control in self.controls:
            sent[control.process] = control.ask("end_stream", f"from {control.process}")
            # Shows what was lost before it.
            control.ask("broadcast", f"{control.process} is over")
        missing = [
            self._check(listener.process, heard.result(DEADLINE), sent)
            for listener, heard in zip(self._listeners, self._heard, strict=True)
        ]
        for sender, hearer in (self.controls, self.controls[::-1]):
            self._wait_until_even(sender, hearer)
        lost = [self._grown(control, "lost") for control in self._in_order_of_listeners()]
        for count, counted in zip(missing, lost, strict=True):
            # Beside the messages, a heartbeat in two seconds may be lost.
            assert count <= counted <= count + 10, (missing, lost)
        for client in self._everyone:
            client.drop()
        self._pool.shutdown()
        return missing

    def _check(self, hearer: int, heard: list[tuple[float, str]], sent: dict[int, int]) -> int:
        missing = 0
        for sender, count in sent.items():
            prefix = f"from {sender} "
            numbers = [int(text.removeprefix(prefix)) for _, text in heard if text.startswith(prefix)]
            assert sorted(set(numbers)) == numbers, "in order, and nothing twice"
            if sender != hearer:
                missing = count - len(numbers)
                continue
            assert numbers == list(range(count)), "its own"
            times = [at for at, text in heard if text.startswith(prefix)]
            assert max(b - a for a, b in itertools.pairwise(times)) < PAUSE
        return missing

    def _wait_until_even(self, sender: Client, hearer: Client) -> None:
        """Every envelope that one has sent has come to the other, or is counted there as lost."""

        def is_even() -> bool:
            return self._grown(sender, *SENT) == self._grown(hearer, *HEARD)

        try:
            wait_for(is_even, "the counters to add up")
        except AssertionError as error:
            raise AssertionError(f"{self._before}, {sender.state()}, {hearer.state()}") from error

    def _grown(self, control: Client, *names: str) -> int:
        before = self._before[self.controls.index(control)]
        now = control.state()
        return sum(now.get(name, 0) - before.get(name, 0) for name in names)

    def _in_order_of_listeners(self) -> list[Client]:
        by_process = {control.process: control for control in self.controls}
        return [by_process[listener.process] for listener in self._listeners]


def lines_of(server: Server, start: int, process: int, text: str) -> int:
    """How many lines of a process are in the log since then that say this."""
    lines = server.log()[start:].splitlines()
    return sum(line.startswith(f"{process} ") and text in line for line in lines)


def go_through(
    server: Server, leave: Callable[[], None], come_back: Callable[[], None], seconds: float
) -> list[int]:
    """Have the engine away under traffic, for so long at least that everyone knows; what was lost."""
    start = len(server.log())
    traffic = Traffic(server)
    leave()
    left = time.monotonic()
    traffic.wait_until(False)
    wait_for(lambda: time.monotonic() - left >= seconds, "the time to be over")
    come_back()
    traffic.wait_until(True)
    traffic.wait_for_flow()
    missing = traffic.end()
    for control in traffic.controls:
        assert lines_of(server, start, control.process, "unreachable") == 1, server.log()[start:]
        assert lines_of(server, start, control.process, "reconnected") == 1, server.log()[start:]
    assert "Traceback" not in server.log()[start:]
    return missing


def test_the_engine_is_restarted(valkey: Valkey, server: Server) -> None:
    missing = go_through(server, valkey.kill, valkey.start, 0)
    # What was under way, at most: what comes later waits.
    assert max(missing) * INTERVAL < 1


def test_the_engine_is_away_for_ten_seconds(valkey: Valkey, server: Server) -> None:
    missing = go_through(server, valkey.kill, valkey.start, 10)
    assert max(missing) * INTERVAL < 1


def test_the_engine_is_frozen(valkey: Valkey, server: Server) -> None:
    missing = go_through(server, valkey.freeze, valkey.thaw, 0)
    assert max(missing) * INTERVAL < 1


def test_a_moment_without_an_answer_is_no_outage(valkey: Valkey, server: Server) -> None:
    start = len(server.log())
    traffic = Traffic(server)
    valkey.freeze()
    frozen = time.monotonic()
    wait_for(lambda: time.monotonic() - frozen > 1, "the moment to be over")
    assert all(control.state()["ready"] for control in traffic.controls)
    valkey.thaw()
    traffic.wait_for_flow()
    assert traffic.end() == [0, 0]
    assert "unreachable" not in server.log()[start:]


def grown(control: Client, before: dict[Client, dict[str, Any]], counter: str) -> int:
    """By how much a counter has gone up."""
    return int(control.state().get(counter, 0) - before[control].get(counter, 0))


def test_idle_workers_know_at_once_that_the_engine_was_killed_and_lose_nothing_once_they_are_ready(
    valkey: Valkey, server: Server
) -> None:
    """Nobody writes: what has been killed is to be seen by who reads, on either of a worker's links."""
    clients = connect_everywhere(server, 2)
    wait_until_acquainted(clients)
    one, two = one_of_each(clients)
    for number, (speaker, listener) in enumerate([(one, two), (two, one)] * ROUNDS):
        start = len(server.log())
        before = {control: control.state() for control in (one, two)}
        valkey.kill()
        for control in (one, two):
            wait_for(lambda: not control.state()["ready"], "the worker to see that")  # noqa: B023
        valkey.start()
        wait_for(lambda: speaker.state()["ready"], "the worker to be ready")  # noqa: B023
        speaker.ask("broadcast", f"{number} at once")
        assert listener.hear(f"{number} at once") == []
        wait_for(lambda: listener.state()["ready"], "the other to be ready")  # noqa: B023
        listener.ask("broadcast", f"{number} in return")
        # Its own clients have heard the first one too.
        assert speaker.hear(f"{number} in return") == [f"{number} at once"]
        listener.hear(f"{number} in return")
        for sender, hearer in ((one, two), (two, one)):
            log = server.log()[start:]
            assert lines_of(server, start, sender.process, "unreachable") == 1, log
            assert lines_of(server, start, sender.process, "reconnected") == 1, log
            # A heartbeat that was under way when the engine was killed, if there was one.
            assert grown(hearer, before, "lost") <= grown(sender, before, "unconfirmed") <= 1
            assert grown(sender, before, "dropped") == 0
    for client in clients:
        client.drop()


class Proxy:
    """Passes bytes on between nodes and an engine, until it is told to swallow them, or to hang up.

    Args:
        port: the engine's.
    """

    def __init__(self, port: int) -> None:
        self._engine = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._sockets: list[socket.socket] = []
        self._engines: dict[socket.socket, socket.socket] = {}
        """Of each node's end, the engine's."""
        self._subscribers: set[socket.socket] = set()
        """The engine's ends of those that listen."""
        self._deaf: set[socket.socket] = set()
        self._start(self._accept)

    def deafen(self) -> int:
        """Let the present subscribers hear nothing any more, though their connections stay; how many they are."""
        self._deaf = set(self._subscribers)
        return len(self._deaf)

    def swallow(self) -> None:
        """Pass nothing on any more of what comes by the present connections, and leave them as they are."""
        self._deaf = set(self._sockets)

    def hang_up_on_publishers(self) -> None:
        """End the connections to nodes that do not subscribe."""
        for node, engine in tuple(self._engines.items()):
            if engine not in self._subscribers:
                node.shutdown(socket.SHUT_RDWR)
                del self._engines[node]

    def close(self) -> None:
        """End everything."""
        for one in (self._listener, *self._sockets):
            # Wakes whoever waits for it.
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def _start(self, target: Callable[..., None], *arguments: Any) -> None:
        threading.Thread(target=target, args=arguments, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                node, _ = self._listener.accept()
            except OSError:
                return
            engine = socket.create_connection(("127.0.0.1", self._engine), DEADLINE)
            engine.settimeout(None)
            self._sockets += (node, engine)
            self._engines[node] = engine
            self._start(self._pass_on, node, engine)
            self._start(self._pass_on, engine, node)

    def _pass_on(self, source: socket.socket, target: socket.socket) -> None:
        try:
            while data := source.recv(65536):
                if b"SUBSCRIBE" in data:
                    self._subscribers.add(target)
                if source not in self._deaf:
                    target.sendall(data)
            target.shutdown(socket.SHUT_WR)
        except OSError:
            return


def test_a_subscriber_that_has_gone_deaf_is_noticed_and_hears_again(
    tmp_path: Path, start_server: StartServer
) -> None:
    with Valkey(tmp_path) as valkey:
        proxy = Proxy(valkey.port)
        speaker = Client(start_server("chat", config=config_of(valkey.url)))
        server = start_server("chat", config=config_of(f"redis://127.0.0.1:{proxy.port}"))
        listener = Client(server)
        wait_until_acquainted([speaker, listener])
        speaker.ask("broadcast", "first")
        listener.hear("first")
        lost = listener.counter("lost")
        assert proxy.deafen() == 1
        deafened = time.monotonic()
        for number in range(10):
            speaker.ask("broadcast", f"into deaf ears {number}")
        server.wait_for_log("unreachable")
        server.wait_for_log("reconnected")
        assert time.monotonic() - deafened < 10
        assert listener.state()["ready"] is True
        speaker.ask("broadcast", "last")
        assert listener.hear("last") == []
        assert 10 <= listener.counter("lost") - lost <= 15, "with some heartbeats"
        assert speaker.ask("send_to", listener.id, "you") is True
        listener.hear("you")
        assert (server.log().count("unreachable"), server.log().count("reconnected")) == (1, 1)
        speaker.drop()
        listener.drop()
        proxy.close()


def wait_for_heartbeat(control: Client) -> None:
    """Wait for the next, behind which nothing is under way for two seconds."""
    published = control.counter("published")
    wait_for(lambda: control.counter("published") > published, "a heartbeat")


def test_a_publisher_that_is_hung_up_on_knows_at_once_and_loses_nothing(
    tmp_path: Path, start_server: StartServer
) -> None:
    with Valkey(tmp_path) as valkey:
        listener = Client(start_server("chat", config=config_of(valkey.url)))
        proxy = Proxy(valkey.port)
        server = start_server("chat", config=config_of(f"redis://127.0.0.1:{proxy.port}"))
        speaker = Client(server)
        wait_until_acquainted([speaker, listener])
        for number in range(1, 6):
            proxy.hang_up_on_publishers()
            wait_for(lambda: server.log().count("unreachable") == number, "it to be noticed")  # noqa: B023
            speaker.ask("broadcast", f"{number}")
            assert listener.hear(f"{number}") == []
            wait_for(lambda: speaker.state()["ready"], "it to be ready")
            assert server.log().count("reconnected") == number
            wait_for_heartbeat(speaker)
        # Who notices by what is lost has lost something each time; an answer may have been under way by chance.
        assert listener.counter("lost") <= speaker.counter("unconfirmed") <= 2
        speaker.drop()
        listener.drop()
        proxy.close()


def test_connections_that_are_forgotten_on_the_way_are_one_outage(
    tmp_path: Path, start_server: StartServer
) -> None:
    """Such as by a firewall: nobody hangs up, each link has its own deadline, and new connections are fine."""
    with Valkey(tmp_path) as valkey:
        proxy = Proxy(valkey.port)
        server = start_server("chat", config=config_of(f"redis://127.0.0.1:{proxy.port}"))
        listener = Client(start_server("chat", config=config_of(valkey.url)))
        speaker = Client(server)
        wait_until_acquainted([speaker, listener])
        proxy.swallow()
        server.wait_for_log("unreachable")
        wait_for(lambda: speaker.state()["ready"], "it to be ready")
        speaker.ask("broadcast", "here again")
        assert listener.hear("here again") == []
        assert speaker.ask("send_to", listener.id, "you") is True
        listener.hear("you")
        assert (server.log().count("unreachable"), server.log().count("reconnected")) == (1, 1)
        speaker.drop()
        listener.drop()
        proxy.close()
