"""Every code example of the seed document, character by character, and every frame that a client sees of it.

Only the import line and the start are gws's. Examples 2 to 7 are a message handler alone: the rest of their programs
is the first example's. The order on the wire is program order, the return value last (docs: architecture).
"""

from __future__ import annotations

import textwrap

import pytest
import websocket as websocket_client
from websockets.sync.client import connect

from ..conftest import StartServer
from ..support.harness import Server
from ..support.program import DEADLINE, wait_for
from ..support.raw_client import FIN, RawClient, closed, said

EXAMPLE_1 = """\
from gws import App, WebSocket, jsonify

app = App(__file__)
websocket = WebSocket(app, "/web_socket")

@websocket.on("message")
def connect():
    return "Hello world, from ws"

@websocket.on("close")
def close():
    return "Goodbye world, from ws"

@websocket.on("connect")
def message():
    return "Connected to ws"
"""

SYNC_SEND_TO = """
  @websocket.on("message")
  def message(ws, msg, global_dependencies) -> str:
      websocket_id = ws.id
      ws.sync_send_to(websocket_id, "This is a message to self")
      return ""
"""

ASYNC_SEND_TO = """
  @websocket.on("message")
  async def message(ws, msg, global_dependencies) -> str:
      websocket_id = ws.id
      await ws.async_send_to(websocket_id, "This is a message to self")
      return ""
"""

SYNC_BROADCAST = """
  @websocket.on("message")
  def message(ws, msg, global_dependencies) -> str:
      websocket_id = ws.id
      ws.sync_broadcast("This is a message to self")
      return ""
"""

ASYNC_BROADCAST = """
  @websocket.on("message")
  async def message(ws, msg, global_dependencies) -> str:
      websocket_id = ws.id
      await ws.async_broadcast("This is a message to self")
      return ""
"""

QUERY_PARAMS = """
  @websocket.on("message")
  async def message(ws, msg, global_dependencies) -> str:
      websocket_id = ws.id
      if (ws.query_params.get("name") == "gordon" and ws.query_params.get("desg") == "commissioner"):
        ws.sync_broadcast("Gordon authorized to login!")
      return ""
"""

CLOSE = """
@websocket.on("message")
def message(ws, msg):
    if msg == "disconnect":
        ws.close()
        return "Closing connection"
    return "Message received"
"""

GLUE = """
@websocket.on("connect")
def connected():
    return "Connected to ws"

@websocket.on("close")
def closed():
    return "Goodbye world, from ws"
"""

BEGIN_APP = EXAMPLE_1[: EXAMPLE_1.index("@websocket")]

BEGIN_FLASK = """\
from flask import Flask
import gws
from gws import WebSocket

app = Flask(__name__)
websocket = WebSocket(app, "/web_socket")
"""

BEGIN_BLUEPRINT = """\
from flask import Blueprint, Flask
import gws
from gws import WebSocket

allies = Blueprint("allies", __name__, url_prefix="/allies")
websocket = WebSocket(allies, "/web_socket")
app = Flask(__name__)
"""

START_APP = """
if __name__ == "__main__":
    app.start(host="127.0.0.1", port=0)
"""

START_FLASK = """
if __name__ == "__main__":
    gws.serve(app, host="127.0.0.1", port=0)
"""

CONNECTED = said("Connected to ws")
GOODBYE = said("Goodbye world, from ws")
TO_SELF = said("This is a message to self")
EMPTY = said("")

SAY_GOODBYE = [GOODBYE, closed(1000), FIN]
"""What a client sees that closes with 1000 and no reason."""


def with_glue(example: str) -> str:
    """Return the program of an example that is a message handler."""
    return BEGIN_APP + textwrap.dedent(example) + GLUE + START_APP


def hello_and_close(server: Server, path: str = "/web_socket") -> list[object]:
    """Connect, say hello, and close when that is answered; every frame."""
    with RawClient(server, path) as client:
        first = [client.read_frame()]
        client.say("hello")
        first.append(client.read_frame())
        client.close()
        return [*first, *client.read_to_end()]


def test_the_first_example(start_server: StartServer, way: str) -> None:
    server = start_server(text=EXAMPLE_1 + START_APP, way=way)

    assert hello_and_close(server) == [CONNECTED, said("Hello world, from ws"), *SAY_GOODBYE]


@pytest.mark.parametrize("example", [SYNC_SEND_TO, ASYNC_SEND_TO], ids=["sync_send_to", "async_send_to"])
def test_send_to(start_server: StartServer, way: str, example: str) -> None:
    server = start_server(text=with_glue(example), way=way)

    with RawClient(server) as client, RawClient(server) as other:
        client.say("hello")
        assert client.read_frames(3) == [CONNECTED, TO_SELF, EMPTY]
        client.close()
        assert client.read_to_end() == SAY_GOODBYE
        other.close()
        assert other.read_to_end() == [CONNECTED, *SAY_GOODBYE]


@pytest.mark.parametrize(
    "example", [SYNC_BROADCAST, ASYNC_BROADCAST], ids=["sync_broadcast", "async_broadcast"]
)
def test_broadcast(start_server: StartServer, way: str, example: str) -> None:
    server = start_server(text=with_glue(example), way=way)

    with RawClient(server) as client, RawClient(server) as other:
        assert (client.read_frame(), other.read_frame()) == (CONNECTED, CONNECTED)
        client.say("hello")
        assert client.read_frames(2) == [TO_SELF, EMPTY]
        client.close()
        assert client.read_to_end() == SAY_GOODBYE
        assert other.read_frame() == TO_SELF
        other.close()
        assert other.read_to_end() == SAY_GOODBYE


