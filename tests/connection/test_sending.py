"""`send_to` and `broadcast`: to whom, from where, and what the sender is told."""

from __future__ import annotations

import json
import urllib.parse

import pytest
from websockets.sync.client import ClientConnection, connect

from ..conftest import StartServer
from ..support.harness import Server, unharmed
from ..support.program import DEADLINE, wait_for
from ..support.raw_client import FIN, RawClient, closed, said


@pytest.fixture(scope="module")
def server(start_module_server: StartServer) -> Server:
    return start_module_server("sending")


def join(server: Server, path: str = "/room") -> ClientConnection:
    """Return a client's connection, for a `with`."""
    return connect(server.url(path), open_timeout=DEADLINE, ping_interval=None)


def hear(client: ClientConnection, count: int = 1) -> list[str | bytes]:
    """Return the next messages."""
    return [client.recv(timeout=DEADLINE) for _ in range(count)]


@pytest.mark.parametrize("path", ["/room", "/async/room"])
def test_a_broadcast_reaches_everybody_of_the_endpoint_and_the_sender(server: Server, path: str) -> None:
    with join(server, path) as one, join(server, path) as two, join(server, "/elsewhere") as outsider:
        for client in one, two, outsider:
            hear(client)
        one.send("broadcast news")
        assert hear(one, 2) == ["news", "done"]
        assert hear(two) == ["news"]
        outsider.send("echo")
        assert hear(outsider) == ["echo"]


def test_send_to_reaches_the_one_and_says_true(server: Server) -> None:
    with join(server) as one, join(server) as two, join(server) as three:
        (_,), (id,), _ = hear(one), hear(two), hear(three)
        one.send(f"to {id!s}")
        assert hear(one) == ["[true, true]"]
        assert hear(two, 2) == ["for you"] * 2
        three.send("echo")
        assert hear(three) == ["echo"]


def test_async_send_to_reaches_the_one_and_says_true(server: Server) -> None:
    with join(server, "/async/room") as one, join(server, "/async/room") as two:
        (_,), (id,) = hear(one), hear(two)
        one.send(f"to {id!s}")
        assert hear(one) == ["[true, true]"]
        assert hear(two, 2) == ["for you"] * 2


@pytest.mark.parametrize(
    "odd",
    [
        "''",
        "'nonsense'",
        "'\\ud800'",
        "'00000000-0000-8000-8000-000000000000'",
        "ws.id.replace('-', '')[:31]",
        "ws.id + ' '",
        "'x' * 100000",
        "None",
        "5",
        "b'x'",
        "[]",
        "{}",
    ],
)
def test_an_id_that_is_nobodys_or_no_id_is_false_and_no_error(server: Server, odd: str) -> None:
    with RawClient(server, "/room") as sync, RawClient(server, "/async/room") as asynchronous:
        sync.read_frame(), asynchronous.read_frame()
        sync.say(f"to-odd {odd}")
        assert sync.read_frame() == said("[false, false]")
        asynchronous.say(f"to-odd {odd}")
        assert asynchronous.read_frame() == said("[false]")


def test_another_endpoints_id_is_nobodys(server: Server) -> None:
    with join(server) as one, join(server, "/elsewhere") as outsider:
        (_,), (id,) = hear(one), hear(outsider)
        one.send(f"to {id!s}")
        assert hear(one) == ["[false, false]"]
        outsider.send("echo")
        assert hear(outsider) == ["echo"]


def test_a_closed_connections_id_is_nobodys(server: Server) -> None:
    with unharmed(server), join(server) as one:
        hear(one)
        with join(server) as two:
            (id,) = hear(two)
        one.send(f"to {id!s}")
        assert hear(one) == ["[false, false]"]


def test_a_dropped_connections_id_is_nobodys(server: Server) -> None:
    with unharmed(server), join(server) as one:
        hear(one)
        with RawClient(server, "/room") as two:
            id = two.read_frame()[1]

        def is_gone() -> bool:
            return server.get(f"/whisper/{id}/hello") == "false"

        wait_for(is_gone, "the lost connection to leave")
        one.send(f"to {id!s}")
        assert hear(one) == ["[false, false]"]


def test_what_cannot_be_sent_is_told_what_can(server: Server) -> None:
    with RawClient(server, "/room") as client:
        client.read_frame()
        client.say("wrong")
        complaints = json.loads(str(client.read_frame()[1]))
        assert (
            complaints
            == [f"a message is str, bytes, dict or list, not {name}" for name in ("int", "NoneType", "set")]
            * 4
        )
        client.close()
        assert client.read_to_end() == [closed(1000), FIN]


