"""Rooms of one process: who is in one, who gets what is sent to it, and what is left when nobody is."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from urllib.parse import quote
from urllib.request import Request, urlopen

import pytest

from ..conftest import StartServer
from ..support.client_frames import MIB, text
from ..support.harness import WAYS, Server, unharmed
from ..support.program import DEADLINE, wait_for
from ..support.raw_client import DROPS, FIN, RawClient, closed, said


@pytest.fixture(scope="module", params=WAYS)
def each_server(start_module_server: StartServer, request: pytest.FixtureRequest) -> Server:
    """One that is run each of the three ways."""
    return start_module_server("rooms", str(request.param))


@pytest.fixture(scope="module")
def server(start_module_server: StartServer) -> Server:
    """One way will do for what does not depend on it."""
    return start_module_server("rooms")


@pytest.fixture(autouse=True)
def _nobody_is_left_in_a_room(request: pytest.FixtureRequest) -> Iterator[None]:
    """Whatever a test does: a room exists only while somebody is in it."""
    yield
    for name in ("server", "each_server"):
        if name in request.fixturenames:
            used: Server = request.getfixturevalue(name)
            wait_for(lambda used=used: rooms(used) == [], "the rooms to go")  # type: ignore[misc]


class Client(RawClient):
    """A client that knows its id."""

    def __init__(self, server: Server, *in_rooms: str, path: str = "/chat", query: str = "") -> None:
        query = "&".join([*(f"room={quote(room)}" for room in in_rooms), query])
        super().__init__(server, f"{path}?{query}")
        self.id = self.read_text()

    def __enter__(self) -> Client:
        return self

    def ask(self, what: str) -> object:
        """Have the handler do something; the rooms that the connection is in afterwards."""
        self.say(what)
        return json.loads(self.read_text())

    def broadcast(self, message: str, room: str | None = None, *, include_self: bool = True) -> None:
        """Have the handler broadcast."""
        self.say(f"broadcast {json.dumps([room, message, include_self])}")

    def expect_nothing(self) -> None:
        """Nothing has come to it yet."""
        self.say("what?")
        assert isinstance(json.loads(self.read_text()), list)


def rooms(server: Server) -> list[str]:
    """Return the rooms that there are, each with its endpoint's name and the number of its members."""
    return list(json.loads(server.get("/rooms")))


def post(server: Server, path: str, data: object = None) -> str:
    """Return what a view answers."""
    request = Request(
        f"http://{server.address}{path}", json.dumps(data).encode(), {"Content-Type": "application/json"}
    )
    with urlopen(request, timeout=DEADLINE) as response:
        return str(response.read().decode())


def broadcast(server: Server, how: str, *arguments: object) -> None:
    """Have a view broadcast; the arguments are those of `WebSocket.broadcast`."""
    post(server, f"/broadcast/{how}", arguments)


# Joining and leaving


def test_a_connection_joins_and_leaves_and_knows_where_it_is(each_server: Server) -> None:
    with Client(each_server) as client:
        assert client.ask("") == []
        assert client.ask("join ops") == ["ops"]
        assert client.ask("join ops") == ["ops"]
        assert client.ask("join sales") == ["ops", "sales"]
        assert client.ask("join ") == ["", "ops", "sales"]
        assert rooms(each_server) == ["/chat  1", "/chat ops 1", "/chat sales 1"]
        assert client.ask("leave ops") == ["", "sales"]
        assert client.ask("leave ops") == ["", "sales"]
        assert client.ask("leave what it has never been in") == ["", "sales"]
        assert rooms(each_server) == ["/chat  1", "/chat sales 1"]


def test_a_coroutine_joins_and_leaves(each_server: Server) -> None:
    with Client(each_server, path="/async_chat") as client, Client(each_server, path="/async_chat") as other:
        assert client.ask("join ops") == ["ops"]
        other.broadcast("hello", "ops")
        assert client.read_text() == "hello"
        assert other.read_text() == "[]"
        assert client.ask("leave ops") == []
        other.broadcast("hello?", "ops")
        assert other.read_text() == "[]"
        client.expect_nothing()