def test_query_params(start_server: StartServer, way: str) -> None:
    server = start_server(text=with_glue(QUERY_PARAMS), way=way)
    authorized = said("Gordon authorized to login!")

    with RawClient(server, "/web_socket?name=gordon&desg=commissioner") as gordon, RawClient(server) as other:
        assert (gordon.read_frame(), other.read_frame()) == (CONNECTED, CONNECTED)
        gordon.say("hello")
        assert gordon.read_frames(2) == [authorized, EMPTY]
        assert other.read_frame() == authorized
        other.say("x")
        assert other.read_frame() == EMPTY
        gordon.close()
        assert gordon.read_to_end() == SAY_GOODBYE
        other.close()
        assert other.read_to_end() == SAY_GOODBYE


def test_close(start_server: StartServer, way: str) -> None:
    server = start_server(text=with_glue(CLOSE), way=way)

    with RawClient(server) as client:
        client.say("hello", "disconnect")
        assert client.read_frames(5) == [
            CONNECTED,
            said("Message received"),
            said("Closing connection"),
            GOODBYE,
            closed(1000, "Connection closed"),
        ]
        client.close(1000, "Connection closed")
        assert client.read_to_end() == [FIN]


def test_the_first_example_with_a_plain_flask_application(start_server: StartServer, way: str) -> None:
    handlers = EXAMPLE_1[EXAMPLE_1.index("@websocket") :]
    server = start_server(text=BEGIN_FLASK + handlers + START_FLASK, way=way)

    assert hello_and_close(server) == [CONNECTED, said("Hello world, from ws"), *SAY_GOODBYE]


def test_the_first_example_with_a_blueprint(start_server: StartServer, way: str) -> None:
    handlers = EXAMPLE_1[EXAMPLE_1.index("@websocket") :]
    register = "\napp.register_blueprint(allies)\n"
    server = start_server(text=BEGIN_BLUEPRINT + handlers + register + START_FLASK, way=way)

    assert hello_and_close(server, "/allies/web_socket") == [
        CONNECTED,
        said("Hello world, from ws"),
        *SAY_GOODBYE,
    ]


def test_a_blueprint_may_be_given_its_prefix_when_it_is_registered(start_server: StartServer) -> None:
    server = start_server(
        text=BEGIN_BLUEPRINT.replace(', url_prefix="/allies"', "")
        + GLUE
        + '\napp.register_blueprint(allies, url_prefix="/league")\n'
        + START_FLASK,
    )

    with RawClient(server, "/league/web_socket") as client:
        assert client.read_frame() == CONNECTED


def test_library_clients_see_a_clean_close(start_server: StartServer, way: str) -> None:
    server = start_server(text=with_glue(CLOSE), way=way)

    with connect(server.url(), open_timeout=DEADLINE, close_timeout=DEADLINE) as one:
        one.send("disconnect")
        assert list(one) == ["Connected to ws", "Closing connection", "Goodbye world, from ws"]
        assert (one.close_code, one.close_reason) == (1000, "Connection closed")

    other = websocket_client.create_connection(server.url(), timeout=DEADLINE)
    other.send("hello")
    assert [other.recv(), other.recv()] == ["Connected to ws", "Message received"]
    other.send_close(1000, b"enough")
    assert other.recv() == "Goodbye world, from ws"
    opcode, frame = other.recv_data_frame(control_frame=True)
    assert (opcode, frame.data) == (websocket_client.ABNF.OPCODE_CLOSE, b"\x03\xe8enough")
    other.shutdown()  # type: ignore[no-untyped-call]


def test_an_app_serves_http_beside_its_websockets(start_server: StartServer, way: str) -> None:
    route = '@app.get("/hello_world")\ndef hello_world():\n    return jsonify({"hello": ["world"]})\n'
    server = start_server(text=EXAMPLE_1 + route + START_APP, way=way)

    assert server.get("/hello_world") == '{"hello": ["world"]}'


def test_jsonify_returns_text_that_a_handler_may_return(start_server: StartServer) -> None:
    source = BEGIN_APP + (
        '@websocket.on("message")\n'
        "def message(msg):\n"
        '    answer = jsonify({"said": msg})\n'
        "    assert type(answer) is str\n"
        "    return answer\n"
    )
    server = start_server(text=source + START_APP)

    with RawClient(server) as client:
        client.say("hello")
        assert client.read_frame() == said('{"said": "hello"}')


def test_start_prints_where_it_listens_and_stops_with_0_when_it_is_told(start_server: StartServer) -> None:
    server = start_server(text=EXAMPLE_1 + START_APP)

    with RawClient(server) as client:
        assert client.read_frame() == CONNECTED
        server.tell()
        assert client.read_frames(2) == [GOODBYE, closed(1001, "going away")]
        client.close(1001)
        assert client.read_to_end() == [FIN]
    assert server.wait() == 0
    wait_for(lambda: "Traceback" not in server.log(), "a quiet end")
