"""`gws.testing.Client`: what a test says to an application, and what it sees of it.

`test_client_patched` runs these once more in a process that gevent has patched.
"""

from __future__ import annotations

import asyncio
import datetime
import threading
import time
from collections.abc import Iterator
from typing import Any

import flask
import pytest
from flask.json.provider import DefaultJSONProvider

import gws
from gws.hub.threads import is_patched
from gws.testing import Client, ClosedError, RefusedError

SECRET = "of the session's cookie"


class Chat:
    """An application that does what it is told, and what it has noted."""

    def __init__(self) -> None:
        self.app = gws.App(__file__)
        self.app.config["SECRET_KEY"] = SECRET
        self.websocket = gws.WebSocket(self.app, "/chat", subprotocols=["v2", "v1"])
        self.closed: list[int | None] = []
        self.may_go_on = threading.Event()
        self.websocket.on("connect")(self.connect)
        self.websocket.on("message")(self.message)
        self.websocket.on("close")(self.close)
        self.app.add_url_rule("/login", view_func=self.login, methods=["POST"])

    def connect(self, ws: gws.WebSocketConnector) -> Any:
        for name in ws.query_params.get("does", "").split(","):
            if name == "refuse":
                return {"sorry": "no"}, 403
            if name == "raise":
                raise ValueError("in connect")
            if name == "accept":
                ws.accept()
            if name == "wait":
                self.may_go_on.wait(5)
            if name == "login":
                flask.session["name"] = "gordon"
        return None

    def message(self, ws: gws.WebSocketConnector, msg: str | bytes) -> Any:
        word, _, rest = msg.partition(" ") if isinstance(msg, str) else ("", "", "")
        if word == "who":
            return flask.session.get("name", "nobody")
        if word == "header":
            return ws.headers.get(rest, "-")
        if word == "join":
            # Long enough for a test that does not wait to see nothing.
            time.sleep(0.05)
            ws.join(rest)
            return None
        if word == "leave":
            ws.leave(rest)
            return None
        if word == "close":
            ws.close(4000, "as you wish")
            return "closing"
        if word == "raise":
            ws.send("before")
            raise ValueError(rest)
        if word == "wait":
            self.may_go_on.wait(5)
            return "waited"
        if word == "quiet":
            return None
        return msg

    def close(self, ws: gws.WebSocketConnector) -> None:
        time.sleep(0.02)
        self.closed.append(ws.close_code)
        if ws.close_reason == "raise":
            raise ValueError("in close")

    def login(self) -> str:
        flask.session["name"] = flask.request.form["name"]
        return ""


@pytest.fixture
def chat() -> Chat:
    return Chat()


@pytest.fixture
def client(chat: Chat) -> Iterator[Client]:
    with Client(chat.app) as client:
        yield client


# Messages


def test_a_test_in_a_line(chat: Chat) -> None:
    with Client(chat.app).connect("/chat?name=gordon") as ws:
        ws.send("hi")
        assert ws.receive() == "hi"
    assert chat.closed == [1000]


def test_text_and_binary_are_told_apart(client: Client) -> None:
    with client.connect("/chat") as ws:
        for message in ("grüße", b"\x00\xff", "", b""):
            ws.send(message)
            assert ws.receive() == message
        with pytest.raises(TypeError, match="not int"):
            ws.send(1)  # type: ignore[arg-type]


def test_json_is_made_and_read_by_the_applications_provider(chat: Chat) -> None:
    class Provider(DefaultJSONProvider):
        def dumps(self, obj: Any, **options: Any) -> str:
            return f"!{super().dumps(obj, **options)}"

        def loads(self, s: str | bytes, **options: Any) -> Any:
            return super().loads(s[1:], **options)

    chat.app.json = Provider(chat.app)
    with Client(chat.app).connect("/chat") as ws:
        ws.send({"day": datetime.date(2026, 11, 30)})
        assert ws.receive_json() == {"day": "Mon, 30 Nov 2026 00:00:00 GMT"}
        ws.send([1])
        assert ws.receive() == "![1]"


