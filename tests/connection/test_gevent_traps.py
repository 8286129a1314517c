"""What goes wrong with gevent when one is not careful: strangers' switches and kills, callbacks, watchers."""

from __future__ import annotations

import contextlib
import itertools
import threading
from collections.abc import Iterator

import pytest

from ..conftest import StartServer
from ..support.client_frames import PING, close, request, text
from ..support.harness import Server, unharmed
from ..support.program import DEADLINE, wait_for
from ..support.raw_client import DROPS, FIN, RawClient, closed, said

_tags = itertools.count()


@pytest.fixture(scope="module")
def shared_server(start_module_server: StartServer) -> Server:
    """One for all tests of this file."""
    return start_module_server("gevent_traps")


@pytest.fixture
def server(shared_server: Server) -> Iterator[Server]:
    """Return the server; afterwards nothing is lost, and the hub has printed no errors of its own."""
    begin = len(shared_server.log())
    with unharmed(shared_server):
        yield shared_server
    log = shared_server.log()[begin:]
    # gevent prints what it cannot place; what a test throws on purpose is none of its business.
    assert "failed with" not in log.replace("failed with Strange", ""), log
    assert "Bad file descriptor" not in log


@pytest.fixture
def tag() -> str:
    """Return a name for the test's client."""
    return f"client-{next(_tags)}-"


def expect_closed_once(server: Server, tag: str, code: int) -> None:
    """Return the close handler has run once, and was told this code."""
    server.wait_for_log(f"closed {tag} {code}")
    assert server.log().count(f"closed {tag}") == 1


# Callbacks of the hub


@pytest.mark.parametrize(("path", "what"), [("/web_socket", "reading"), ("/lively", "keepalive")])
def test_a_fault_in_a_hub_callback_ends_one_connection_and_is_logged(
    server: Server, tag: str, path: str, what: str
) -> None:
    before = server.vitals()["counters"].get("callback_errors", 0)
    begin = len(server.log())
    with RawClient(server, f"{path}?tag={tag}") as client, RawClient(server) as other:
        server.get(f"/sabotage/{tag}/{what}")
        client.say("x")
        frames = [frame for frame in client.read_to_end() if frame[0] != PING]
        assert frames == [said("bye"), closed(1011, "internal error"), FIN]
        other.say("x")
        assert other.read_text() == "x"
    expect_closed_once(server, tag, 1011)
    wait_for(lambda: "a fault in gws ended one connection" in server.log()[begin:], "the fault in the log")
    assert server.vitals()["counters"]["callback_errors"] == before + 1


@pytest.mark.parametrize("missing", ["max_message_size", "ping_interval"])
def test_a_connection_that_cannot_be_opened_is_closed_and_forgotten(server: Server, missing: str) -> None:
    with RawClient(server, f"/unlucky?without={missing}", wait=False) as client:
        client.wait_for_end()


def test_broadcasting_in_a_hub_callback_is_allowed(server: Server) -> None:
    with RawClient(server, "/crowd") as client:
        server.get("/broadcast_from_callback")
        assert client.read_text() == "from a callback"


# Strangers


def test_a_greenlet_that_a_stranger_switches_to_goes_on_waiting_and_loses_nothing(
    server: Server, tag: str
) -> None:
    with RawClient(server, f"/web_socket?tag={tag}") as client:
        client.say("x")
        assert client.read_text() == "x"
        server.get(f"/switch/{tag}")
        messages = [str(number) for number in range(2000)]
        thread = threading.Thread(target=server.get, args=[f"/switch/{tag}"])
        thread.start()
        for message in messages:
            client.send(text(message))
        assert [client.read_text() for _ in messages] == messages
        thread.join(DEADLINE)
        assert f"closed {tag}" not in server.log()
        client.send(close(1000))
        assert client.read_text() == "bye"
        assert client.read_close()[0] == 1000
    expect_closed_once(server, tag, 1000)


KILLS = {"GreenletExit": 1001, "Exception": 1011, "BaseException": 1011}
"""What a greenlet may be killed with, and the close code that its client is due."""


def kill(server: Server, client: RawClient, tag: str, kind: str) -> None:
    """Kill the client's greenlet; the close handler still speaks, and the client is told why."""
    server.get(f"/kill/{tag}/{kind}")
    assert client.read_text() == "bye"
    assert client.read_close()[0] == KILLS[kind]
    client.close(KILLS[kind])
    assert client.has_ended()
    expect_closed_once(server, tag, KILLS[kind])


@pytest.mark.parametrize("kind", KILLS)
def test_a_greenlet_that_is_killed_while_it_waits_closes_its_connection(
    server: Server, tag: str, kind: str
) -> None:
    with RawClient(server, f"/web_socket?tag={tag}") as client:
        client.say("x")
        assert client.read_text() == "x"
        kill(server, client, tag, kind)


@pytest.mark.parametrize("kind", KILLS)
def test_a_greenlet_that_is_killed_in_its_handler_closes_its_connection(
    server: Server, tag: str, kind: str
) -> None:
    with RawClient(server, f"/web_socket?tag={tag}") as client:
        client.say("wait")
        server.wait_for_log(f"waits {tag}")
        kill(server, client, tag, kind)


