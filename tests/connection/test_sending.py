"""`send_to` and `broadcast`: to whom, from where, and what the sender is told."""

from __future__ import annotations

import json
import urllib.parse

import pytest
from websockets.sync.client import ClientConnection, connect

from ..conftest import StartServer
from ..support.harness import NOTES, Server, unharmed
from ..support.program import DEADLINE, wait_for
from ..support.raw_client import FIN, RawClient, closed, said

SOURCE = (
    NOTES
    + """
import functools
from gevent import monkey

native_thread = monkey.get_original("_thread", "start_new_thread")

room = WebSocket(app, "/room")
elsewhere = WebSocket(app, "/elsewhere")
members = {}

def greet(ws):
    members[ws.id] = ws
    return ws.id

def command(ws, msg):
    name, _, argument = msg.partition(" ")
    if name == "to":
        return json.dumps([ws.sync_send_to(argument, "for you"), room.send_to(argument, "for you")])
    if name == "to-odd":
        return json.dumps([ws.sync_send_to(eval(argument), "x"), room.send_to(eval(argument), "x")])
    if name == "broadcast":
        ws.sync_broadcast(argument)
        return "done"
    if name == "wrong":
        complaints = []
        own, theirs = functools.partial(ws.sync_send_to, ws.id), functools.partial(room.send_to, "")
        for send in own, ws.sync_broadcast, room.broadcast, theirs:
            for value in (5, None, set()):
                try:
                    send(value)
                except TypeError as error:
                    complaints.append(str(error))
        return json.dumps(complaints)
    return msg

async def command_async(ws, msg):
    name, _, argument = msg.partition(" ")
    if name == "to":
        return json.dumps([await ws.async_send_to(argument, "for you"), ws.sync_send_to(argument, "for you")])
    if name == "to-odd":
        return json.dumps([await ws.async_send_to(eval(argument), "x")])
    if name == "broadcast":
        await ws.async_broadcast(argument)
        return "done"

def bye(ws):
    members.pop(ws.id, None)

for websocket in room, elsewhere:
    websocket.on("connect")(greet)
    websocket.on("message")(command)
    websocket.on("close")(bye)

aroom = WebSocket(app, "/async/room")
aroom.on("connect")(greet)
aroom.on("message")(command_async)

@app.get("/announce/<text>")
def announce(text):
    return json.dumps(room.broadcast(text))

@app.get("/whisper/<id>/<text>")
def whisper(id, text):
    return json.dumps(room.send_to(id, text))

@app.get("/by_ws/<id>/<other>")
def by_ws(id, other):
    ws = members[id]
    ws.sync_broadcast("by ws, to all")
    return json.dumps(ws.sync_send_to(other, "by ws, to one"))

@app.get("/from_greenlet/<id>")
def from_greenlet(id):
    def send():
        room.broadcast("from a greenlet, to all")
        return room.send_to(id, "from a greenlet, to one")
    greenlet = gevent.spawn(send)
    greenlet.join()
    return json.dumps(greenlet.value)

@app.get("/from_pool/<id>")
def from_pool(id):
    def send():
        room.broadcast("from a pool, to all")
        return [room.send_to(id, "from a pool, to one"), members[id].sync_send_to(id, "by ws"), room.send_to("no", "")]
    return json.dumps(gevent.get_hub().threadpool.apply(send))

@app.get("/from_threads/<int:count>/<int:threads>")
def from_threads(count, threads):
    def send(thread):
        for number in range(count):
            room.broadcast(f"{thread} {number}")
    for thread in range(threads):
        native_thread(send, (thread,))
    return ""

@app.get("/later")
def later():
    gevent.spawn_later(0.01, room.broadcast, "from a timer")
    return ""
"""
)


@pytest.fixture(scope="module")
def server(start_module_server: StartServer) -> Server:
    return start_module_server(SOURCE)


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


@pytest.mark.parametrize("kind", ["def", "async def"])
def test_50_000_messages_to_itself_all_arrive_in_order(start_server: StartServer, kind: str) -> None:
    send = "await ws.async_send_to" if kind == "async def" else "ws.sync_send_to"
    server = start_server(
        f"""
        websocket = WebSocket(app, "/web_socket")

        @websocket.on("message")
        {kind} message(ws, msg):
            for number in range(50_000):
                assert {send}(ws.id, str(number))
            return "done"
        """
    )
    with RawClient(server) as client:
        client.say("begin")
        assert client.read_frames(50_001) == [
            *(said(str(number)) for number in range(50_000)),
            said("done"),
        ]
        client.close()
        assert client.read_to_end() == [closed(1000), FIN]
    assert server.vitals()["counters"] == {}


