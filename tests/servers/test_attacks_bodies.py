"""Bodies that are none, that never end, and that nobody reads; answers that nobody reads."""

from __future__ import annotations

import contextlib
import select
import time

import pytest

from ..conftest import StartServer
from ..support.harness import WAYS, Server, unharmed
from ..support.program import wait_for
from ..support.raw_client import FIN, RESET, RawClient
from ..support.witness import Witness

OWN_WAYS = ("python", "worker")
"""The ways in which gws reads the requests itself."""


READ_BY_PYWSGI = {
    "a length over 2^63",
    "a length with a sign",
    "two lengths",
    "a length and chunks",
    "a coding that is not spoken",
    "chunks in HTTP/1.0",
    "a tab in the request line",
    "two blanks in the request line",
    "a form feed in the request line",
    "version 1.1.1",
    "version 01.1",
    "no version",
}
"""Heads that gevent-websocket's worker reads, and an application never sees: a proxy must refuse them."""


@pytest.fixture(scope="module", params=WAYS)
def server(request: pytest.FixtureRequest, start_module_server: StartServer) -> Server:
    return start_module_server("bodies", request.param)


def post(path: str, *lines: str, body: bytes = b"") -> bytes:
    """Return a request with a body."""
    head = "\r\n".join([f"POST {path} HTTP/1.1", "Host: 127.0.0.1", *lines, "", ""])
    return head.encode() + body


def chunked(path: str, body: bytes) -> bytes:
    """Return a request whose body comes in chunks, framed by the caller."""
    return post(path, "Transfer-Encoding: chunked", body=body)


SMUGGLED = b"GET /secret HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"

BAD_BODIES = {
    "a chunk without a size": chunked("/read", b"\r\nx\r\n0\r\n\r\n"),
    "a size that is no number": chunked("/read", b"xyz\r\nabc\r\n0\r\n\r\n"),
    "a size with a sign": chunked("/read", b"+3\r\nabc\r\n0\r\n\r\n"),
    "a size over 2^63": chunked("/read", b"f" * 16 + b"\r\nabc"),
    "a chunk that is longer than it says": chunked("/read", b"3\r\nabcdef\r\n0\r\n\r\n"),
    "a bare LF behind a size": chunked("/read", b"3\nabc\r\n0\r\n\r\n"),
    "a bare LF in an extension": chunked("/read", b"3;a\nb\r\nabc\r\n0\r\n\r\n"),
    "a bare CR in an extension": chunked("/read", b"3;a\rb\r\nabc\r\n0\r\n\r\n"),
    "a legal extension of 8 KB": chunked("/read", b"3;" + b"x" * 8192 + b"\r\nabc\r\n0\r\n\r\n"),
    "extensions of 8 KB in all": chunked("/read", (b"1;" + b"x" * 200 + b"\r\na\r\n") * 40 + b"0\r\n\r\n"),
    "a trailer that is none": chunked("/read", b"0\r\nno trailer\r\n\r\n"),
    "endless trailers": chunked("/read", b"0\r\n" + b"A: b\r\n" * 4000 + b"\r\n"),
    "a length over 2^63": post("/read", f"Content-Length: {2**63}", body=b"abc"),
    "a length with a sign": post("/read", "Content-Length: +3", body=b"abc"),
    "two lengths": post("/read", "Content-Length: 3", "Content-Length: 4", body=b"abcd"),
    "a length and chunks": post(
        "/read", "Content-Length: 3", "Transfer-Encoding: chunked", body=b"0\r\n\r\n"
    ),
    "a coding that is not spoken": post("/read", "Transfer-Encoding: gzip, chunked", body=b"0\r\n\r\n"),
    "chunks in HTTP/1.0": chunked("/read", b"0\r\n\r\n").replace(b"HTTP/1.1", b"HTTP/1.0"),
    "a tab in the request line": post("/read", "Content-Length: 0").replace(b" HTTP", b"\tHTTP"),
    "two blanks in the request line": post("/read", "Content-Length: 0").replace(b" HTTP", b"  HTTP"),
    "a form feed in the request line": post("/read", "Content-Length: 0").replace(b" HTTP", b"\x0cHTTP"),
    "version 1.1.1": post("/read", "Content-Length: 0").replace(b"HTTP/1.1", b"HTTP/1.1.1"),
    "version 01.1": post("/read", "Content-Length: 0").replace(b"HTTP/1.1", b"HTTP/01.1"),
    "no version": post("/read", "Content-Length: 0").replace(b" HTTP/1.1", b""),
}