@pytest.mark.parametrize("where", ["from_view", "from_thread"])
def test_a_kept_ws_joins_and_leaves_from_elsewhere(server: Server, where: str) -> None:
    with Client(server) as client:
        post(server, f"/{where}/{client.id}/join/ops")
        wait_for(lambda: rooms(server) == ["/chat ops 1"], "the room")
        broadcast(server, "view", "hello", "ops")
        assert client.read_text() == "hello"
        post(server, f"/{where}/{client.id}/leave/ops")
        wait_for(lambda: rooms(server) == [], "the room to go")


def test_a_rooms_name_may_be_any_text_of_a_kibibyte(server: Server) -> None:
    for name in (" ", "a b", "\0", "ops\0", "🚪" * 256, "x" * 1024, "/chat", "*", "e\u0301", "é"):
        with Client(server, name) as client, Client(server, "a different one") as other:
            other.broadcast("hello", name)
            assert client.read_text() == "hello"
            assert other.read_text() == json.dumps(["a different one"])


def test_what_is_no_rooms_name_raises(server: Server) -> None:
    with Client(server) as client:
        assert client.ask("wrong") == ["TypeError"] * 6 + ["ValueError"] * 4
        assert rooms(server) == []
        assert json.loads(post(server, "/wrong")) == [
            "TypeError",
            "TypeError",
            "ValueError",
            "UnsendableError",
            "ValueError",
        ]


def test_a_handler_that_joins_what_is_no_room_ends_its_own_connection_only(server: Server) -> None:
    with Client(server, "ops") as client, Client(server, "ops") as other:
        post(server, f"/from_view/{other.id}/join/sales")
        client.say(f"broadcast {json.dumps([5, 'hello', True])}")
        assert client.read_to_end() == [closed(1011, "internal error"), FIN]
        broadcast(server, "view", "hello", "ops")
        assert other.read_text() == "hello"
        assert rooms(server) == ["/chat ops 1", "/chat sales 1"]


# Sending


def test_a_broadcast_to_a_room_reaches_its_members_and_nobody_else(each_server: Server) -> None:
    with (
        Client(each_server, "ops") as one,
        Client(each_server, "ops", "sales") as two,
        Client(each_server, "sales") as three,
        Client(each_server) as four,
    ):
        one.broadcast("to ops", "ops")
        assert one.read_frames(2) == [said("to ops"), said('["ops"]')]
        one.broadcast("but not to me", "ops", include_self=False)
        assert one.read_text() == '["ops"]'
        four.broadcast("from outside", "sales")
        assert four.read_text() == "[]"
        four.broadcast("to nobody", "a room that there is not")
        assert four.read_text() == "[]"
        two.broadcast("to everybody but me", include_self=False)
        assert two.read_frames(4) == [
            *map(said, ("to ops", "but not to me", "from outside")),
            said('["ops", "sales"]'),
        ]
        assert three.read_frames(2) == [said("from outside"), said("to everybody but me")]
        assert one.read_text() == four.read_text() == "to everybody but me"
        for client in one, two, three, four:
            client.expect_nothing()


def test_a_coroutine_broadcasts_to_a_room(each_server: Server) -> None:
    with (
        Client(each_server, "ops", path="/async_chat") as one,
        Client(each_server, "ops", path="/async_chat") as two,
        Client(each_server, "sales", path="/async_chat") as three,
    ):
        one.broadcast("to ops", "ops")
        assert one.read_frames(2) == [said("to ops"), said('["ops"]')]
        one.broadcast("but not to me", "ops", include_self=False)
        one.broadcast("to everybody but me", include_self=False)
        assert one.read_frames(2) == [said('["ops"]')] * 2
        assert two.read_frames(3) == [*map(said, ("to ops", "but not to me", "to everybody but me"))]
        assert three.read_text() == "to everybody but me"
        for client in one, two, three:
            client.expect_nothing()