def test_a_view_sends_to_one_and_to_all(server: Server) -> None:
    with join(server) as one, join(server) as two:
        (id,), _ = hear(one), hear(two)
        assert server.get(f"/whisper/{id!s}/psst") == "true"
        assert server.get("/whisper/nobody/psst") == "false"
        assert server.get(f"/announce/{urllib.parse.quote('to all')}") == "null"
        assert hear(one, 2) == ["psst", "to all"]
        assert hear(two) == ["to all"]


def test_a_view_sends_through_a_kept_ws(server: Server) -> None:
    with join(server) as one, join(server) as two:
        (id,), (other,) = hear(one), hear(two)
        assert server.get(f"/by_ws/{id!s}/{other!s}") == "true"
        assert hear(one) == ["by ws, to all"]
        assert hear(two, 2) == ["by ws, to all", "by ws, to one"]


def test_a_greenlet_sends(server: Server) -> None:
    with join(server) as one:
        (id,) = hear(one)
        assert server.get(f"/from_greenlet/{id!s}") == "true"
        assert hear(one, 2) == ["from a greenlet, to all", "from a greenlet, to one"]


def test_a_timer_of_the_hub_sends(server: Server) -> None:
    with join(server) as one:
        hear(one)
        server.get("/later")
        assert hear(one) == ["from a timer"]


def test_a_native_thread_sends(server: Server) -> None:
    with join(server) as one:
        (id,) = hear(one)
        assert server.get(f"/from_pool/{id!s}") == "[true, true, false]"
        assert hear(one, 3) == ["from a pool, to all", "from a pool, to one", "by ws"]


def test_native_threads_that_send_at_once_lose_nothing_and_keep_their_order(server: Server) -> None:
    with join(server) as one, join(server) as two:
        hear(one), hear(two)
        server.get("/from_threads/500/4")
        for client in one, two:
            heard = [str(message).split() for message in hear(client, 2000)]
            for thread in "0123":
                assert [int(number) for who, number in heard if who == thread] == list(range(500))


@pytest.mark.parametrize("kind", ["def", "async"], ids=["def", "async def"])
def test_50_000_messages_to_itself_all_arrive_in_order(start_server: StartServer, kind: str) -> None:
    server = start_server("bursts")
    with RawClient(server, f"/itself/{kind}") as client:
        client.say("begin")
        assert client.read_frames(50_001) == [
            *(said(str(number)) for number in range(50_000)),
            said("done"),
        ]
        client.close()
        assert client.read_to_end() == [closed(1000), FIN]
    assert server.vitals()["counters"] == {}


@pytest.mark.parametrize("kind", ["def", "async"], ids=["def", "async def"])
def test_a_burst_of_broadcasts_does_not_make_clients_that_read_look_slow(
    start_server: StartServer, kind: str
) -> None:
    server = start_server("bursts")
    with RawClient(server, f"/everybody/{kind}") as one, RawClient(server, f"/everybody/{kind}") as two:
        one.say("begin")
        # Read in turns: each must be read for the other to be served.
        pairs = [(one.read_frame(), two.read_frame()) for _ in range(100)]
        assert [str(frame[1]).split()[0] for frame, _ in pairs] == [str(number) for number in range(100)]
        assert all(mine == theirs for mine, theirs in pairs)
        assert one.read_frame() == said("done")
    assert server.vitals()["counters"] == {}


@pytest.mark.parametrize("kind", ["def", "async"], ids=["def", "async def"])
def test_a_burst_to_one_lets_the_others_be_heard(start_server: StartServer, kind: str) -> None:
    server = start_server("bursts")
    with RawClient(server, f"/another/{kind}") as sender, RawClient(server, f"/another/{kind}") as receiver:
        sender.read_frame()
        sender.say(receiver.read_text())
        receiver.read_frame()
        receiver.say("I hear you")
        assert sender.read_text() == "heard: True"


def test_a_native_thread_is_held_back_while_the_hub_is_busy_and_gives_up_after_a_while(
    start_server: StartServer,
) -> None:
    server = start_server("native_threads")
    with unharmed(server), RawClient(server, "/busy") as client:
        client.say("begin")
        assert client.read_frames(65) == [said("[64, 64, 1]"), *(said(str(number)) for number in range(64))]
    assert server.vitals()["counters"] == {"undelivered": 1}


def test_a_handler_that_waits_for_a_thread_that_sends_is_held_up_once(start_server: StartServer) -> None:
    server = start_server("native_threads")
    with unharmed(server), RawClient(server, "/waiting") as client:
        for _ in range(2):
            client.say("100")
            assert client.read_frames(65) == [said("in time"), *(said(str(number)) for number in range(64))]
    assert server.vitals()["counters"] == {"undelivered": 72}