@pytest.mark.parametrize("name", BAD_BODIES)
def test_a_body_that_is_none_is_a_400_and_nothing_behind_it_is_a_request(server: Server, name: str) -> None:
    if server.way == "geventwebsocket" and name in READ_BY_PYWSGI:
        return
    before = len(server.log())
    with unharmed(server), RawClient(server, None) as client:
        client.send(BAD_BODIES[name] + SMUGGLED)
        assert client.read_head() == 400
        assert client.read_frame() in (FIN, RESET)
    assert "Traceback" not in server.log()[before:]


@pytest.mark.parametrize(
    "body", [b"3\r\nab", b"3\r\nabc", b"3\r\nabc\r\n", b"3;x", b"", b"0\r\n", b"0\r\nA: b\r\n"]
)
def test_a_body_that_ends_too_soon_is_a_400(server: Server, body: bytes) -> None:
    before = len(server.log())
    with unharmed(server), RawClient(server, None) as client:
        client.send(chunked("/read", body))
        client.half_close()
        assert client.read_head() == 400
        assert client.read_frame() == FIN
    assert "Traceback" not in server.log()[before:]


def test_a_body_shorter_than_its_length_is_a_400(server: Server) -> None:
    with unharmed(server), RawClient(server, None) as client:
        client.send(post("/read", "Content-Length: 10", body=b"abc"))
        client.half_close()
        assert client.read_head() == 400


@pytest.mark.parametrize(
    ("body", "answer"),
    [
        (b"0\r\n\r\n", "0 bytes"),
        (b"3\r\nabc\r\n00\r\n\r\n", "3 bytes"),
        (b"A;name=value\r\n0123456789\r\na ;x\r\n0123456789\r\n0\r\nExpires: never\r\n\r\n", "20 bytes"),
    ],
)
def test_a_body_in_chunks_is_read_and_the_connection_goes_on(
    server: Server, body: bytes, answer: str
) -> None:
    with unharmed(server), RawClient(server, None) as client:
        client.send(chunked("/read", body) + SMUGGLED)
        assert client.read_head() == 200
        assert client.body == answer
        # Here it is one: the body ended as it was framed.
        assert client.read_head() == 200
        assert client.body == "smuggled"


def test_a_body_is_read_line_by_line_too(server: Server) -> None:
    with unharmed(server), RawClient(server, None) as client:
        client.send(chunked("/lines", b"4\r\na\nbc\r\n3\r\n\nde\r\n0\r\n\r\n"))
        assert client.read_head() == 200
        assert '"a\\n"' in client.body
        assert '"bc\\n"' in client.body
        assert '"de"' in client.body


def test_a_client_that_waits_to_be_asked_for_its_body_is_asked(server: Server) -> None:
    with unharmed(server), RawClient(server, None) as client:
        client.send(post("/read", "Expect: 100-continue", "Content-Length: 3"))
        assert client.read_head(with_body=False) == 100
        client.send(b"abc")
        assert client.read_head() == 200
        assert client.body == "3 bytes"


def test_a_client_is_asked_before_the_answer_begins(server: Server) -> None:
    with unharmed(server), RawClient(server, None) as client:
        client.send(post("/upper", "Expect: 100-continue", "Content-Length: 5"))
        assert client.read_head(with_body=False) == 100
        client.send(b"hello")
        assert client.read_head() == 200
        assert client.body == "HELLO"