@pytest.mark.parametrize("how", ["view", "greenlet", "native thread"])
def test_anybody_broadcasts_to_a_room(each_server: Server, how: str) -> None:
    with Client(each_server, "ops") as one, Client(each_server, "ops") as two, Client(each_server) as three:
        broadcast(each_server, quote(how), "to ops", "ops")
        broadcast(each_server, quote(how), "to one of ops", "ops", [two.id, three.id, "nobody", ""])
        broadcast(each_server, quote(how), "to two and three", None, [one.id])
        assert one.read_frames(2) == [said("to ops"), said("to one of ops")]
        assert two.read_frames(2) == [said("to ops"), said("to two and three")]
        assert three.read_text() == "to two and three"
        for client in one, two, three:
            client.expect_nothing()


def test_rooms_of_two_endpoints_are_apart(each_server: Server) -> None:
    with Client(each_server, "ops") as one, Client(each_server, "ops", path="/lobby") as two:
        assert rooms(each_server) == ["/chat ops 1", "/lobby ops 1"]
        broadcast(each_server, "view", "to the chat", "ops")
        two.broadcast("to the lobby", "ops")
        assert two.read_frames(2) == [said("to the lobby"), said('["ops"]')]
        assert one.read_text() == "to the chat"
        one.expect_nothing()


def test_an_endpoint_with_variables_is_one_endpoint(server: Server) -> None:
    with Client(server, "ops", path="/house/ground/1") as one, Client(server, path="/house/first/2") as two:
        assert rooms(server) == ["/house/<floor>/<int:number> ops 1"]
        two.broadcast("hello", "ops")
        assert one.read_text() == "hello"
        assert two.read_text() == "[]"


def test_a_slow_member_is_dropped_and_the_others_get_theirs(server: Server) -> None:
    with unharmed(server), Client(server, "ops") as one, Client(server, "ops") as two:
        slow = RawClient(server, "/chat?room=ops", receive_buffer=4096)
        slow.read_text()
        for number in range(40):
            message = f"{number} " + "x" * 200_000
            one.broadcast(message, "ops")
            assert one.read_text() == two.read_text() == message
            assert one.read_text() == '["ops"]'
        assert rooms(server) == ["/chat ops 2"]
        assert slow.read_close() == (1008, "slow consumer")
        slow.drop()
    assert server.vitals()["counters"]["slow_consumers"] == 1


def test_a_close_handler_broadcasts_to_the_room_that_its_connection_was_in(each_server: Server) -> None:
    with Client(each_server, "ops") as other:
        with Client(each_server, "ops", query="last_words=farewell") as client:
            client.close()
            # It is in no room any more.
            assert client.read_to_end() == [closed(1000), FIN]
        assert other.read_text() == "farewell"
        other.expect_nothing()


# Connecting


def test_nobody_reaches_a_member_before_its_connect_handler_ends(each_server: Server, key: str) -> None:
    with Client(each_server, "ops") as other:
        query = f"room=ops&how=wait&notes={key}"
        joining = RawClient(each_server, f"/chat?{query}", wait=False)
        ((joining_id,),) = each_server.notes(key, 1)
        assert other.read_text() == "while it connects"
        assert rooms(each_server) == ["/chat ops 2"]
        broadcast(each_server, "view", "too early", "ops")
        broadcast(each_server, "native%20thread", "too early", "ops")
        assert other.read_frames(2) == [said("too early")] * 2
        each_server.get("/go_on")
        assert joining.read_head() == 101
        # What it sent to the room itself is behind the 101.
        assert joining.read_frames(2) == [said("while it connects"), said(joining_id)]
        broadcast(each_server, "view", "in time", "ops")
        assert joining.read_text() == other.read_text() == "in time"
        joining.drop()


