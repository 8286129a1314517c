"""`gws.Publisher` and `python -m gws`: what they say is heard, and what goes wrong is said, without the password."""

from __future__ import annotations

import contextlib
import itertools
import os
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import redis

from gws.backplane import channels
from gws.backplane.redis.server import MAX_CONNECTIONS
from gws.cluster.envelope import MAX_IDS, Envelope, Kind, decode
from gws.cluster.ids import new_id, node_of
from gws.cluster.publisher import Publisher
from gws.errors import BackplaneError

from ..conftest import StartServer
from ..support.client_frames import BINARY
from ..support.program import DEADLINE, python, wait_for
from ..support.raw_client import RawClient, closed, said
from ..support.valkey import Valkey, free_port

SECRET = "s3cret"


class Listener:
    """A client of the server's, which has nothing of gws, and what is published on some channels.

    Args:
        valkey: the server.
        names: of the channels, without their namespace.
        namespace: theirs.
    """

    def __init__(self, valkey: Valkey, *names: str, namespace: str = "gws") -> None:
        self._client = redis.Redis(port=valkey.port, socket_timeout=DEADLINE)
        self._pubsub: Any = self._client.pubsub()  # type: ignore[no-untyped-call]
        self._pubsub.subscribe(*(f"{namespace}:{name}" for name in names))
        for _ in names:
            assert self._next()["type"] == "subscribe"

    def __enter__(self) -> Listener:
        return self

    def __exit__(self, *_: object) -> None:
        self._pubsub.close()
        self._client.close()

    def hear(self) -> Envelope:
        """Return the next envelope."""
        return decode(self._next()["data"])

    def hear_until(self, payload: bytes) -> list[bytes]:
        """Return the payloads before this one."""
        return list(
            itertools.takewhile(
                lambda heard: heard != payload, (self.hear().payload for _ in itertools.count())
            )
        )

    def _next(self) -> Any:
        message = self._pubsub.get_message(timeout=DEADLINE)
        assert message is not None, f"waited {DEADLINE} s for a message"
        return message


@pytest.fixture(scope="module")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Valkey]:
    """Return a server for the tests that leave it as it is."""
    with Valkey(tmp_path_factory.mktemp("valkey")) as valkey:
        yield valkey


@pytest.fixture
def publisher(valkey: Valkey) -> Iterator[Publisher]:
    """Return a publisher to it."""
    with Publisher(valkey.url) as publisher:
        yield publisher


def node_channel(connection_id: str) -> str:
    number = node_of(connection_id)
    assert number is not None
    return channels.of_node(number)


@pytest.mark.parametrize("endpoint", ["/chat", "chat"])
@pytest.mark.parametrize(("message", "is_text"), [("Grüße", True), ("", True), (b"\0\xff", False)])
def test_a_broadcast_goes_to_the_endpoint(
    valkey: Valkey, publisher: Publisher, endpoint: str, message: str | bytes, is_text: bool
) -> None:
    payload = message.encode() if isinstance(message, str) else message
    with Listener(valkey, channels.of_endpoint("/chat")) as listener:
        assert publisher.broadcast(endpoint, message) == 1
        assert listener.hear() == Envelope(Kind.BROADCAST, 0, 0, payload, is_text)
        assert publisher.broadcast(endpoint, message) == 1
        assert listener.hear().sequence == 0


@pytest.mark.parametrize(("message", "text"), [({"a": [1, None]}, '{"a": [1, null]}'), ([], "[]")])
def test_a_dict_or_a_list_goes_out_as_json(
    valkey: Valkey, publisher: Publisher, message: Any, text: str
) -> None:
    recipient = new_id()
    with Listener(valkey, channels.of_endpoint("/chat"), node_channel(recipient)) as listener:
        assert publisher.broadcast("/chat", message) == 1
        assert publisher.send_to("/chat", recipient, message) is True
        assert [listener.hear().payload.decode() for _ in range(2)] == [text, text]