def test_a_client_is_not_asked_in_the_middle_of_its_answer(server: Server) -> None:
    with unharmed(server), RawClient(server, None) as client:
        # It may send the body unasked.
        client.send(post("/late", "Expect: 100-continue", "Content-Length: 5", body=b"hello"))
        assert client.read_head() == 200
        assert client.body == "start HELLO"


def test_a_client_whose_body_is_not_wanted_is_not_asked(server: Server) -> None:
    with unharmed(server), RawClient(server, None) as client:
        client.send(post("/unread", "Expect: 100-continue", "Content-Length: 3"))
        assert client.read_head() == 200
        assert client.read_frame() == FIN


def test_a_body_is_read_while_the_answer_is_sent(server: Server) -> None:
    with unharmed(server), RawClient(server, None) as client:
        client.send(post("/upper", "Content-Length: 11", body=b"hello world") + SMUGGLED)
        assert client.read_head() == 200
        assert client.body == "HELLO WORLD"
        assert client.read_head() == 200
        assert client.body == "smuggled"
    with unharmed(server), RawClient(server, None) as client:
        client.send(post("/upper", "Content-Length: 200000", body=b"x" * 200_000))
        assert client.read_head() == 200
        assert client.body == "X" * 200_000


def test_what_is_left_when_the_answer_has_been_sent_is_no_request(server: Server) -> None:
    with unharmed(server), RawClient(server, None) as client:
        body = b"abc" + SMUGGLED
        client.send(
            post("/first", f"Content-Length: {len(body)}", body=body) + chunked("/read", b"0\r\n\r\n")
        )
        assert client.read_head() == 200
        assert client.body == "abc"
        assert client.read_head() == 200
        assert client.body == "0 bytes"
    with unharmed(server), RawClient(server, None) as client:
        body = b"abc" + SMUGGLED * 2000
        client.send(post("/first", f"Content-Length: {len(body)}", body=body))
        assert client.read_head() == 200
        assert client.body == "abc"
        assert client.read_frame() in ((FIN, RESET) if server.way == "geventwebsocket" else (FIN,))


def test_a_small_body_that_nobody_reads_is_passed_over(server: Server) -> None:
    with unharmed(server), RawClient(server, None) as client:
        client.send(post("/unread", "Content-Length: 3", body=b"abc") + SMUGGLED)
        assert client.read_head() == 200
        assert client.read_head() == 200
        assert client.body == "smuggled"


def test_a_large_body_that_nobody_reads_ends_the_connection(server: Server) -> None:
    with unharmed(server), RawClient(server, None) as client:
        client.send(post("/unread", "Content-Length: 1000000", body=b"x" * 300_000))
        assert client.read_head() == 200
        assert client.body == "not read"
        # gws's own server only ends it.
        assert client.headers.get("connection") == ("close" if server.way == "geventwebsocket" else None)
        # pywsgi closes over what it has not read.
        assert client.read_frame() in ((FIN, RESET) if server.way == "geventwebsocket" else (FIN,))


def test_a_body_that_nobody_reads_and_nobody_sends_ends_the_connection(server: Server) -> None:
    with unharmed(server), RawClient(server, None) as client:
        client.send(post("/nowhere", "Content-Length: 1000000"))
        assert client.read_head() == 404
        began = time.monotonic()
        assert client.read_frame() == FIN
        assert time.monotonic() - began < 4


def test_a_length_of_10_gb_reserves_nothing(server: Server) -> None:
    with unharmed(server), RawClient(server, None) as client:
        before = server.reset_peak_memory()
        client.send(post("/read", "Content-Length: 10000000000", body=b"abc"))
        client.half_close()
        assert client.read_head() == 400
        assert server.peak_memory() - before < 10_000_000


def test_a_body_that_comes_too_slowly_is_a_408(start_server: StartServer) -> None:
    server = start_server("bodies", values={"patience": 0.5})
    with unharmed(server), RawClient(server, None) as client:
        client.send(post("/read", "Content-Length: 1000", body=b"abc"))
        assert client.read_head() == 408
        assert client.read_frame() == FIN
        assert server.vitals()["counters"]["slow_bodies"] == 1