def test_nobody_reaches_a_member_that_has_accepted_before_its_connect_handler_ends(
    each_server: Server, key: str
) -> None:
    with RawClient(each_server, f"/chat?room=ops&how=accept&notes={key}") as client:
        ((client_id,),) = each_server.notes(key, 1)
        broadcast(each_server, "view", "too early", "ops")
        each_server.get("/go_on")
        assert client.read_text() == client_id
        broadcast(each_server, "view", "in time", "ops")
        assert client.read_text() == "in time"


@pytest.mark.parametrize(
    ("path", "how", "status"), [("/chat", "abort", 401), ("/chat", "raise", 500), ("/short", "late", 503)]
)
def test_a_refused_connection_is_in_no_room(each_server: Server, path: str, how: str, status: int) -> None:
    with unharmed(each_server):
        for _ in range(3):
            with RawClient(each_server, f"{path}?room=ops&room=sales&how={how}") as client:
                assert client.status in (status, 101)
                client.wait_for_end() if client.status == 101 else None
        assert rooms(each_server) == []


def test_who_vanishes_during_connect_is_in_no_room(each_server: Server, key: str) -> None:
    with unharmed(each_server):
        client = RawClient(each_server, f"/chat?room=ops&how=wait&notes={key}", wait=False)
        each_server.notes(key, 1)
        client.reset()
        each_server.get("/go_on")
        wait_for(lambda: rooms(each_server) == [], "the room to go")


# Ending


@pytest.mark.parametrize("drop", [*DROPS.values(), RawClient.close], ids=[*DROPS, "close"])
def test_a_connection_leaves_by_itself_when_it_ends(
    each_server: Server, key: str, drop: Callable[[RawClient], None]
) -> None:
    with unharmed(each_server):
        with Client(each_server, "ops", "sales", query=f"notes={key}") as client:
            assert rooms(each_server) == ["/chat ops 1", "/chat sales 1"]
            drop(client)
            # Joining in the close handler is no use.
            assert each_server.notes(key, 1) == [("closed", [])]
        wait_for(lambda: rooms(each_server) == [], "the rooms to go")


def test_a_killed_connection_leaves_by_itself(each_server: Server) -> None:
    with unharmed(each_server), Client(each_server, "ops") as client:
        post(each_server, f"/kill/{client.id}")
        client.wait_for_end()
        wait_for(lambda: rooms(each_server) == [], "the room to go")


def test_joining_after_the_end_does_nothing(each_server: Server, key: str) -> None:
    with Client(each_server, "ops", query=f"notes={key}") as client:
        client.say("close")
        assert client.read_frame() == said("[]")
        assert client.read_close() == (1000, "Connection closed")
        client.close()
        assert each_server.notes(key, 2) == [("after close", []), ("closed", [])]
        assert rooms(each_server) == []


def test_two_hundred_thousand_joins_and_leaves_leave_nothing_behind(server: Server) -> None:
    with Client(server, "ops") as client:
        post(server, f"/churn/{client.id}", 50_000)
        before = server.reset_peak_memory()
        for _ in range(4):
            post(server, f"/churn/{client.id}", 50_000)
        assert server.peak_memory() - before < MIB
        assert rooms(server) == ["/chat ops 1"]


def test_hundreds_of_members_come_and_go(server: Server) -> None:
    with unharmed(server), contextlib.ExitStack() as stack:
        clients = [stack.enter_context(Client(server, "ops", f"room {number % 7}")) for number in range(200)]
        assert rooms(server)[0] == "/chat ops 200"
        clients[0].send(text(f"broadcast {json.dumps(['room 3', 'hello', True])}"))
        for client in clients[3::7]:
            assert client.read_text() == "hello"
        for client in clients[::2]:
            client.drop()
        wait_for(lambda: rooms(server)[0] == "/chat ops 100", "half of them to be gone")
        broadcast(server, "view", "to who is left", "ops")
        for client in clients[1::2]:
            assert client.read_text() == "to who is left"