def test_a_broadcast_to_a_room_goes_there_only(valkey: Valkey, publisher: Publisher) -> None:
    room, another = (channels.of_endpoint("/chat", name) for name in ("öps", "dev"))
    with Listener(valkey, room, another, channels.of_endpoint("/chat")) as listener:
        assert publisher.broadcast("/chat", "one", "öps") == 1
        assert publisher.broadcast("/chat", "two", room="dev") == 1
        assert [listener.hear().payload, listener.hear().payload] == [b"one", b"two"]
    with Listener(valkey, room) as listener:
        assert publisher.broadcast("/chat", "to nobody", "dev") == 0
        publisher.broadcast("/chat", "end", "öps")
        assert listener.hear_until(b"end") == []


def test_those_whom_a_broadcast_leaves_out_are_named_and_what_is_no_id_is_not(
    valkey: Valkey, publisher: Publisher
) -> None:
    ids = [new_id() for _ in range(MAX_IDS - 1)]
    with Listener(valkey, channels.of_endpoint("/chat")) as listener:
        publisher.broadcast("/chat", "hello", exclude=["nobody", *ids])
        assert listener.hear().ids == tuple(ids)
    with pytest.raises(ValueError, match="at most 255 connections can be left out, not 256"):
        publisher.broadcast("/chat", "hello", exclude=[*ids, "nobody", new_id()])


def test_it_says_how_many_heard_it(valkey: Valkey, publisher: Publisher) -> None:
    channel = channels.of_endpoint("/chat")
    with Listener(valkey, channel), Listener(valkey, channel), Listener(valkey, "another"):
        assert publisher.broadcast("/chat", "hello") == 2
    wait_for(lambda: publisher.broadcast("/chat", "hello") == 0, "the listeners to be gone")


@pytest.mark.parametrize("endpoint", ["/chat", "chat"])
def test_a_message_to_a_connection_goes_to_its_node(
    valkey: Valkey, publisher: Publisher, endpoint: str
) -> None:
    recipient = new_id()
    with Listener(valkey, node_channel(recipient)) as listener:
        assert publisher.send_to(endpoint, recipient, "hello") is True
        assert listener.hear() == Envelope(Kind.SEND, 0, 0, b"hello", True, (recipient,), "/chat")
        assert publisher.send_to(endpoint, recipient, b"\xff") is True
        assert listener.hear() == Envelope(Kind.SEND, 0, 0, b"\xff", False, (recipient,), "/chat")


def test_a_connection_is_closed_by_its_node(valkey: Valkey, publisher: Publisher) -> None:
    whom = new_id()
    with Listener(valkey, node_channel(whom)) as listener:
        assert publisher.close_connection("chat", whom) is True
        assert listener.hear() == Envelope(
            Kind.CLOSE, 0, 0, b"\x03\xe8Connection closed", False, (whom,), "/chat"
        )
        assert publisher.close_connection("/chat", whom, 4999, "tschüß") is True
        assert listener.hear().payload == b"\x13\x87" + "tschüß".encode()


def test_a_node_that_is_gone_takes_nothing(publisher: Publisher) -> None:
    assert publisher.send_to("/chat", new_id(), "hello") is False
    assert publisher.close_connection("/chat", new_id()) is False


@pytest.mark.parametrize("what", ["", "nobody", "4b1f8f6c-7f4e-4c1e-9a0e-0123456789ab", None, 5, b"x"])
def test_what_is_no_id_is_nobodys(publisher: Publisher, what: object) -> None:
    assert publisher.send_to("/chat", what, "hello") is False
    assert publisher.close_connection("/chat", what) is False


@pytest.mark.parametrize("message", [None, 5, {"a"}, bytearray(b"x")])
def test_what_is_no_message_is_refused(publisher: Publisher, message: Any) -> None:
    complaint = f"a message is str, bytes, dict or list, not {type(message).__name__}"
    with pytest.raises(TypeError, match=complaint):
        publisher.broadcast("/chat", message)
    with pytest.raises(TypeError, match=complaint):
        publisher.send_to("/chat", "", message)