def test_a_wait_in_vain_ends_and_says_where_the_handler_is(chat: Chat, client: Client) -> None:
    assert client.timeout == 2
    ws = client.connect("/chat")
    ws.send("wait")
    began = time.monotonic()
    with pytest.raises(
        TimeoutError, match=r"no message from /chat within 0.1 s.*test_client.py, line \d+, in message"
    ):
        ws.receive(timeout=0.1)
    assert time.monotonic() - began < 1
    chat.may_go_on.set()
    assert ws.receive() == "waited"
    with pytest.raises(TimeoutError, match=r"within 0.1 s, and it is open$"):
        ws.receive(timeout=0.1)


def test_nothing_is_asserted_once_the_server_has_read_what_was_said(client: Client) -> None:
    with client.connect("/chat") as ws:
        ws.send("quiet")
        ws.assert_nothing()
        ws.send("hi")
        with pytest.raises(AssertionError, match="/chat has sent 'hi'"):
            ws.assert_nothing(0)
        assert ws.receive() == "hi"
        ws.send("close")
        assert ws.wait_closed().code == 4000
        assert ws.receive() == "closing"
        with pytest.raises(ClosedError):
            ws.assert_nothing()


def test_large_messages_pass_though_nobody_reads_yet(client: Client) -> None:
    large = "x" * 1024 * 1024
    with client.connect("/chat") as ws:
        # More than the buffers of both sockets and of the server take.
        for _ in range(40):
            ws.send(large)
        for _ in range(40):
            assert ws.receive() == large


def test_messages_that_nobody_reads_are_no_error(chat: Chat, client: Client) -> None:
    with client.connect("/chat") as ws:
        for _ in range(100):
            ws.send("hi")
    assert chat.closed == [1000]


def test_what_the_test_itself_sends_arrives(chat: Chat, client: Client) -> None:
    with client.connect("/chat") as one, client.connect("/chat") as two:
        chat.websocket.broadcast({"news": 1})
        assert one.receive_json() == two.receive_json() == {"news": 1}
        assert chat.websocket.send_to(two.id, "you")
        assert two.receive() == "you"
        one.assert_nothing()
        assert chat.websocket.count() == 2
        with chat.app.app_context():
            chat.websocket.broadcast("within a context")
        assert one.receive() == "within a context"


def test_a_coroutine_may_call_it(chat: Chat, client: Client) -> None:
    async def test() -> None:
        with client.connect("/chat") as ws:
            ws.send("hi")
            assert ws.receive() == "hi"
            chat.websocket.broadcast("news")
            assert ws.receive() == "news"

    asyncio.run(test())


# The end


def test_how_it_was_closed(chat: Chat, client: Client) -> None:
    with client.connect("/chat") as ws:
        assert not ws.closed
        ws.send("close")
        # The handler has run by then.
        assert ws.closed == (4000, "as you wish")
        assert ws.receive() == "closing"
        with pytest.raises(ClosedError, match="4000 as you wish") as closed:
            ws.receive()
        assert (closed.value.code, closed.value.reason) == (4000, "as you wish")
        with pytest.raises(ClosedError):
            ws.send("hi")
    with client.connect("/chat") as ws:
        chat.websocket.close_connection(ws.id, 4001)
        assert ws.closed == (4001, "Connection closed")
    assert chat.closed == [4000, 4001]


def test_the_client_closes_with_a_code_of_its_own(chat: Chat, client: Client) -> None:
    ws = client.connect("/chat")
    ws.close(4002, "enough")
    assert chat.closed == [4002]
    assert ws.closed == (4002, "enough")
    ws.close()
    with pytest.raises(ValueError, match="1005"):
        client.connect("/chat").close(1005)


def test_the_end_waits_for_the_close_handler_and_for_no_longer_than_it_may(
    chat: Chat, client: Client
) -> None:
    ws = client.connect("/chat")
    ws.send("wait")
    with pytest.raises(TimeoutError, match=r"has not ended its handlers 0.1 s after a close: .* in message"):
        ws.close(timeout=0.1)
    chat.may_go_on.set()


def test_the_end_of_a_client_closes_what_it_has_opened(chat: Chat) -> None:
    with Client(chat.app) as client:
        client.connect("/chat")
        ws = client.connect("/chat")
        assert chat.websocket.count() == 2
    assert chat.closed == [1000, 1000]
    assert ws.closed == (1000, "")
    with client.connect("/chat") as ws:
        ws.send("it begins again")
        assert ws.receive() == "it begins again"


def test_a_connection_that_is_lost(chat: Chat, client: Client) -> None:
    ws = client.connect("/chat")
    with client.connect("/chat") as other:
        ws.abort()
        while chat.websocket.count() == 2:
            other.assert_nothing(0.001)
    assert ws.closed == (1006, "")


