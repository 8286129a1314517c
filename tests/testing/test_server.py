"""`gws.Server`: a server beside the code that goes on, in a thread or, where gevent has patched that, a greenlet."""

from __future__ import annotations

import pytest

from ..support.program import python

PATCH = {"a thread": "", "a greenlet": "from gevent import monkey; monkey.patch_all()"}

SOURCE = """
{patch}
import contextlib, os, socket, threading, urllib.request, warnings
import gws
from websockets.sync.client import connect

app = gws.App("app")
websocket = gws.WebSocket(app, "/chat")
ended = []

@websocket.on("message")
def message(ws, msg):
    ws.join("room")
    return msg.upper()

@websocket.on("close")
def close(ws):
    ended.append(ws.close_code)

@app.get("/")
def page():
    return threading.current_thread().name

@contextlib.contextmanager
def talk(server):
    with connect(server.url("/chat")) as client:
        client.send("hello")
        assert client.recv(timeout=5) == "HELLO"
        yield client
"""


@pytest.fixture(params=PATCH)
def source(request: pytest.FixtureRequest) -> str:
    return SOURCE.format(patch=PATCH[request.param])


def test_it_serves_on_a_free_port_and_what_the_program_sends_arrives(source: str) -> None:
    assert (
        python(
            source
            + """
with gws.Server(app) as server, talk(server) as client:
    assert server.port > 0
    websocket.broadcast({"a": 1})
    print(client.recv(timeout=5))
    websocket.broadcast("room", room="room")
    print(client.recv(timeout=5))
    print(websocket.count(), len(websocket.connections()))
    with urllib.request.urlopen(f"http://127.0.0.1:{server.port}/", timeout=5) as answer:
        print(answer.status)
"""
        )
        == '{"a": 1}\nroom\n1 1\n200\n'
    )


@pytest.mark.parametrize("host", ["", "::1", "::", "localhost"])
def test_its_url_can_be_connected_to_whatever_the_host(host: str) -> None:
    source = SOURCE.format(patch="")
    assert python(f"{source}\nwith gws.Server(app, host={host!r}) as server, talk(server):\n    pass\n") == ""


def test_its_end_closes_every_websocket_with_1001(source: str) -> None:
    assert (
        python(
            source
            + """
with contextlib.ExitStack() as clients:
    with gws.Server(app) as server:
        client = clients.enter_context(talk(server))
    try:
        client.recv(timeout=5)
    except Exception as error:
        print(error.rcvd.code, ended)
try:
    socket.create_connection(("127.0.0.1", server.port))
except ConnectionRefusedError:
    print("nobody listens")
"""
        )
        == "1001 [1001]\nnobody listens\n"
    )


def test_one_after_the_other_leaves_nothing_behind(source: str) -> None:
    script = (
        source
        + """
from gws.hub import io

counts = []
for number in range(12):
    with gws.Server(app) as server, talk(server):
        pass
    counts.append((len(os.listdir("/proc/self/fd")), len(io._of_hub)))
print(counts[1] == counts[-1], counts, ended)
"""
    )
    assert python(script).startswith("True ")


def test_what_keeps_it_from_starting_is_raised_where_it_was_asked_for(source: str) -> None:
    said = python(
        source
        + """
# gevent leaves the socket that could not listen to the garbage.
warnings.simplefilter("ignore", ResourceWarning)
for options in ({"host": "nowhere.invalid"}, {"certfile": "/nowhere.pem"}, {"debug": True}, {"port": "x"}):
    try:
        with gws.Server(app, **options):
            print("started")
    except (RuntimeError, TypeError) as error:
        print(type(error).__name__, error)
with gws.Server(app) as server, talk(server):
    print("another one starts")
"""
    ).splitlines()
    assert said[0].startswith("RuntimeError gws cannot listen on nowhere.invalid:0: ")
    assert said[0].endswith("change it in the call of gws")
    assert said[1].startswith("RuntimeError gws: certfile='/nowhere.pem' cannot be read")
    assert said[2].startswith("TypeError gws.serve() and app.start() have no option 'debug'")
    assert said[3].startswith("TypeError port is a number")
    assert said[4] == "another one starts"