def test_text_that_utf_8_cannot_carry_is_refused(publisher: Publisher) -> None:
    with pytest.raises(ValueError, match="surrogates not allowed"):
        publisher.broadcast("/chat", "\ud800")


def test_what_is_no_room_is_refused(publisher: Publisher) -> None:
    room: Any = 5
    with pytest.raises(TypeError, match="a room's name is a str, not 5"):
        publisher.broadcast("/chat", "hello", room)
    with pytest.raises(ValueError, match="at most 1024 bytes"):
        publisher.broadcast("/chat", "hello", "x" * 1025)


def test_what_may_not_stand_in_a_close_frame_is_refused(publisher: Publisher) -> None:
    code: Any = "1000"
    with pytest.raises(TypeError, match="closed with an int and a str"):
        publisher.close_connection("/chat", new_id(), code)
    with pytest.raises(ValueError, match="close code 1005 may not be sent"):
        publisher.close_connection("/chat", new_id(), 1005)
    with pytest.raises(ValueError, match="at most 123 bytes"):
        publisher.close_connection("/chat", new_id(), 1000, "é" * 62)


@pytest.mark.parametrize("kind", ["unix", "valkey", "namespace"])
def test_any_url_of_the_server_will_do(valkey: Valkey, kind: str) -> None:
    url, namespace = {
        "unix": (f"unix://{quote(str(valkey.path))}", "gws"),
        "valkey": (f"valkey://127.0.0.1:{valkey.port}", "gws"),
        "namespace": (f"{valkey.url}/0?namespace=other", "other"),
    }[kind]
    channel = channels.of_endpoint("/chat")
    with Publisher(url) as publisher, Listener(valkey, channel, namespace=namespace) as listener:
        assert publisher.broadcast("/chat", "hello") == 1
        assert listener.hear().payload == b"hello"


def test_threads_share_it_and_few_connections(valkey: Valkey) -> None:
    count, each = 4 * MAX_CONNECTIONS, 25
    channel = channels.of_endpoint("/chat")
    with (
        Publisher(f"{valkey.url}?client_name=shared") as publisher,
        Listener(valkey, channel) as listener,
        ThreadPoolExecutor(count) as pool,
    ):
        start = threading.Barrier(count)

        def send(name: int) -> None:
            start.wait(DEADLINE)
            for number in range(each):
                assert publisher.broadcast("/chat", f"{name} {number}") == 1

        for done in [pool.submit(send, name) for name in range(count)]:
            done.result(DEADLINE)
        publisher.broadcast("/chat", "end")
        heard = listener.hear_until(b"end")
        assert sorted(heard) == sorted(
            f"{name} {number}".encode() for name in range(count) for number in range(each)
        )
        for name in range(count):
            own = [payload for payload in heard if payload.startswith(b"%d " % name)]
            assert own == [f"{name} {number}".encode() for number in range(each)]
        with redis.Redis(port=valkey.port) as admin:
            names = [client["name"] for client in admin.client_list()]
        assert 1 < names.count("shared") <= MAX_CONNECTIONS


def test_a_forked_child_may_use_its_parents(valkey: Valkey) -> None:
    script = """
        import os, sys
        from gws.cluster.publisher import Publisher

        publisher = Publisher(sys.argv[1])
        publisher.broadcast("/chat", "parent")
        children = []
        for number in range(4):
            children.append(os.fork())
            if not children[-1]:
                for _ in range(50):
                    assert publisher.broadcast("/chat", f"child {number}") == 1
                os._exit(0)
        for child in children:
            assert os.waitpid(child, 0)[1] == 0
        publisher.broadcast("/chat", "end")
        publisher.close()
    """
    with Listener(valkey, channels.of_endpoint("/chat")) as listener:
        python(script, valkey.url)
        heard = listener.hear_until(b"end")
    assert sorted(heard) == sorted(
        [b"parent", *(b"child %d" % number for number in range(4) for _ in range(50))]
    )


