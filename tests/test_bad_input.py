"""Clients and handlers that break the rules: each ends its own connection at most, and leaves nothing behind.

The clients are raw sockets, because a library would refuse to do what is done here. Most tests share one server, whose
handlers write a line for everything that happens to the client of a given `tag`.
"""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import os
import re
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from websockets.sync.client import ClientConnection, connect

from .conftest import StartServer
from .harness import DEADLINE, WAYS, Server, wait_for

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA

MIB = 1024 * 1024

SOURCE = """
import logging
logging.basicConfig(level=logging.INFO)
app.config["GWS_CLOSE_TIMEOUT"] = 1.0
go_on = gevent.event.Event()
broadcasting = []

def endpoint(path):
    websocket = WebSocket(app, path)

    @websocket.on("close")
    def close(ws):
        print("closed", ws.query_params.get("tag"), ws.close_code, ws.close_reason, flush=True)

    return websocket

websocket = endpoint("/web_socket")
crowd = endpoint("/crowd")
failing = endpoint("/failing")
waiting = endpoint("/waiting")
leaving = endpoint("/leaving")
counting = endpoint("/counting")
closing = endpoint("/closing")
failing_connect = endpoint("/failing_connect")

@websocket.on("message")
def echo(msg):
    return msg

class Unprintable(Exception):
    def __str__(self):
        raise ValueError("no")

@failing.on("message")
def fail(msg):
    def generate():
        yield "x"
    if msg == "raise": 1 / 0
    if msg == "exit": sys.exit(3)
    if msg == "timeout": raise gevent.Timeout(1)
    if msg == "recurse": return fail(msg)
    if msg == "unprintable": raise Unprintable
    return {"int": 7, "bool": True, "generator": generate(), "surrogate": chr(0xD800), "unserializable": [object()],
            "object": object()}[msg]

failing_async = endpoint("/failing_async")

@failing_async.on("message")
async def fail_later(msg):
    await asyncio.sleep(0)
    if msg == "cancelled": raise asyncio.CancelledError
    return fail(msg)

@failing_connect.on("connect")
def fail_to_connect():
    raise ValueError("no entry")

failing_close = WebSocket(app, "/failing_close")

@failing_close.on("close")
def fail_to_close():
    raise ValueError("no exit")

@waiting.on("message")
def wait(ws, msg):
    print("waits", ws.query_params.get("tag"), flush=True)
    go_on.wait()
    return "waited"

@leaving.on("close")
def wait_to_leave(ws):
    print("leaves", ws.query_params.get("tag"), flush=True)
    go_on.wait()
    print("closed", ws.query_params.get("tag"), ws.close_code, flush=True)
    return "left"

@counting.on("message")
def count(ws, msg):
    if msg: return str(ws.state.get("count", 0))
    ws.state["count"] = ws.state.get("count", 0) + 1

@closing.on("message")
def close_now(ws, msg):
    ws.close(4000, "enough")
    return "last words"

@app.get("/go_on")
def let_go_on():
    go_on.set()
    gevent.sleep(0)
    go_on.clear()
    return ""

@crowd.on("message")
def shout(ws, msg):
    ws.sync_broadcast(msg)

@app.get("/broadcast/begin")
def begin():
    def send():
        number = 0
        while broadcasting:
            crowd.broadcast(str(number))
            number += 1
            gevent.sleep(0.001)
        crowd.broadcast("end")
    broadcasting.append(gevent.spawn(send))
    return ""

@app.get("/broadcast/end")
def end():
    broadcasting.pop().join()
    return ""
"""

_tags = itertools.count()


def new_tag() -> str:
    """A name for one client, to be found in the log."""
    return f"client-{next(_tags)}-"