# What the server knows


def test_its_rooms_once_all_is_handled(chat: Chat, client: Client) -> None:
    with client.connect("/chat") as ws:
        assert ws.rooms == set()
        ws.send("join kitchen")
        ws.send("join cellar")
        assert ws.rooms == {"kitchen", "cellar"}
        ws.send("leave cellar")
        assert ws.rooms == {"kitchen"}
        chat.websocket.broadcast("soup", room="kitchen")
        assert ws.receive() == "soup"
        ws.send("close")
        assert ws.rooms == set()


def test_to_wait_until_all_is_handled_takes_no_time_of_its_own(client: Client) -> None:
    with client.connect("/chat") as ws:
        began = time.monotonic()
        for _ in range(50):
            ws.send("quiet")
            assert ws.rooms == set()
        # TCP would have each wait 40 ms for an acknowledgement.
        assert time.monotonic() - began < 1.5


def test_a_handler_that_receives_has_handled_what_it_waits_behind() -> None:
    app = gws.App(__file__)

    @app.websocket("/def")
    def receive(ws: gws.Socket) -> None:
        for room in ws:
            time.sleep(0.01)
            ws.join(str(room))
            if room == "last":
                return

    @app.websocket("/async")
    async def receive_async(ws: gws.AsyncSocket) -> None:
        async for room in ws:
            await asyncio.sleep(0.01)
            ws.join(str(room))
            if room == "last":
                return

    with Client(app) as client:
        for path in ("/def", "/async"):
            with client.connect(path) as ws:
                assert ws.rooms == set()
                ws.send("kitchen")
                ws.send("cellar")
                assert ws.rooms == {"kitchen", "cellar"}
                assert ws.closed is None
                with pytest.raises(TimeoutError, match=r"and it is open$"):
                    ws.receive(timeout=0.05)
                ws.send("last")
                assert ws.closed == (1000, "")


def test_a_path_and_a_query_may_have_any_letters() -> None:
    app = gws.App(__file__)
    websocket = gws.WebSocket(app, "/ü/<name>")
    websocket.on("message")(lambda ws, name: [name, ws.query_params.get("q")])
    with Client(app) as client, client.connect("/ü/é?q=ñ%20&x") as ws:
        ws.send("x")
        assert ws.receive_json() == ["é", "ñ "]


def test_its_rooms_are_not_known_while_a_handler_runs(chat: Chat) -> None:
    client = Client(chat.app, timeout=0.2)
    ws = client.connect("/chat")
    ws.send("wait")
    with pytest.raises(TimeoutError, match=r"have not ended within 0.2 s: .* in message"):
        _ = ws.rooms
    chat.may_go_on.set()
    assert ws.receive(2) == "waited"
    client.timeout = 2
    client.close()


def test_its_id_when_the_connect_handler_has_accepted_and_runs_on(chat: Chat) -> None:
    with Client(chat.app, timeout=0.2) as client, client.connect("/chat?does=accept,wait") as ws:
        with pytest.raises(
            TimeoutError, match=r"the connect handler has not ended after 0.2 s: .* in connect"
        ):
            _ = ws.id
        chat.may_go_on.set()
        assert ws.id in chat.websocket.connections()


# The handshake


def test_a_refusal_is_raised_with_its_status_and_its_body(client: Client) -> None:
    with pytest.raises(RefusedError, match=r'/chat answers 403 FORBIDDEN: {"sorry":"no"}') as refused:
        client.connect("/chat?does=refuse")
    assert (refused.value.status, refused.value.body) == (403, '{"sorry":"no"}\n')
    assert refused.value.response.json == {"sorry": "no"}
    with pytest.raises(RefusedError) as refused:
        client.connect("/nowhere")
    assert refused.value.status == 404


def test_what_refuses_before_the_handler(chat: Chat, client: Client) -> None:
    @chat.app.before_request
    def login_required() -> Any:
        return (
            flask.redirect("/login")
            if "name" not in flask.session and flask.request.path == "/chat"
            else None
        )

    with pytest.raises(RefusedError) as refused:
        client.connect("/chat")
    assert (refused.value.status, refused.value.response.location) == (302, "/login")
    client.http.post("/login", data={"name": "gordon"})
    client.connect("/chat").close()