def test_greenlets_of_a_patched_process_may_use_it_too(valkey: Valkey) -> None:
    script = """
        from gevent import monkey; monkey.patch_all()
        import sys, gevent
        from gws.cluster.publisher import Publisher

        with Publisher(sys.argv[1]) as publisher:
            sent = [gevent.spawn(publisher.broadcast, "/chat", "hello") for _ in range(100)]
            gevent.joinall(sent, timeout=10, raise_error=True)
            print({one.value for one in sent})
    """
    with Listener(valkey, channels.of_endpoint("/chat")):
        assert python(script, valkey.url) == "{1}\n"


def test_nothing_is_left_open_and_it_opens_again(valkey: Valkey) -> None:
    url = f"{valkey.url}?client_name=closing"
    with redis.Redis(port=valkey.port) as admin:

        def count() -> int:
            return [client["name"] for client in admin.client_list()].count("closing")

        with Publisher(url) as publisher:
            assert count() == 0
            publisher.broadcast("/chat", "hello")
            assert count() == 1
        wait_for(lambda: count() == 0, "the connection to be closed")
        publisher.close()
        assert publisher.broadcast("/chat", "hello") == 0
        publisher.close()


def test_a_server_that_was_restarted_meanwhile_is_found_at_once(tmp_path: Path) -> None:
    with Valkey(tmp_path) as valkey, Publisher(valkey.url) as publisher:
        publisher.broadcast("/chat", "before")
        valkey.kill()
        valkey.start()
        with Listener(valkey, channels.of_endpoint("/chat")) as listener:
            assert publisher.broadcast("/chat", "after") == 1
            assert listener.hear().payload == b"after"


def test_a_server_that_is_away_is_an_error_until_it_is_back(tmp_path: Path) -> None:
    with Valkey(tmp_path) as valkey, Publisher(valkey.url) as publisher:
        publisher.broadcast("/chat", "before")
        valkey.kill()
        for _ in range(2):
            with pytest.raises(BackplaneError, match=f"^{valkey.url}: .*Connection refused"):
                publisher.broadcast("/chat", "meanwhile")
        valkey.start()
        assert publisher.broadcast("/chat", "after") == 0


def test_a_frozen_server_is_an_error_and_what_was_sent_to_it_is_not_repeated(tmp_path: Path) -> None:
    channel = channels.of_endpoint("/chat")
    with (
        Valkey(tmp_path) as valkey,
        Publisher(f"{valkey.url}?socket_timeout=0.3") as publisher,
        Listener(valkey, channel) as listener,
    ):
        publisher.broadcast("/chat", "before")
        valkey.freeze()
        with pytest.raises(BackplaneError, match=r"socket_timeout=0.3: Timeout"):
            publisher.broadcast("/chat", "meanwhile")
        valkey.thaw()
        assert publisher.broadcast("/chat", "after") == 1
        assert listener.hear_until(b"after") == [b"before", b"meanwhile"]