def frame(
    opcode: int,
    payload: bytes = b"",
    *,
    fin: bool = True,
    rsv: int = 0,
    masked: bool = True,
    length: int | None = None,
) -> bytes:
    """A client's frame, right or wrong.

    Args:
        opcode: RFC 6455 §5.2, or none of them.
        payload: what it carries.
        fin: whether the message ends here.
        rsv: the three reserved bits, 0x70.
        masked: False is what only servers may send.
        length: what the header announces, in eight bytes, if that is not the truth.
    """
    mask = os.urandom(4) if masked else b""
    size = len(payload) if length is None else length
    bit = 0x80 if masked else 0
    if length is None and size < 126:
        header = bytes((opcode | rsv | (0x80 if fin else 0), bit | size))
    elif length is None and size < 65536:
        header = struct.pack("!BBH", opcode | rsv | (0x80 if fin else 0), bit | 126, size)
    else:
        header = struct.pack("!BBQ", opcode | rsv | (0x80 if fin else 0), bit | 127, size)
    if masked:
        repeated = (mask * (len(payload) // 4 + 1))[: len(payload)]
        number = int.from_bytes(payload, "big") ^ int.from_bytes(repeated, "big")
        payload = number.to_bytes(len(payload), "big")
    return header + mask + payload


def text(content: str) -> bytes:
    """A whole text message."""
    return frame(TEXT, content.encode())


def close_frame(code: int = 1000, reason: bytes = b"") -> bytes:
    """A Close."""
    return frame(CLOSE, struct.pack("!H", code) + reason)


def request(
    path: str = "/web_socket", without: str = "", start: str = "GET {} HTTP/1.1", **headers: str
) -> bytes:
    """An upgrade request, right or wrong.

    Args:
        path: what is asked for.
        without: a header that is left out.
        start: the first line.
        headers: what differs, with underscores for the hyphens.
    """
    fields = {
        "Host": "127.0.0.1",
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Version": "13",
    }
    fields |= {name.replace("_", "-"): value for name, value in headers.items()}
    fields.pop(without, None)
    lines = [start.format(path), *(f"{name}: {value}" for name, value in fields.items()), "", ""]
    return "\r\n".join(lines).encode()


class RawClient:
    """A client that may break any rule.

    Args:
        server: whom to connect to.
        path: the endpoint to upgrade to; None does not.
        behind: sent in one packet, and one TLS record, with the upgrade request.
        receive_buffer: bytes that the kernel takes for a client that does not read.
        tls: to speak TLS with.
    """

    def __init__(
        self,
        server: Server,
        path: str | None = "/web_socket",
        *,
        behind: bytes = b"",
        receive_buffer: int | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.socket: Any = socket.socket()
        if receive_buffer is not None:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(DEADLINE)
        try:
            self.socket.connect(("127.0.0.1", server.port))
            if tls is not None:
                self.socket = tls.wrap_socket(self.socket, server_hostname="127.0.0.1")
        except OSError:
            self.socket.close()
            raise
        self._received = b""
        if path is not None:
            self.send(request(path) + behind)
            assert self.read_status() == 101

    def __enter__(self) -> RawClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def send(self, data: bytes) -> None:
        """Send all of it."""
        self.socket.sendall(data)

    def send_until_cut_off(self, data: bytes) -> None:
        """Send the same again and again; that the server lets it go on until the deadline is a failure."""
        end = time.monotonic() + DEADLINE
        with contextlib.suppress(ConnectionError):
            while time.monotonic() < end:
                self.send(data)
            raise AssertionError("the server listens for ever")

    def read_head(self) -> str:
        """The head of an HTTP response; "" when there is none."""
        while b"\r\n\r\n" not in self._received:
            if not self._receive():
                return ""
        head, _, self._received = self._received.partition(b"\r\n\r\n")
        return head.decode()

    def read_status(self) -> int | None:
        """The status of an HTTP response; None when there is none."""
        found = re.match(r"HTTP/1\.\d (\d{3})", self.read_head())
        return int(found[1]) if found else None

    def read_frame(self) -> tuple[int, bytes] | None:
        """The opcode and payload of the next frame; None at the end."""
        header = self.read(2)
        if header is None:
            return None
        length = header[1]
        if length >= 126:
            extended = self.read(2 if length == 126 else 8)
            assert extended is not None
            length = int.from_bytes(extended, "big")
        payload = self.read(length)
        assert payload is not None, "the server ended in the middle of a frame"
        return header[0] & 0x0F, payload

    def read_text(self) -> str:
        """The next message, which is text."""
        found = self.read_frame()
        assert found is not None
        assert found[0] == TEXT, found
        return found[1].decode()

    def read_close(self) -> tuple[int, str]:
        """Code and reason of the server's Close; messages before it are passed over."""
        while True:
            found = self.read_frame()
            assert found is not None, "the server ended without a Close"
            if found[0] == CLOSE:
                return int.from_bytes(found[1][:2], "big"), found[1][2:].decode()

    def wait_for_end(self) -> None:
        """Read until there is nothing more; the deadline is a failure."""
        while self._receive():
            self._received = b""

    def has_ended(self) -> bool:
        """Whether there is nothing more to read, ever."""
        return not self._received and not self._receive()

    def close(self) -> None:
        """FIN."""
        self.socket.close()

    def half_close(self) -> None:
        """FIN, and read on."""
        self.socket.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """RST, and nothing more."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def read(self, size: int) -> bytes | None:
        """So many bytes; None at the end."""
        while len(self._received) < size:
            if not self._receive():
                return None
        data, self._received = self._received[:size], self._received[size:]
        return data

    def _receive(self) -> bool:
        try:
            data = self.socket.recv(256 * 1024)
        except ConnectionError:
            data = b""
        self._received += data
        return bool(data)


DROPS = {"reset": RawClient.reset, "FIN": RawClient.close, "half-close": RawClient.half_close}
"""The ways to be gone."""

Drop = Callable[[RawClient], None]


def footprint(server: Server) -> dict[str, int]:
    """What the server holds."""
    vitals = server.vitals()
    return {name: vitals[name] for name in ("registered", "live", "greenlets")} | {
        "descriptors": server.descriptors()
    }


def settled_footprint(server: Server) -> dict[str, int]:
    """The same, once it stays so."""
    last: list[dict[str, int]] = [{}, footprint(server)]

    def is_settled() -> bool:
        last[:] = last[1], footprint(server)
        return last[0] == last[1]

    wait_for(is_settled, "the server to settle")
    return last[1]


def is_back_to(server: Server, before: dict[str, int]) -> bool:
    """Whether the server holds no more than it did."""
    return all(now <= before[name] for name, now in footprint(server).items())


def expect_echo(client: ClientConnection, message: str = "still here") -> None:
    """A client gets its echo; what is broadcast before it is passed over."""
    client.send(message)
    while client.recv(timeout=DEADLINE) != message:
        pass


@contextlib.contextmanager
def nothing_lost(server: Server, before: dict[str, int] | None = None) -> Iterator[dict[str, int]]:
    """What happens inside costs another client nothing, and nothing of it is left in the server.

    Args:
        server: its /web_socket echoes.
        before: what it held, if that is known.
    """
    if before is None:
        with connect(server.url()) as client:
            expect_echo(client)
        before = settled_footprint(server)
    with connect(server.url(), ping_interval=None) as witness:
        expect_echo(witness)
        yield before
        expect_echo(witness)
    try:
        wait_for(lambda: is_back_to(server, before), "the server to let go")
    except AssertionError as error:
        raise AssertionError(f"{footprint(server)} is left of {before}\n{server.log()[-3000:]}") from error


def reset_peak(server: Server) -> int:
    """Forget the peak of the server's memory; the bytes that it has now."""
    Path(f"/proc/{server.pid()}/clear_refs").write_text("5")
    return peak(server)


def peak(server: Server) -> int:
    """The most bytes of memory that the server has had."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{server.pid()}/status").read_text())
    assert found
    return int(found[1]) * 1024


@dataclasses.dataclass
class Case:
    """One test's part of a server that many share."""

    server: Server
    begin: int
    before: dict[str, int]
    """What the server held before the test."""
    tracebacks: int = 0
    """How many the test expects in the log."""

    def log(self) -> str:
        """What the server has written since the test began."""
        return self.server.log()[self.begin :]

    def wait_for_log(self, words: str) -> None:
        """Wait until it has written this."""
        wait_for(lambda: words in self.log(), f"{words!r} in the log:\n{self.log()}")

    def expect_closed(self, tag: str, code: int) -> None:
        """The close handler runs once, and is told this code."""
        self.wait_for_log(f"closed {tag} {code}")
        assert self.log().count(f"closed {tag}") == 1

    def wait_until_unregistered(self) -> None:
        """Wait until nobody but the witness can be reached."""
        expected = self.before["registered"] + 1
        wait_for(lambda: self.server.vitals()["registered"] <= expected, "the registry to be empty")

    def closed(self, tag: str) -> int:
        """How many close handlers have run, of clients of this tag."""
        return self.log().count(f"closed {tag}")


@dataclasses.dataclass
class Shared:
    """A server that many tests share, and what it holds between them, if all is well."""

    server: Server
    footprint: dict[str, int] | None = None


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shared]:
    """One for most tests of this file, which therefore survives all of them."""
    server = Server(tmp_path_factory.mktemp("shared"), SOURCE, "python", {}, [])
    yield Shared(server)
    server.clean_up()


@pytest.fixture
def case(shared: Shared) -> Iterator[Case]:
    """The server; afterwards nothing is lost, and the log has no tracebacks but those that the test expects."""
    known, shared.footprint = shared.footprint, None
    with nothing_lost(shared.server, known) as before:
        case = Case(shared.server, len(shared.server.log()), before)
        yield case
    shared.footprint = before
    assert case.log().count("Traceback") == case.tracebacks, case.log()


# Handlers


FAILURES = {
    "raise": "ZeroDivisionError",
    "int": "not int",
    "bool": "not bool",
    "generator": "not generator",
    "object": "not object",
    "surrogate": "UnicodeEncodeError",
    "unserializable": "not JSON serializable",
    "exit": "SystemExit",
    "timeout": "Timeout",
    "recurse": "RecursionError",
    "unprintable": "Unprintable",
}
"""What the handlers of /failing do wrong, and what the log says of it."""


@pytest.mark.parametrize("path", ["/failing", "/failing_async"])
@pytest.mark.parametrize("what", FAILURES)
def test_a_handler_that_fails_closes_its_connection_with_1011(case: Case, path: str, what: str) -> None:
    tag = new_tag()
    with RawClient(case.server, f"{path}?tag={tag}") as client:
        client.send(text(what))
        assert client.read_close() == (1011, "internal error")
        assert client.has_ended()
    case.expect_closed(tag, 1011)
    case.wait_for_log(FAILURES[what])
    assert f"the message handler of <WebSocket {path}> failed" in case.log()
    case.tracebacks = case.log().count("Traceback")
    assert case.tracebacks >= 1


def test_a_coroutine_that_is_cancelled_from_within_ends_its_connection_alone(case: Case) -> None:
    tag = new_tag()
    with RawClient(case.server, f"/failing_async?tag={tag}") as client:
        client.send(text("cancelled"))
        assert client.read_close()[0] == 1011
        assert client.has_ended()
    case.expect_closed(tag, 1011)
    case.tracebacks = 1


def test_what_was_received_behind_the_message_that_failed_is_not_handled(case: Case) -> None:
    with RawClient(case.server, "/failing") as client:
        client.send(text("raise") * 5)
        assert client.read_close()[0] == 1011
    case.wait_for_log("ZeroDivisionError")
    assert case.log().count("ZeroDivisionError") == 1
    case.tracebacks = 1


def test_a_connect_handler_that_raises_is_answered_with_500(case: Case) -> None:
    with RawClient(case.server, None) as client:
        client.send(request("/failing_connect?tag=no"))
        assert client.read_status() == 500
    case.wait_for_log("ValueError: no entry")
    case.tracebacks = 1
    assert case.closed("no") == 0


def test_a_close_handler_that_raises_does_not_keep_the_client_from_its_close(case: Case) -> None:
    with RawClient(case.server, "/failing_close") as client:
        client.send(close_frame(1000))
        assert client.read_close()[0] == 1000
        assert client.has_ended()
    case.wait_for_log("ValueError: no exit")
    case.tracebacks = 1


@pytest.mark.parametrize(
    "definition", ["def message(ws, mesage)", "async def message(websocket)", "def message(*, to)"]
)
def test_a_handler_with_a_wrong_signature_stops_the_program_at_its_decoration(
    start_server: StartServer, definition: str
) -> None:
    name = definition.rstrip(")").split()[-1].split("(")[-1]
    source = f"""
    websocket = WebSocket(app, "/web_socket")
    @websocket.on("message")
    {definition}: pass
    """
    with pytest.raises(AssertionError) as caught:
        start_server(source)
    assert f"TypeError: handler 'message' asks for '{name}'; known parameters are ws, msg" in str(
        caught.value
    )


# Frames


BROKEN_FRAMES = {
    "unmasked": (frame(TEXT, b"x", masked=False), 1002, "not masked"),
    "reserved bit 1": (frame(TEXT, b"x", rsv=0x40), 1002, "reserved bits"),
    "reserved bit 2": (frame(TEXT, b"x", rsv=0x20), 1002, "reserved bits"),
    "reserved bit 3": (frame(TEXT, b"x", rsv=0x10), 1002, "reserved bits"),
    "reserved data opcode": (frame(0x3, b"x"), 1002, "reserved opcode"),
    "reserved control opcode": (frame(0xB, b"x"), 1002, "reserved opcode"),
    "long ping": (frame(PING, b"x" * 126), 1002, "too long"),
    "fragmented ping": (frame(PING, b"x", fin=False), 1002, "fragmented"),
    "fragmented close": (frame(CLOSE, b"", fin=False), 1002, "fragmented"),
    "nothing to continue": (frame(CONTINUATION, b"x"), 1002, "without a message"),
    "message in a message": (frame(TEXT, b"x", fin=False) + frame(TEXT, b"y"), 1002, "inside a fragmented"),
    "long length for a short frame": (frame(TEXT, length=5) + b"12345", 1002, "fewest bytes"),
    "negative length": (frame(BINARY, length=1 << 63), 1002, "most significant bit"),
    "header that announces 2**62 bytes": (frame(BINARY, length=1 << 62), 1009, "over 1048576 bytes"),
    "header that announces one byte too many": (frame(TEXT, length=MIB + 1), 1009, "over 1048576 bytes"),
    "fragments of too much in all": (
        frame(BINARY, bytes(MIB), fin=False) + frame(CONTINUATION, b"x"),
        1009,
        "over 1048576 bytes",
    ),
    "text that is not UTF-8": (frame(TEXT, b"\xff"), 1007, "not UTF-8"),
    "text that ends in the middle of a character": (frame(TEXT, b"x\xe2\x82"), 1007, "not UTF-8"),
    "text with a surrogate": (frame(TEXT, b"\xed\xa0\x80"), 1007, "not UTF-8"),
    "text with an overlong character": (frame(TEXT, b"\xc0\xaf"), 1007, "not UTF-8"),
    "bad text in a fragment of an unfinished message": (frame(TEXT, b"ok\xff", fin=False), 1007, "not UTF-8"),
    "character that a later fragment breaks": (
        frame(TEXT, b"\xe2\x82", fin=False) + frame(CONTINUATION, b"x", fin=False),
        1007,
        "not UTF-8",
    ),
    "bad text in the middle of an unfinished frame": (
        frame(TEXT, b"ok " * 100 + b"\xff" + b"ok " * 100)[:500],
        1007,
        "not UTF-8",
    ),
    "half a close code": (frame(CLOSE, b"\x03"), 1002, "half a code"),
    "reason that is not UTF-8": (close_frame(1000, b"\xff"), 1007, "not UTF-8"),
    **{
        f"close code {code}": (close_frame(code), 1002, "may not be sent")
        for code in (0, 999, 1004, 1005, 1006, 1015, 2999, 5000, 65535)
    },
}
"""What breaks RFC 6455 §5 to §8, the close code due, and a word of the reason."""


@pytest.mark.parametrize("name", BROKEN_FRAMES)
def test_a_broken_frame_is_answered_with_its_close_code(case: Case, name: str) -> None:
    data, code, reason = BROKEN_FRAMES[name]
    tag = new_tag()
    with RawClient(case.server, f"/web_socket?tag={tag}") as client:
        client.send(text("before"))
        client.send(data)
        assert client.read_text() == "before"
        found, said = client.read_close()
        assert found == code
        assert reason in said
        assert client.has_ended()
    case.expect_closed(tag, code)


@pytest.mark.parametrize("name", ["unmasked", "text that is not UTF-8", "header that announces 2**62 bytes"])
def test_a_broken_frame_is_explained_in_the_log(case: Case, name: str) -> None:
    data, _code, reason = BROKEN_FRAMES[name]
    with RawClient(case.server) as client:
        client.send(data)
        client.read_close()
        assert client.has_ended()
    # A line besides the one that the test's own close handler writes.
    lines = [line for line in case.log().splitlines() if reason in line and not line.startswith("closed")]
    assert len(lines) == 1, case.log()


@pytest.mark.parametrize("way", ["worker", "geventwebsocket"])
def test_broken_frames_end_one_connection_each_in_gunicorn_too(start_server: StartServer, way: str) -> None:
    server = start_server(SOURCE, way)
    with nothing_lost(server):
        for data, code, reason in BROKEN_FRAMES.values():
            with RawClient(server) as client:
                client.send(data)
                found, said = client.read_close()
                assert (found, reason in said) == (code, True)
                assert client.has_ended()
    assert "Traceback" not in server.log()


def test_good_messages_before_a_broken_frame_of_the_same_packet_are_answered(case: Case) -> None:
    with RawClient(case.server) as client:
        client.send(text("one") + text("two") + frame(TEXT, b"x", masked=False) + text("three"))
        assert [client.read_text(), client.read_text()] == ["one", "two"]
        assert client.read_close()[0] == 1002


def test_a_client_that_goes_on_sending_after_it_broke_the_protocol_still_gets_its_close(case: Case) -> None:
    with RawClient(case.server) as client:
        client.send(frame(TEXT, b"x", masked=False) + bytes(2 * MIB))
        assert client.read_close()[0] == 1002


def test_an_announced_length_costs_no_memory(case: Case) -> None:
    before = reset_peak(case.server)
    with contextlib.ExitStack() as clients:
        for _ in range(50):
            clients.enter_context(RawClient(case.server)).send(frame(BINARY, length=MIB))
            with RawClient(case.server) as too_much:
                too_much.send(frame(BINARY, length=1 << 62))
                assert too_much.read_close()[0] == 1009
        assert peak(case.server) - before < 16 * MIB


@pytest.mark.parametrize("drop", DROPS)
def test_a_frame_that_is_cut_short_is_no_message(case: Case, drop: str) -> None:
    tag = new_tag()
    with RawClient(case.server, f"/web_socket?tag={tag}") as client:
        client.send(text("whole") + text("cut short")[:-1])
        assert client.read_text() == "whole"
        DROPS[drop](client)
        case.expect_closed(tag, 1006)
        if drop == "half-close":
            assert client.has_ended()


@pytest.mark.parametrize("size", [1, 2, 5, 7, 13])
def test_a_frame_in_small_pieces_is_a_message_all_the_same(case: Case, size: int) -> None:
    data = text("grüße") + frame(BINARY, b"\x00" * 126) + frame(PING, b"hello") + text("")
    with RawClient(case.server) as client:
        client.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for start in range(0, len(data), size):
            client.send(data[start : start + size])
        frames = [client.read_frame() for _ in range(4)]
    # A pong does not wait for the handlers.
    assert sorted(frames, key=lambda found: found is not None and found[0] == PONG) == [
        (TEXT, "grüße".encode()),
        (BINARY, bytes(126)),
        (TEXT, b""),
        (PONG, b"hello"),
    ]


def test_a_frame_that_never_ends_is_given_up_when_its_client_is_silent(start_server: StartServer) -> None:
    settings = "app.config.update(GWS_PING_INTERVAL=0.4, GWS_PING_TIMEOUT=0.4)\n"
    server = start_server(settings + SOURCE)
    with nothing_lost(server), RawClient(server, "/web_socket?tag=silent") as client:
        client.send(
            frame(BINARY, bytes(1000), fin=False) + frame(CONTINUATION, length=MIB // 2) + bytes(1000)
        )
        assert client.read_frame() == (PING, b"")
        assert client.has_ended()
        server.wait_for_log("closed silent 1006 keepalive ping timeout")
    assert server.vitals()["counters"]["keepalive_timeouts"] == 1
    gws_lines = [
        line for line in server.log().splitlines() if "keepalive" in line and not line.startswith("closed")
    ]
    assert len(gws_lines) == 1, server.log()


def test_a_message_that_never_ends_meets_the_size_limit(case: Case) -> None:
    before = reset_peak(case.server)
    with RawClient(case.server) as client:
        client.send(frame(BINARY, bytes(1000), fin=False))
        with contextlib.suppress(ConnectionError):
            for _ in range(20_000):
                client.send(frame(CONTINUATION, bytes(1000), fin=False))
        assert client.read_close()[0] == 1009
    assert peak(case.server) - before < 16 * MIB


def test_empty_fragments_without_end_cost_no_memory(case: Case) -> None:
    before = reset_peak(case.server)
    with RawClient(case.server) as client:
        client.send(frame(TEXT, b"", fin=False))
        for _ in range(20):
            client.send(frame(CONTINUATION, b"", fin=False) * 10_000)
        client.send(frame(CONTINUATION, b"the end"))
        assert client.read_text() == "the end"
    assert peak(case.server) - before < 8 * MIB


# Handshakes


BROKEN_HANDSHAKES = {
    "no key": (request(without="Sec-WebSocket-Key"), 400),
    "a malformed key": (request(Sec_WebSocket_Key="x"), 400),
    "an empty key": (request(Sec_WebSocket_Key=""), 400),
    "an old version": (request(Sec_WebSocket_Version="8"), 426),
    "a version that is no number": (request(Sec_WebSocket_Version="x"), 426),
    "no version": (request(without="Sec-WebSocket-Version"), 400),
    "HTTP/1.0": (request(start="GET {} HTTP/1.0"), 505),
    "POST": (request(start="POST {} HTTP/1.1", Content_Length="0"), 405),
    "no upgrade": (request(without="Upgrade"), 400),
    "no connection": (request(without="Connection"), 400),
    "another protocol": (request(Upgrade="h2c"), 400),
    "an unknown path": (request("/nowhere"), 404),
    "a page of another origin": (request(Origin="http://evil.example"), 403),
    "a malformed origin": (request(Origin="http://[::1"), 403),
    "garbage": (b"\x00\xff\x13\x37" * 64 + b"\r\n\r\n", 400),
    "garbage without a line end": (b"\x00\x01\x02\x03" * 4096, 414),
    "a TLS hello": (bytes.fromhex("16030100c8010000c40303") + bytes(range(256)) + b"\r\n\r\n", 400),
    "an endless request line": (b"GET /" + b"x" * 65536 + b" HTTP/1.1\r\n\r\n", 414),
    "a header line of 64 KiB": (request(X_Long="x" * 65536), 400),
    "10 000 headers": (request(**{f"X_{number}": "x" for number in range(10_000)}), 400),
    "a header without a colon": (request().replace(b"Host", b"nonsense\r\nHost"), 400),
    "a wrong content length": (request(Content_Length="x"), 400),
    "a negative content length": (request(Content_Length="-1"), 400),
    "HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
    "HTTP/x": (request(start="GET {} HTTP/x"), 400),
}
"""What is no opening handshake (RFC 6455 §4.2.1), and the HTTP status due."""


@pytest.mark.parametrize("name", BROKEN_HANDSHAKES)
def test_a_broken_handshake_is_answered_with_its_status(case: Case, name: str) -> None:
    data, status = BROKEN_HANDSHAKES[name]
    assert status_of(case.server, data) == status
    assert "closed" not in case.log()


def test_a_client_of_an_old_version_is_told_the_one_to_speak(case: Case) -> None:
    with RawClient(case.server, None) as client:
        client.send(request(Sec_WebSocket_Version="8"))
        assert "Sec-WebSocket-Version: 13" in client.read_head()
    case.wait_for_log("version '8'")


def test_a_refusal_says_why_in_the_log(case: Case) -> None:
    with RawClient(case.server, None) as client:
        client.send(request(Sec_WebSocket_Key="x"))
        assert client.read_status() == 400
    case.wait_for_log("<WebSocket /web_socket> refuses 127.0.0.1: ")
    assert "Sec-WebSocket-Key" in case.log()


def test_broken_handshakes_are_answered_alike_in_gunicorn(start_server: StartServer) -> None:
    server = start_server(SOURCE, "worker")
    with nothing_lost(server):
        found = {name: status_of(server, data) for name, (data, _status) in BROKEN_HANDSHAKES.items()}
    assert found == {name: status for name, (_data, status) in BROKEN_HANDSHAKES.items()}
    assert "Traceback" not in server.log()


def test_broken_handshakes_open_nothing_in_gevent_websockets_worker_either(start_server: StartServer) -> None:
    server = start_server(SOURCE, "geventwebsocket")
    with nothing_lost(server):
        begin = len(server.log())
        for name, (data, _status) in BROKEN_HANDSHAKES.items():
            with RawClient(server, None) as client:
                with contextlib.suppress(ConnectionError):
                    client.send(data)
                status = client.read_status()
                assert status is not None
                if status == 101:
                    # gevent-websocket says so before gws is asked.
                    assert client.read_close()[0] == 1008, name
                    assert client.has_ended()
                else:
                    assert status >= 400, name
        assert "closed " not in server.log()[begin:]


def status_of(server: Server, data: bytes) -> int | None:
    """What these bytes are answered with."""
    with RawClient(server, None) as client:
        # The server need not read all of it before it answers.
        with contextlib.suppress(ConnectionError):
            client.send(data)
        return client.read_status()


@pytest.mark.parametrize("sent", [0, 1, 20, len(request()) - 2])
@pytest.mark.parametrize("drop", DROPS)
def test_a_client_that_drops_before_its_handshake_ends_is_nobody(case: Case, drop: str, sent: int) -> None:
    with RawClient(case.server, None) as client:
        client.send(request()[:sent])
        DROPS[drop](client)
        if drop == "half-close":
            client.wait_for_end()
    assert "closed" not in case.log()


@pytest.mark.parametrize("way", ["python", "worker"])
def test_a_handshake_that_never_ends_is_cut_off_at_its_deadline(start_server: StartServer, way: str) -> None:
    server = start_server("app.config['GWS_HANDSHAKE_TIMEOUT'] = 1.0\n" + SOURCE, way)
    with nothing_lost(server), contextlib.ExitStack() as clients:
        silent = [clients.enter_context(RawClient(server, None)) for _ in range(3)]
        silent[1].send(b"GET /web_")
        silent[2].send(request()[:-2])
        slow = clients.enter_context(RawClient(server, None))
        began = time.monotonic()
        with contextlib.suppress(ConnectionError):
            for byte in request():
                slow.send(bytes((byte,)))
                time.sleep(0.2)
                assert time.monotonic() - began < DEADLINE / 2
        for client in (*silent, slow):
            client.wait_for_end()
    server.wait_for_log("no whole request head in time")
    assert "Traceback" not in server.log()


def test_a_connect_handler_that_never_ends_is_answered_with_503(start_server: StartServer) -> None:
    server = start_server(
        """
        app.config["GWS_HANDSHAKE_TIMEOUT"] = 0.5
        websocket = WebSocket(app, "/web_socket")
        websocket.on("message")(lambda msg: msg)
        forever = WebSocket(app, "/forever")
        @forever.on("connect")
        def connect():
            gevent.event.Event().wait()
        later = WebSocket(app, "/later")
        @later.on("connect")
        async def connect_later():
            await asyncio.sleep(3600)
        """
    )
    with nothing_lost(server):
        for path in ("/forever", "/later"):
            with RawClient(server, None) as client:
                client.send(request(path))
                assert client.read_status() == 503
    server.wait_for_log("<WebSocket /forever> refuses 127.0.0.1: the connect handler took too long")
    assert "Traceback" not in server.log()


@pytest.mark.parametrize("drop", DROPS)
def test_a_client_that_drops_while_its_connect_handler_runs_leaves_nothing(
    start_server: StartServer, drop: str
) -> None:
    server = start_server(
        """
        go_on = gevent.event.Event()
        websocket = WebSocket(app, "/web_socket")
        websocket.on("message")(lambda msg: msg)
        waiting = WebSocket(app, "/waiting")
        @waiting.on("connect")
        def connect():
            print("connect began", flush=True)
            go_on.wait()
            return "welcome"
        @waiting.on("close")
        def close(ws):
            print("closed", ws.close_code, flush=True)
        @app.get("/go_on")
        def let_go_on():
            go_on.set()
            return ""
        """
    )
    with nothing_lost(server), RawClient(server, None) as client:
        client.send(request("/waiting"))
        server.wait_for_log("connect began")
        DROPS[drop](client)
        server.get("/go_on")
        server.wait_for_log("closed 1006")
    assert server.log().count("closed 1006") == 1
    assert "Traceback" not in server.log()


# Frames behind the handshake


@pytest.mark.parametrize("way", WAYS)
def test_frames_in_the_packet_of_the_upgrade_request_are_handled(start_server: StartServer, way: str) -> None:
    server = start_server(SOURCE, way)
    big = "x" * 300_000
    with nothing_lost(server):
        half = text("half")
        with RawClient(server, behind=text("one") + text("two") + half[:3]) as client:
            assert [client.read_text(), client.read_text()] == ["one", "two"]
            client.send(half[3:])
            assert client.read_text() == "half"
        with RawClient(server, behind=text(big) + text("small")) as client:
            assert [client.read_text(), client.read_text()] == [big, "small"]
        with RawClient(server, behind=frame(PING, b"?") + close_frame(4321, b"bye")) as client:
            assert client.read_frame() == (PONG, b"?")
            assert client.read_close() == (4321, "bye")
            assert client.has_ended()
        with RawClient(server, behind=frame(TEXT, b"x", masked=False)) as client:
            assert client.read_close()[0] == 1002
            assert client.has_ended()
    assert "Traceback" not in server.log()


# Clients that drop


@pytest.mark.parametrize("drop", DROPS)
def test_a_client_that_drops_right_after_the_101_has_its_close_handler_run_once(
    case: Case, drop: str
) -> None:
    tag = new_tag()
    with RawClient(case.server, f"/web_socket?tag={tag}") as client:
        DROPS[drop](client)
        case.expect_closed(tag, 1006)


def test_a_client_that_drops_before_it_has_read_the_101_has_its_close_handler_run_once(case: Case) -> None:
    tag = new_tag()
    for _ in range(20):
        with RawClient(case.server, None) as client:
            client.send(request(f"/web_socket?tag={tag}") + text("x") * 100)
            client.reset()
    # Some are gone before the server has read their request.
    begun = wait_for(lambda: case.closed(tag), "a close handler")
    assert begun <= 20


@pytest.mark.parametrize("drop", DROPS)
def test_a_client_that_drops_while_its_handler_runs_costs_nobody_anything(case: Case, drop: str) -> None:
    tag = new_tag()
    with RawClient(case.server, f"/waiting?tag={tag}") as client:
        client.send(text("x") * 3)
        case.wait_for_log(f"waits {tag}")
        DROPS[drop](client)
        case.wait_until_unregistered()
        wait_for(lambda: case.server.get("/go_on") == "" and case.closed(tag), "the close handler")
        case.expect_closed(tag, 1006)


@pytest.mark.parametrize("drop", DROPS)
def test_a_client_that_drops_while_its_close_handler_runs_costs_nobody_anything(
    case: Case, drop: str
) -> None:
    tag = new_tag()
    with RawClient(case.server, f"/leaving?tag={tag}") as client:
        client.send(close_frame(1000))
        case.wait_for_log(f"leaves {tag}")
        DROPS[drop](client)
        case.wait_until_unregistered()
        case.server.get("/go_on")
        case.expect_closed(tag, 1000)
    assert case.log().count(f"leaves {tag}") == 1


def test_clients_that_drop_in_the_middle_of_a_broadcast_are_not_missed(case: Case) -> None:
    tag = new_tag()
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(RawClient(case.server, f"/crowd?tag={tag}")) for _ in range(200)]
        case.server.get("/broadcast/begin")
        for number, client in enumerate(clients[:150]):
            client.read_text()
            list(DROPS.values())[number % 3](client)
        wait_for(lambda: case.closed(f"{tag} 1006") == 150, "150 close handlers")
        case.server.get("/broadcast/end")
        heard = []
        for client in clients[150:]:
            heard.append(list(iter(client.read_text, "end")))
        assert all(numbers == [str(number) for number in range(len(heard[0]))] for numbers in heard)
        assert case.closed(tag) == 150


def test_500_clients_drop_at_once(case: Case) -> None:
    tag = new_tag()
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(RawClient(case.server, f"/web_socket?tag={tag}")) for _ in range(500)]
        for number, client in enumerate(clients):
            client.send(text("x") if number % 2 else text("cut short")[:5])
            list(DROPS.values())[number % 3](client)
        wait_for(lambda: case.closed(f"{tag} 1006") == 500, "500 close handlers")
    assert case.closed(tag) == 500


# Clients that do not listen


def expect_dropped_as_slow(case: Case, flood: Callable[[], object], tag: str, count: int) -> None:
    """A flood ends with the slow client dropped, counted and logged; the memory has stayed bounded."""
    before = reset_peak(case.server)
    flood()
    case.expect_closed(tag, 1008)
    assert case.server.vitals()["counters"]["slow_consumers"] == count + 1
    assert peak(case.server) - before < 16 * MIB
    lines = [
        line for line in case.log().splitlines() if "slow consumer" in line and not line.startswith("closed")
    ]
    assert len(lines) == 1, case.log()


def slow_consumers(case: Case) -> int:
    """How many the server has counted."""
    return int(case.server.vitals()["counters"].get("slow_consumers", 0))


def test_a_client_that_never_reads_is_dropped_from_a_crowd_that_does(case: Case) -> None:
    tag = new_tag()
    count = slow_consumers(case)
    messages = [f"{number:06}" * 10_000 for number in range(200)]

    def flood() -> None:
        for message in messages:
            reader.send(text(message))
            assert reader.read_text() == message

    with (
        RawClient(case.server, "/crowd") as reader,
        RawClient(case.server, f"/crowd?tag={tag}", receive_buffer=4096) as client,
    ):
        expect_dropped_as_slow(case, flood, tag, count)
        # It finds out when it reads at last.
        assert client.read_close() == (1008, "slow consumer")


def test_a_client_that_reads_no_pongs_is_dropped_in_the_flood_of_its_own_pings(case: Case) -> None:
    tag = new_tag()
    count = slow_consumers(case)

    def flood() -> None:
        client.send_until_cut_off(frame(PING, b"x" * 125) * 500)

    with RawClient(case.server, f"/web_socket?tag={tag}", receive_buffer=4096) as client:
        expect_dropped_as_slow(case, flood, tag, count)


def test_a_client_that_reads_no_echoes_is_held_back_and_then_dropped(start_server: StartServer) -> None:
    server = start_server("app.config['GWS_PING_TIMEOUT'] = 1.0\n" + SOURCE)
    with nothing_lost(server), RawClient(server, "/web_socket?tag=deaf", receive_buffer=4096) as client:
        before = reset_peak(server)
        client.send_until_cut_off(text("x" * 1000) * 100)
        server.wait_for_log("closed deaf 1008")
        assert peak(server) - before < 16 * MIB
    assert server.vitals()["counters"]["slow_consumers"] == 1


def test_a_client_that_sends_on_after_its_close_is_not_listened_to(case: Case) -> None:
    tag = new_tag()
    with RawClient(case.server, f"/web_socket?tag={tag}") as client:
        client.send(close_frame(4001, b"bye") + text("late") * 3 + close_frame(4002))
        assert client.read_frame() == (CLOSE, struct.pack("!H", 4001) + b"bye")
        assert client.has_ended()
    case.expect_closed(tag, 4001)


def test_a_client_that_floods_after_its_close_is_cut_off(case: Case) -> None:
    tag = new_tag()
    with RawClient(case.server, f"/web_socket?tag={tag}") as client:
        client.send(close_frame(1000))
        client.send_until_cut_off(text("x" * 100) * 100)
    case.expect_closed(tag, 1000)


def test_a_client_that_never_answers_the_close_is_cut_off_at_the_deadline(case: Case) -> None:
    tag = new_tag()
    with RawClient(case.server, f"/closing?tag={tag}") as client:
        began = time.monotonic()
        client.send(text("close me"))
        assert client.read_text() == "last words"
        assert client.read_close() == (4000, "enough")
        client.send(text("not an answer"))
        assert client.has_ended()
        # GWS_CLOSE_TIMEOUT is 1 second.
        assert 0.5 < time.monotonic() - began < DEADLINE / 2
    case.expect_closed(tag, 4000)


def test_a_client_that_answers_the_close_is_not_kept_waiting(case: Case) -> None:
    with RawClient(case.server, "/closing") as client:
        client.send(text("close me"))
        assert client.read_close() == (4000, "enough")
        client.send(close_frame(4000))
        assert client.has_ended()


# Floods


def test_every_ping_of_a_flood_is_answered_in_order(case: Case) -> None:
    count = 20_000
    with RawClient(case.server) as client:
        pings = b"".join(frame(PING, str(number).encode()) for number in range(count))
        thread = threading.Thread(target=client.send, args=[pings])
        thread.start()
        assert [client.read_frame() for _ in range(count)] == [(PONG, str(n).encode()) for n in range(count)]
        thread.join(DEADLINE)


def test_a_million_empty_messages_are_handled_one_by_one(case: Case) -> None:
    before = reset_peak(case.server)
    with RawClient(case.server, "/counting") as client:
        block = frame(TEXT) * 10_000
        for _ in range(100):
            client.send(block)
        client.send(text("how many?"))
        assert client.read_text() == "1000000"
    assert peak(case.server) - before < 32 * MIB


def test_nothing_of_a_bad_day_is_left_in_the_memory(case: Case) -> None:
    def one_bad_day() -> None:
        for _ in range(20):
            for data, _code, _reason in BROKEN_FRAMES.values():
                if len(data) < 1000:
                    with RawClient(case.server) as client:
                        client.send(data)
                        client.read_close()

    one_bad_day()
    before = reset_peak(case.server)
    one_bad_day()
    assert peak(case.server) - before < 4 * MIB