def test_a_greenlet_that_is_killed_while_it_waits_for_the_peers_close_leaves_nothing(
    server: Server, tag: str
) -> None:
    with RawClient(server, f"/web_socket?tag={tag}") as client:
        client.send(text("wait"))
        server.wait_for_log(f"waits {tag}")
        server.get(f"/keep/{tag}")
        server.get(f"/kill/{tag}/GreenletExit")
        assert client.read_close()[0] == 1001
        # The client does not answer, and its greenlet is now in its last wait.
        server.get("/kill/kept/GreenletExit")
        client.wait_for_end()
    expect_closed_once(server, tag, 1001)


def test_a_greenlet_that_is_killed_in_its_connect_handler_opens_nothing(server: Server, tag: str) -> None:
    with RawClient(server, None) as client:
        client.send(request(f"/web_socket?tag={tag}&hesitate"))
        server.wait_for_log(f"hesitates {tag}")
        server.get(f"/kill/{tag}/GreenletExit")
        client.wait_for_end()
    assert f"closed {tag}" not in server.log()


def test_a_greenlet_that_is_killed_in_its_close_handler_still_answers_the_close(
    server: Server, tag: str
) -> None:
    with RawClient(server, f"/web_socket?tag={tag}&linger") as client:
        client.send(close(4000))
        server.wait_for_log(f"lingers {tag}")
        server.get(f"/kill/{tag}/GreenletExit")
        assert client.read_close()[0] == 4000
        assert client.has_ended()
    expect_closed_once(server, tag, 4000)


def test_somebody_elses_timeout_between_two_messages_ends_nothing(server: Server, tag: str) -> None:
    with RawClient(server, f"/web_socket?tag={tag}") as client:
        client.send(text("x"))
        assert client.read_text() == "x"
        server.get(f"/kill/{tag}/Timeout")
        server.wait_for_log("gevent.Timeout")
        client.send(text("y"))
        assert client.read_text() == "y"
        assert f"closed {tag}" not in server.log()


def test_somebody_elses_timeout_while_the_connection_closes_does_not_cut_the_close_short(
    server: Server, tag: str
) -> None:
    with RawClient(server, f"/web_socket?tag={tag}") as client:
        client.say("wait")
        server.wait_for_log(f"waits {tag}")
        server.get(f"/keep/{tag}")
        server.get(f"/kill/{tag}/GreenletExit")
        assert client.read_frames(2) == [said("bye"), closed(1001, "going away")]
        for _ in range(3):
            server.get("/kill/kept/Timeout")
        client.socket.setblocking(False)
        with pytest.raises(BlockingIOError):
            client.socket.recv(1)
        client.close(1001)
        assert client.has_ended()
    expect_closed_once(server, tag, 1001)


# Broadcasts while members come and go


def test_slow_members_are_dropped_during_a_broadcast_and_the_others_get_all_of_it(server: Server) -> None:
    before = server.vitals()["counters"].get("slow_consumers", 0)
    left = server.log().count("left 1008")
    messages = [f"{number:06}" * 10_000 for number in range(150)]
    with contextlib.ExitStack() as stack:
        readers = [stack.enter_context(RawClient(server, "/crowd")) for _ in range(5)]
        for _ in range(10):
            stack.enter_context(RawClient(server, "/crowd", receive_buffer=4096))
        for message in messages:
            readers[0].send(text(message))
            for reader in readers:
                assert reader.read_text() == message
        wait_for(lambda: server.log().count("left 1008") == left + 10, "ten slow members to be dropped")
        assert server.vitals()["counters"]["slow_consumers"] == before + 10


def test_a_native_thread_broadcasts_while_clients_come_and_go(server: Server) -> None:
    with RawClient(server, "/crowd") as resident:
        server.get("/threads/begin")
        for number in range(60):
            with RawClient(server, "/crowd") as visitor:
                first = int(visitor.read_text())
                assert int(visitor.read_text()) == first + 1
                list(DROPS.values())[number % 3](visitor)
        server.get("/threads/end")
        heard = list(iter(resident.read_text, "end"))
    assert heard == [str(number) for number in range(len(heard))]


def test_descriptors_are_not_closed_while_they_are_watched(server: Server) -> None:
    """300 clients come and go during broadcasts, and with each a descriptor's number is used again."""
    left = server.log().count("left ")
    with RawClient(server, "/crowd") as resident:
        server.get("/threads/begin")

        def come_and_go() -> None:
            for number in range(100):
                with RawClient(server, "/crowd") as client:
                    if number % 2:
                        client.read_text()
                    list(DROPS.values())[number % 3](client)

        threads = [threading.Thread(target=come_and_go) for _ in range(3)]
        for thread in threads:
            thread.start()
        heard = 0
        while any(thread.is_alive() for thread in threads):
            assert resident.read_text() == str(heard)
            heard += 1
        server.get("/threads/end")
        for message in iter(resident.read_text, "end"):
            assert message == str(heard)
            heard += 1
        wait_for(lambda: server.log().count("left ") == left + 300, "300 close handlers")