@contextlib.contextmanager
def serving(serve: Callable[[socket.socket], None]) -> Iterator[int]:
    """Return a port where each connection is served so."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def accept() -> None:
            with contextlib.suppress(OSError):
                while True:
                    client, _ = listener.accept()
                    with client, contextlib.suppress(ConnectionError):
                        serve(client)

        thread = threading.Thread(target=accept)
        thread.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(DEADLINE)


def test_a_message_that_may_have_gone_out_is_not_sent_again() -> None:
    published = []

    def lose(client: socket.socket) -> None:
        while data := client.recv(65536):
            if b"PUBLISH" in data:
                published.append(data)
                return
            client.sendall(b"+OK\r\n" * data.count(b"*"))

    with serving(lose) as port, Publisher(f"redis://127.0.0.1:{port}?retry_on_timeout=true") as publisher:
        with pytest.raises(BackplaneError, match="Connection closed by server"):
            publisher.broadcast("/chat", "hello")
        assert len(published) == 1


class Web(BaseHTTPRequestHandler):
    """Answers what is no HTTP with HTTP."""

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def test_a_web_server_is_no_backplane() -> None:
    with HTTPServer(("127.0.0.1", 0), Web) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            url = f"redis://127.0.0.1:{server.server_port}"
            with (
                Publisher(url) as publisher,
                pytest.raises(BackplaneError, match=f"^{url}: this is no Redis and no Valkey"),
            ):
                publisher.broadcast("/chat", "hello")
        finally:
            server.shutdown()
            thread.join(DEADLINE)


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Valkey]:
    """Return a server that takes a password, and has a user who may do nothing."""
    folder = tmp_path_factory.mktemp("guarded")
    with Valkey(folder, "--requirepass", SECRET, "--user", "idle", "on", f">{SECRET}", "+ping") as valkey:
        yield valkey


def test_a_password_is_given(guarded: Valkey) -> None:
    for url, shown in (
        (f"redis://:{SECRET}@127.0.0.1:{guarded.port}", f"redis://***@127.0.0.1:{guarded.port}"),
        (f"unix://{guarded.path}?password={SECRET}", f"unix://{guarded.path}?password=***"),
    ):
        with Publisher(url) as publisher:
            assert publisher.broadcast("/chat", "hello") == 0
            assert repr(publisher) == f"<Publisher {shown}>"


@pytest.mark.parametrize(
    ("userinfo", "reason"),
    [
        ("", "Authentication required"),
        (f":x{SECRET}@", "invalid username-password pair"),
        (f"nobody:{SECRET}@", "invalid username-password pair"),
        (f"idle:{SECRET}@", "has no permissions"),
    ],
)
def test_what_the_server_refuses_is_an_error_without_the_password(
    guarded: Valkey, userinfo: str, reason: str
) -> None:
    address = f"127.0.0.1:{guarded.port}"
    with (
        Publisher(f"redis://{userinfo}{address}") as publisher,
        pytest.raises(BackplaneError, match=f"^redis://.*{address}: .*{reason}") as refusal,
    ):
        publisher.broadcast("/chat", "hello")
    assert SECRET not in str(refusal.value)
    assert refusal.value.__cause__ is None


def test_a_server_that_repeats_the_password_does_not_get_it_shown(tmp_path: Path) -> None:
    with Valkey(tmp_path, "--rename-command", "AUTH", "") as valkey:
        with redis.Redis(port=valkey.port) as admin, pytest.raises(redis.ResponseError, match=SECRET):
            admin.execute_command("AUTH", SECRET)
        with (
            Publisher(f"redis://:{SECRET}@127.0.0.1:{valkey.port}") as publisher,
            pytest.raises(BackplaneError, match=r"unknown command 'AUTH'.*\*\*\*") as refusal,
        ):
            publisher.broadcast("/chat", "hello")
    assert SECRET not in str(refusal.value)


@pytest.mark.parametrize(
    ("url", "why"), [("memory://", "reaches no other"), ("embedded://", "is private to")]
)
def test_what_has_no_way_in_is_refused(url: str, why: str) -> None:
    with pytest.raises(BackplaneError, match=f"^{url} {why} .*: use a redis:// or unix:// URL"):
        Publisher(url)


def test_an_application_does_what_it_is_told(valkey: Valkey, start_server: StartServer) -> None:
    url = f"{valkey.url}?namespace=application"
    server = start_server("ops", values={"backplane": url})
    with RawClient(server, "/chat") as one, RawClient(server, "/chat") as two, Publisher(url) as publisher:
        first, second = one.read_text(), two.read_text()
        wait_until_heard(valkey, "application:" + channels.of_endpoint("/chat"))
        wait_until_heard(valkey, "application:" + channels.of_endpoint("/chat", "ops"))
        wait_until_heard(valkey, "application:" + node_channel(first))
        assert (publisher.endpoints(), publisher.nodes("chat")) == (["/chat"], 1)
        assert publisher.broadcast("chat", "to all") == 1
        assert publisher.broadcast("chat", "to the room", "ops", exclude=[first]) == 1
        assert publisher.send_to("chat", first, b"to one")
        assert one.read_frames(2) == [said("to all"), (BINARY, b"to one")]
        assert two.read_frames(2) == [said("to all"), said("to the room")]
        assert publisher.close_connection("chat", second, 4000, "logged out")
        assert two.read_frame() == closed(4000, "logged out")


def wait_until_heard(valkey: Valkey, channel: str) -> None:
    with redis.Redis(port=valkey.port) as admin:
        wait_for(lambda: admin.pubsub_numsub(channel)[0][1] == 1, f"a subscriber of {channel}")


def gws(*arguments: str, typed: bytes = b"", **environment: str) -> tuple[int, str, str]:
    """Run `python -m gws`: its exit code, and what it has said on the standard output and error."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "gws", *arguments],
        check=False,
        input=typed,
        capture_output=True,
        timeout=DEADLINE,
        env={name: value for name, value in os.environ.items() if name != "GWS_BACKPLANE_URL"} | environment,
    )
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def test_the_command_line_sends_to_a_room(valkey: Valkey) -> None:
    with Listener(valkey, channels.of_endpoint("/chat", "ops")) as listener:
        said = gws("publish", "--url", valkey.url, "--endpoint", "/chat", "--room", "ops", "Grüße")
        assert said == (0, "1 node heard it\n", "")
        assert listener.hear() == Envelope(Kind.BROADCAST, 0, 0, "Grüße".encode(), True)