def test_a_body_that_comes_byte_by_byte_is_a_408(start_server: StartServer) -> None:
    server = start_server("bodies", values={"patience": 0.5})
    with unharmed(server), RawClient(server, None) as client:
        client.send(post("/read", "Content-Length: 1000"))
        client.socket.settimeout(0.02)
        # 50 bytes a second: never silent, and under the least rate.
        for _ in range(1000):
            client.socket.sendall(b"x")
            with contextlib.suppress(TimeoutError):
                assert client.socket.recv(12) == b"HTTP/1.1 408"
                break
        else:
            raise AssertionError("the server waits for every byte")


def test_an_answer_that_is_read_byte_by_byte_ends_the_connection(start_server: StartServer) -> None:
    server = start_server("bodies", values={"patience": 0.5})
    with unharmed(server), RawClient(server, None, receive_buffer=4096) as client:
        client.send(b"GET /much HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        end = time.monotonic() + 10
        with contextlib.suppress(ConnectionError):
            while client.socket.recv(4) and time.monotonic() < end:
                time.sleep(0.02)
        wait_for(lambda: server.vitals()["counters"].get("slow_readers") == 1, "the server to give it up")


def test_an_answer_that_nobody_reads_ends_the_connection(start_server: StartServer) -> None:
    server = start_server("bodies", values={"patience": 0.5})
    with unharmed(server), RawClient(server, None, receive_buffer=4096) as client:
        client.send(b"GET /much HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        wait_for(lambda: server.vitals()["counters"].get("slow_readers") == 1, "the server to give it up")
    assert "Traceback" not in server.log()


@pytest.mark.parametrize("way", OWN_WAYS)
def test_a_stop_waits_for_no_body_and_no_reader_that_is_idle(start_server: StartServer, way: str) -> None:
    server = start_server("bodies", way)
    with RawClient(server, None) as sender, RawClient(server, None, receive_buffer=4096) as reader:
        sender.send(post("/read", "Content-Length: 1000", body=b"abc"))
        reader.send(b"GET /much HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        # Answered behind them: the server has begun to wait for both.
        server.vitals()
        with server.stopping():
            pass


FLOODS = {
    "pipelined requests": (b"", SMUGGLED),
    "pipelined requests for nothing": (b"", SMUGGLED.replace(b"secret", b"nothing")),
    "chunks of a byte": (chunked("/read", b""), b"1\r\nx\r\n"),
    "chunks of a byte that nobody reads": (chunked("/unread", b""), b"1\r\nx\r\n"),
    "lines of a byte": (chunked("/lines", b""), b"1\r\n\n\r\n"),
    "trailers": (chunked("/read", b"0\r\n"), b"A: b\r\n"),
    "extensions": (chunked("/read", b""), b"1;" + b"x" * 250 + b"\r\nx\r\n"),
    "heads that are none": (b"", b"no request\r\n\r\n"),
}
"""What is said once, and what is said again and again behind it."""


FLOOD_SIZE = 500_000
"""Bytes, which keep the server busy for a second and more."""


def flood(client: RawClient, head: bytes, unit: bytes, seconds: float) -> None:
    """Send for so many seconds as fast as the server takes it, `FLOOD_SIZE` at most, and read whatever it answers."""
    client.socket.setblocking(False)
    pending = memoryview(head + unit * (FLOOD_SIZE // len(unit)))
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        readable, writable, _ = select.select([client.socket], [client.socket] if pending else [], [], 0.05)
        try:
            if readable and not client.socket.recv(1_000_000):
                break
            if writable:
                pending = pending[client.socket.send(pending) :]
        except ConnectionError:
            break


@pytest.mark.parametrize("name", FLOODS)
def test_who_always_has_more_to_say_keeps_nobody_out(server: Server, name: str) -> None:
    with unharmed(server), Witness(server) as witness:
        end = time.monotonic() + 0.5
        while (left := end - time.monotonic()) > 0:
            with RawClient(server, None) as client:
                flood(client, *FLOODS[name], left)
    witness.assert_is_served()
