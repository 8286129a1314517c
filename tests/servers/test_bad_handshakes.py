"""What is no opening handshake, or half of one, is refused in HTTP and opens nothing; and what may come behind one."""

from __future__ import annotations

import contextlib
import time

import pytest

from ..conftest import StartServer
from ..support.case import Case
from ..support.client_frames import PING, PONG, TEXT, close, frame, request, text
from ..support.harness import WAYS, Server, unharmed
from ..support.program import DEADLINE
from ..support.raw_client import FIN, RawClient, closed, said

BROKEN_HANDSHAKES = {
    "no key": (request(without="Sec-WebSocket-Key"), 400),
    "a malformed key": (request(Sec_WebSocket_Key="x"), 400),
    "an empty key": (request(Sec_WebSocket_Key=""), 400),
    "an old version": (request(Sec_WebSocket_Version="8"), 426),
    "a version that is no number": (request(Sec_WebSocket_Version="x"), 426),
    "no version": (request(without="Sec-WebSocket-Version"), 400),
    "HTTP/1.0": (request(start="GET {} HTTP/1.0"), 505),
    "POST": (request(start="POST {} HTTP/1.1", Content_Length="0"), 405),
    "no upgrade": (request(without="Upgrade"), 426),
    "no connection": (request(without="Connection"), 400),
    "another protocol": (request(Upgrade="h2c"), 426),
    "an unknown path": (request("/nowhere"), 404),
    "a page of another origin": (request(Origin="http://evil.example"), 403),
    "a malformed origin": (request(Origin="http://[::1"), 403),
    "garbage": (b"\x00\xff\x13\x37" * 64 + b"\r\n\r\n", 400),
    "garbage without a line end": (b"\x00\x01\x02\x03" * 4096, 414),
    "a TLS hello": (bytes.fromhex("16030100c8010000c40303") + bytes(range(256)) + b"\r\n\r\n", 400),
    "an endless request line": (b"GET /" + b"x" * 65536 + b" HTTP/1.1\r\n\r\n", 414),
    "a header line of 64 KiB": (request(X_Long="x" * 65536), 431),
    "10 000 headers": (request(**{f"X_{number}": "x" for number in range(10_000)}), 431),
    "a header without a colon": (request().replace(b"Host", b"nonsense\r\nHost"), 400),
    "a wrong content length": (request(Content_Length="x"), 400),
    "a negative content length": (request(Content_Length="-1"), 400),
    "HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
    "HTTP/x": (request(start="GET {} HTTP/x"), 400),
    "HTTP/1": (request(start="GET {} HTTP/1"), 400),
}
"""What is no opening handshake (RFC 6455 §4.2.1), and the HTTP status due."""


NO_HEADERS = {
    "without a name": request().replace(b"Host", b": nonsense\r\nHost"),
    "of a mailbox": request().replace(b"Host", b"From me\r\nHost"),
    "of a mailbox amid the headers": request().replace(b"Upgrade", b"From me\r\nUpgrade", 1),
    "that is folded and the first": request().replace(b"Host", b" nonsense\r\nHost"),
    "that is folded": request().replace(b"Upgrade", b" nonsense\r\nUpgrade", 1),
    "with a space before the colon": request().replace(b"Host:", b"Host :"),
    "with a name that is no token": request().replace(b"Host", b"No(nsense): x\r\nHost"),
    "with a zero byte": request().replace(b"Host", b"X: a\0b\r\nHost"),
    "with a bare CR": request().replace(b"Host", b"X: a\rY: b\r\nHost"),
}
"""Lines that Python, and so gevent-websocket, passes over or takes (RFC 9112 §5)."""


DOUBTFUL_BODIES = {
    "a length with a sign": request(Content_Length="+0"),
    "a length with an underscore": request(Content_Length="0_0"),
    "a length before a no-break space": request(Content_Length="0\xa0"),
    "two lengths": request(Content_Length="0").replace(b"Host", b"Content-Length: 1\r\nHost"),
    "a length and chunks": request(Content_Length="0", Transfer_Encoding="chunked"),
    "an unknown transfer coding": request(Transfer_Encoding="xchunked"),
    "two transfer codings": request(Transfer_Encoding="identity, chunked"),
}
"""What a proxy may see another end of (RFC 9112 §11.2)."""


@pytest.mark.parametrize("name", DOUBTFUL_BODIES)
def test_a_body_of_doubtful_length_is_a_400(case: Case, name: str) -> None:
    assert status_of(case.server, DOUBTFUL_BODIES[name]) == 400


@pytest.mark.parametrize("name", NO_HEADERS)
def test_a_line_that_is_no_header_is_a_400(case: Case, name: str) -> None:
    assert status_of(case.server, NO_HEADERS[name]) == 400


@pytest.mark.parametrize("name", BROKEN_HANDSHAKES)
def test_a_broken_handshake_is_answered_with_its_status(case: Case, name: str) -> None:
    data, status = BROKEN_HANDSHAKES[name]
    assert status_of(case.server, data) == status
    assert "closed" not in case.log()


def test_a_client_of_an_old_version_is_told_the_one_to_speak(case: Case) -> None:
    with RawClient(case.server, None) as client:
        client.send(request(Sec_WebSocket_Version="8"))
        assert client.read_head() == 426
        assert client.headers["sec-websocket-version"] == "13"
    case.wait_for_log("version '8'")