def test_the_command_line_takes_the_url_of_the_environment_and_the_text_of_its_input(valkey: Valkey) -> None:
    with Listener(valkey, channels.of_endpoint("/chat")) as listener:
        typed = "zwei\r\nZeilen, ü\n".encode()
        said = gws("publish", "--endpoint", "chat", "-", typed=typed, GWS_BACKPLANE_URL=valkey.url)
        assert said == (0, "1 node heard it\n", "")
        assert listener.hear().payload == typed


ROOMS = ["/chat", "/rooms/<name>", "a name\x1b[2J"]


@pytest.mark.parametrize("command", ["publish", "publish to a room", "send", "close"])
def test_the_command_line_says_which_endpoints_there_are(valkey: Valkey, command: str) -> None:
    whom = new_id()
    arguments = {
        "publish": ["publish", "x"],
        "publish to a room": ["publish", "--room", "ops", "x"],
        "send": ["send", whom, "x"],
        "close": ["close", whom],
    }[command]
    url = f"{valkey.url}?namespace=rooms"
    to = ["--url", url, "--endpoint", "/rooms/kitchen"]
    assert gws(*arguments, *to) == (
        1,
        "",
        "Error: no running process has the endpoint /rooms/kitchen: there is none at all on this server, "
        "in this namespace\n",
    )
    heard = [channels.of_endpoint(name) for name in ROOMS]
    with (
        Listener(
            valkey, *heard, channels.of_endpoint("/chat", "ops"), "all", node_channel(whom), namespace="rooms"
        ),
        Listener(valkey, channels.of_endpoint("/elsewhere")),
    ):
        assert gws(*arguments, *to) == (
            1,
            "",
            "Error: no running process has the endpoint /rooms/kitchen: "
            "there are /chat, /rooms/<name>, a name\\x1b[2J\n",
        )
        to[-1] = "rooms/<name>"
        code, said, complaint = gws(*arguments, *to)
        assert (code, complaint) == (0, "")
        # There is the endpoint, and nobody in the room.
        assert said.startswith(
            "0 nodes" if command == "publish to a room" else "1 node" if "pub" in command else "its node"
        )
        with Publisher(url) as publisher:
            assert publisher.endpoints() == sorted(ROOMS)
            assert [publisher.nodes(name) for name in ("chat", "/rooms/<name>", "/elsewhere")] == [1, 1, 0]
            assert publisher.broadcast("/rooms/kitchen", "x") == 0