def test_a_handshake_that_is_not_answered(chat: Chat, client: Client) -> None:
    with pytest.raises(TimeoutError, match=r"handshake of /chat\?does=wait within 0.1 s: .* in connect"):
        client.connect("/chat?does=wait", timeout=0.1)
    chat.may_go_on.set()


def test_it_sends_the_cookies_of_flasks_test_client_and_keeps_those_that_come(chat: Chat) -> None:
    flask_client = chat.app.test_client()
    flask_client.post("/login", data={"name": "barbara"})
    with Client(chat.app, flask_client).connect("/chat") as ws:
        ws.send("who")
        assert ws.receive() == "barbara"
    client = Client(chat.app)
    client.connect("/chat?does=login").close()
    with client.http.session_transaction() as session:
        assert session["name"] == "gordon"
    with client.connect("/chat") as ws:
        ws.send("who")
        assert ws.receive() == "gordon"


def test_headers_are_those_of_the_call_and_of_flasks_test_client(client: Client) -> None:
    client.http.environ_base["HTTP_AUTHORIZATION"] = "Bearer of it"
    with client.connect("/chat", headers={"X-Name": "gordon"}) as ws:
        for name, value in (("X-Name", "gordon"), ("Authorization", "Bearer of it"), ("Host", "localhost")):
            ws.send(f"header {name}")
            assert ws.receive() == value
    with client.connect("http://a.example/chat") as ws:
        ws.send("header Host")
        assert ws.receive() == "a.example"


def test_the_page_that_connects(client: Client) -> None:
    client.connect("/chat", origin="http://localhost").close()
    with pytest.raises(RefusedError, match=r"b\.example") as refused:
        client.connect("/chat", origin="https://b.example")
    assert refused.value.status == 403


def test_a_subprotocol(client: Client) -> None:
    with client.connect("/chat", subprotocols=["v1", "v3"]) as ws:
        assert ws.subprotocol == "v1"
    with client.connect("/chat") as ws:
        assert ws.subprotocol is None


def test_path_and_query_arrive_as_they_were_meant(chat: Chat, client: Client) -> None:
    rooms = gws.WebSocket(chat.app, "/rooms/<name>")

    @rooms.on("connect")
    def connect(ws: gws.WebSocketConnector, name: str) -> list[str]:
        return [name, ws.query_params.get("q", "")]

    for path in ("/rooms/küche?q=ja & nein", "/rooms/k%C3%BCche?q=ja+%26+nein"):
        with client.connect(path.replace(" & ", "+%26+")) as ws:
            assert ws.receive_json() == ["küche", "ja & nein"]


def test_only_a_flask_application_will_do(chat: Chat) -> None:
    with pytest.raises(TypeError, match=r"not function; put WSGI middleware around app\.wsgi_app"):
        Client(lambda environ, start: [])  # type: ignore[arg-type]


# Clients beside each other


def test_two_applications_at_once() -> None:
    one, two = Chat(), Chat()
    with Client(one.app).connect("/chat") as here, Client(two.app).connect("/chat") as there:
        one.websocket.broadcast("one")
        two.websocket.broadcast("two")
        assert here.receive() == "one"
        assert there.receive() == "two"
        here.assert_nothing()
        there.assert_nothing()


def test_a_server_beside_it_and_then_a_client_again(chat: Chat, client: Client) -> None:
    with client.connect("/chat") as ws:
        with gws.Server(Chat().app):
            ws.send("hi")
            assert ws.receive() == "hi"
        # Its end is that of all WebSockets of the process.
        assert ws.closed == (1001, "going away")
    with client.connect("/chat") as ws:
        ws.send("hi")
        assert ws.receive() == "hi"
        assert chat.websocket.count() == 1


@pytest.mark.skipif(is_patched(), reason="there handlers wait as gevent code does")
def test_a_handler_that_blocks_the_thread_does_not_block_the_next_test(chat: Chat, client: Client) -> None:
    ws = client.connect("/chat")
    ws.send("wait")
    with pytest.raises(
        TimeoutError, match=r"a handler blocks the thread .* in message; end its wait, or patch"
    ):
        ws.receive(timeout=0.1)
    began = time.monotonic()
    with client.connect("/chat") as other:
        other.send("hi")
        assert other.receive() == "hi"
    assert time.monotonic() - began < 1.5
    chat.may_go_on.set()
    assert ws.receive() == "waited"