def test_a_plain_request_is_told_to_upgrade_and_may_ask_again(case: Case) -> None:
    with RawClient(case.server, None) as client:
        for _ in range(2):
            client.send(request(without="Upgrade"))
            assert client.read_head() == 426
            assert (client.headers["upgrade"], client.headers["connection"]) == ("websocket", "Upgrade")
            assert "connect to it with ws:// or wss://" in client.body


def test_a_refusal_says_why_in_the_log(case: Case) -> None:
    with RawClient(case.server, None) as client:
        client.send(request(Sec_WebSocket_Key="x"))
        assert client.read_head() == 400
    case.wait_for_log("<WebSocket /web_socket> refuses 127.0.0.1: ")
    assert "Sec-WebSocket-Key" in case.log()


def test_broken_handshakes_are_answered_alike_in_gunicorn(start_server: StartServer) -> None:
    server = start_server("surviving", "worker")
    with unharmed(server):
        found = {name: status_of(server, data) for name, (data, _status) in BROKEN_HANDSHAKES.items()}
    assert found == {name: status for name, (_data, status) in BROKEN_HANDSHAKES.items()}
    assert "Traceback" not in server.log()


def test_broken_handshakes_open_nothing_in_gevent_websockets_worker_either(start_server: StartServer) -> None:
    server = start_server("surviving", "geventwebsocket")
    with unharmed(server):
        begin = len(server.log())
        for name, (data, _status) in BROKEN_HANDSHAKES.items():
            with RawClient(server, None) as client:
                with contextlib.suppress(ConnectionError):
                    client.send(data)
                # gevent-websocket announces bodies that it never sends.
                status = client.read_head(with_body=False)
                assert status is not None
                if status == 101:
                    # It says so before gws is asked.
                    assert client.read_close()[0] == 1008, name
                    assert client.has_ended()
                else:
                    assert status >= 400, name
        assert "closed " not in server.log()[begin:]


@pytest.mark.parametrize("error", ["ValueError", "gevent.Timeout"])
def test_gevent_websockets_client_is_told_of_an_error_that_leaves_the_application(
    start_server: StartServer, error: str
) -> None:
    server = start_server("handshakes", "geventwebsocket", config={"PROPAGATE_EXCEPTIONS": True})
    with unharmed(server), RawClient(server, f"/web_socket?raise={error}") as client:
        assert client.read_to_end() == [closed(1011, "500 INTERNAL SERVER ERROR"), FIN]


def test_gevent_websockets_client_is_told_a_long_status_as_far_as_a_close_frame_goes(
    start_server: StartServer,
) -> None:
    server = start_server("handshakes", "geventwebsocket")
    with unharmed(server), RawClient(server, "/web_socket?long") as client:
        # 123 bytes, of which none is half a letter (RFC 6455 §5.5).
        assert client.read_to_end() == [closed(1008, "400 " + "\xe4" * 59), FIN]


def test_views_that_talk_to_gevent_websocket_themselves_are_left_alone(start_server: StartServer) -> None:
    server = start_server("handshakes", "geventwebsocket")
    with unharmed(server), RawClient(server, "/old") as client:
        client.say("hello")
        assert client.read_to_end() == [said("you said hello"), closed(1005), FIN]


def status_of(server: Server, data: bytes) -> int | None:
    """Return what these bytes are answered with."""
    with RawClient(server, None) as client:
        # The server need not read all of it before it answers.
        with contextlib.suppress(ConnectionError):
            client.send(data)
        return client.read_head()


# Handshakes that never end


@pytest.mark.parametrize("way", ["python", "worker"])
def test_a_handshake_that_never_ends_is_cut_off_at_its_deadline(start_server: StartServer, way: str) -> None:
    server = start_server("surviving", way, config={"GWS_HANDSHAKE_TIMEOUT": 1.0})
    with unharmed(server), contextlib.ExitStack() as clients:
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
    server = start_server("handshakes", config={"GWS_HANDSHAKE_TIMEOUT": 0.5})
    with unharmed(server):
        for path in ("/forever", "/later"):
            with RawClient(server, None) as client:
                client.send(request(path))
                assert client.read_head() == 503
    server.wait_for_log("<WebSocket /forever> refuses 127.0.0.1: the connect handler took too long")
    assert "Traceback" not in server.log()


# Frames behind the handshake


@pytest.mark.parametrize("way", WAYS)
def test_frames_in_the_packet_of_the_upgrade_request_are_handled(start_server: StartServer, way: str) -> None:
    server = start_server("surviving", way)
    big = "x" * 300_000
    with unharmed(server):
        half = text("half")
        with RawClient(server, behind=text("one") + text("two") + half[:3]) as client:
            assert [client.read_text(), client.read_text()] == ["one", "two"]
            client.send(half[3:])
            assert client.read_text() == "half"
        with RawClient(server, behind=text(big) + text("small")) as client:
            assert [client.read_text(), client.read_text()] == [big, "small"]
        with RawClient(server, behind=frame(PING, b"?") + close(4321, b"bye")) as client:
            assert client.read_frame() == (PONG, b"?")
            assert client.read_close() == (4321, "bye")
            assert client.has_ended()
        with RawClient(server, behind=frame(TEXT, b"x", mask=None)) as client:
            assert client.read_close()[0] == 1002
            assert client.has_ended()
    assert "Traceback" not in server.log()