def test_the_command_line_speaks_to_one_connection_and_closes_it(valkey: Valkey) -> None:
    whom = new_id()
    to = ("--url", valkey.url, "--endpoint", "/chat", whom)
    with Listener(valkey, node_channel(whom), channels.of_endpoint("/chat")) as listener:
        assert gws("send", *to, "hello") == (0, "its node heard it\n", "")
        assert listener.hear() == Envelope(Kind.SEND, 0, 0, b"hello", True, (whom,), "/chat")
        assert gws("close", *to) == (0, "its node heard it\n", "")
        assert listener.hear().payload == b"\x03\xe8Connection closed"
        assert gws("close", *to, "--code", "4000", "--reason", "out") == (0, "its node heard it\n", "")
        assert listener.hear() == Envelope(Kind.CLOSE, 0, 0, b"\x0f\xa0out", False, (whom,), "/chat")


@pytest.mark.parametrize("command", [("send", "hello"), ("close",)])
def test_the_command_line_says_that_nobody_has_the_connection(
    valkey: Valkey, command: tuple[str, ...]
) -> None:
    name, *rest = command
    with Listener(valkey, channels.of_endpoint("/chat")):
        for whom in (new_id(), "nobody"):
            assert gws(name, "--url", valkey.url, "--endpoint", "/chat", whom, *rest) == (
                1,
                "",
                f"Error: no running process has the connection {whom}\n",
            )


@pytest.mark.parametrize(
    ("url", "arguments", "why"),
    [
        ("memory://", [], "reaches no other process"),
        (f"http://:{SECRET}@127.0.0.1", [], "is not the URL of a backplane"),
        (f"redis://:{SECRET}@127.0.0.1:{{port}}", [], "Connection refused"),
        ("redis://127.0.0.1", ["--room", "x" * 1025], "at most 1024 bytes"),
    ],
)
def test_the_command_line_says_what_is_wrong_in_one_line(url: str, arguments: list[str], why: str) -> None:
    url = url.format(port=free_port())
    code, said, complaint = gws("publish", "--url", url, "--endpoint", "/chat", *arguments, "hello")
    assert (code, said, complaint.count("\n")) == (1, "", 1)
    assert complaint.startswith("Error: ")
    assert why in complaint
    assert SECRET not in complaint


def test_input_that_is_no_text_is_an_error(valkey: Valkey) -> None:
    code, said, complaint = gws("publish", "--url", valkey.url, "--endpoint", "/chat", "-", typed=b"\xff")
    assert (code, said) == (1, "")
    assert complaint.startswith("Error: 'utf-8' codec can't decode byte 0xff")


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["publish", "--endpoint", "/chat", "hello"], "Missing option '--url'"),
        (["publish", "--url", "redis://", "hello"], "Missing option '--endpoint'"),
        (["publish", "--url", "redis://", "--endpoint", "/chat"], "Missing argument 'TEXT'"),
        (
            ["close", "--url", "redis://", "--endpoint", "/chat", "--code", "x", "id"],
            "'x' is not a valid integer",
        ),
        (["shout"], "No such command 'shout'"),
    ],
)
def test_the_command_line_says_how_it_is_used(arguments: list[str], why: str) -> None:
    code, said, complaint = gws(*arguments)
    assert (code, said) == (2, "")
    assert why in complaint


def test_the_command_line_lists_what_it_does() -> None:
    code, said, complaint = gws("--help")
    assert (code, complaint) == (0, "")
    for line in (
        "Usage: python -m gws [OPTIONS]",
        "close Close the connection whose ws.id is ID.",
        "publish Send TEXT to all connections, or to a room's.",
        "send Send TEXT to the connection whose ws.id is ID.",
    ):
        # The columns are as wide as the longest name.
        assert line in re.sub(" +", " ", said)