@pytest.mark.parametrize("kind", ["def", "async def"])
def test_a_burst_of_broadcasts_does_not_make_clients_that_read_look_slow(
    start_server: StartServer, kind: str
) -> None:
    send = "await ws.async_broadcast" if kind == "async def" else "ws.sync_broadcast"
    server = start_server(
        f"""
        # More than a loaded machine keeps a client from reading for, and less than the burst.
        websocket = WebSocket(app, "/web_socket", max_outbox_size=4 * 1024 * 1024)

        @websocket.on("message")
        {kind} message(ws, msg):
            for number in range(100):
                {send}(f"{{number}} " + "x" * 50_000)
            return "done"
        """
    )
    with RawClient(server) as one, RawClient(server) as two:
        one.say("begin")
        # Read in turns: each must be read for the other to be served.
        pairs = [(one.read_frame(), two.read_frame()) for _ in range(100)]
        assert [str(frame[1]).split()[0] for frame, _ in pairs] == [str(number) for number in range(100)]
        assert all(mine == theirs for mine, theirs in pairs)
        assert one.read_frame() == said("done")
    assert server.vitals()["counters"] == {}


@pytest.mark.parametrize("kind", ["def", "async def"])
def test_a_burst_to_one_lets_the_others_be_heard(start_server: StartServer, kind: str) -> None:
    send = "await ws.async_send_to" if kind == "async def" else "ws.sync_send_to"
    server = start_server(
        f"""
        websocket = WebSocket(app, "/web_socket", max_outbox_size=100_000_000)
        heard = gevent.event.Event()

        @websocket.on("connect")
        def connect(ws):
            return ws.id

        @websocket.on("message")
        {kind} message(ws, msg):
            if msg == "I hear you":
                heard.set()
            else:
                for number in range(200_000):
                    {send}(msg, "x" * 100)
                    if heard.is_set():
                        break
                return f"heard: {{heard.is_set()}}"
        """
    )
    with RawClient(server) as sender, RawClient(server) as receiver:
        sender.read_frame()
        sender.say(receiver.read_text())
        receiver.read_frame()
        receiver.say("I hear you")
        assert sender.read_text() == "heard: True"


def test_a_native_thread_is_held_back_while_the_hub_is_busy_and_gives_up_after_a_while(
    start_server: StartServer,
) -> None:
    server = start_server(
        """
        from gevent import monkey
        from gws.hub import io

        io.HAND_OVER_TIMEOUT = 0.5
        sleep, native_thread = monkey.get_original("time", "sleep"), monkey.get_original("_thread", "start_new_thread")
        websocket = WebSocket(app, "/web_socket")

        @websocket.on("message")
        def message(ws, msg):
            sent = []
            def send():
                while not sent or sent[-1]:
                    sent.append(websocket.send_to(ws.id, str(len(sent))))
            native_thread(send, ())
            sleep(0.25)
            before = len(sent)
            sleep(0.75)
            return [before, sent.count(True), sent.count(False)]
        """
    )
    with unharmed(server), RawClient(server) as client:
        client.say("begin")
        assert client.read_frames(65) == [said("[64, 64, 1]"), *(said(str(number)) for number in range(64))]
    assert server.vitals()["counters"] == {"undelivered": 1}


def test_a_handler_that_waits_for_a_thread_that_sends_is_held_up_once(start_server: StartServer) -> None:
    server = start_server(
        """
        from gevent import monkey
        from gws.hub import io

        io.HAND_OVER_TIMEOUT = 0.5
        native_thread = monkey.get_original("_thread", "start_new_thread")
        new_lock = monkey.get_original("_thread", "allocate_lock")
        websocket = WebSocket(app, "/web_socket")

        @websocket.on("message")
        def message(ws, msg):
            finished = new_lock()
            finished.acquire()
            def work():
                for number in range(int(msg)):
                    websocket.broadcast(str(number))
                finished.release()
            native_thread(work, ())
            return "in time" if finished.acquire(timeout=5) else "too late"
        """
    )
    with unharmed(server), RawClient(server) as client:
        for _ in range(2):
            client.say("100")
            assert client.read_frames(65) == [said("in time"), *(said(str(number)) for number in range(64))]
    assert server.vitals()["counters"] == {"undelivered": 72}
