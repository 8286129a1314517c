"""How connections end, by either side or by accident: the frames, the code, and the close handler, exactly once."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable

import pytest
from websockets.sync.client import connect

from ..conftest import StartServer
from ..support.client_frames import CLOSE, CONTINUATION, PING, TEXT, close, frame, text
from ..support.harness import WAYS, Server, unharmed
from ..support.program import DEADLINE, wait_for
from ..support.raw_client import FIN, RESET, RawClient, closed, said


@pytest.fixture(scope="module", params=WAYS)
def server(start_module_server: StartServer, request: pytest.FixtureRequest) -> Server:
    return start_module_server("closing", request.param)


def open_room(server: Server, key: str, path: str = "/patient") -> RawClient:
    """Return a client that has been greeted."""
    client = RawClient(server, f"{path}?notes={key}")
    assert client.read_frame() == said("hello")
    return client


# The client closes


@pytest.mark.parametrize(
    ("code", "reason"), [(1000, "done"), (1001, "tab closed"), (1002, ""), (4000, "mine")]
)
def test_a_close_by_the_client_is_echoed_behind_the_last_words(
    server: Server, key: str, code: int, reason: str
) -> None:
    with unharmed(server), open_room(server, key) as client:
        client.close(code, reason)
        assert client.read_to_end() == [said("goodbye"), closed(code, reason), FIN]
    assert server.notes(key) == [(code, reason)]


def test_a_close_without_a_code_is_answered_without_one_and_noted_as_1005(server: Server, key: str) -> None:
    with unharmed(server), open_room(server, key) as client:
        client.send(frame(CLOSE))
        assert client.read_to_end() == [said("goodbye"), closed(1005), FIN]
    assert server.notes(key) == [(1005, "")]


def test_messages_before_a_close_are_answered_and_those_behind_it_are_not(server: Server, key: str) -> None:
    with unharmed(server), open_room(server, key) as client:
        client.send(
            text("1"),
            text("2"),
            close(1000),
            text("3"),
            close(4000),
        )
        assert client.read_to_end() == [said("1"), said("2"), said("goodbye"), closed(1000), FIN]
    assert server.notes(key) == [(1000, "")]


def test_a_close_in_the_handshakes_own_segment_is_answered(server: Server, key: str) -> None:
    behind = text("early") + close(1000)
    with unharmed(server), RawClient(server, f"/patient?notes={key}", behind=behind) as client:
        assert client.read_to_end() == [said("hello"), said("early"), said("goodbye"), closed(1000), FIN]
    assert server.notes(key) == [(1000, "")]


def test_the_running_handler_ends_before_the_close_is_echoed(server: Server, key: str) -> None:
    with unharmed(server), open_room(server, key) as client:
        client.send(text("sleep 0.2"), close(1000))
        assert client.read_to_end() == [said("sleep 0.2"), said("goodbye"), closed(1000), FIN]
    assert server.notes(key) == [(1000, "")]


def test_a_handler_that_goes_on_does_not_hold_the_echo_back_for_longer_than_close_timeout(
    server: Server, key: str
) -> None:
    with unharmed(server), open_room(server, key, "/room") as client:
        client.send(text("sleep 1.5"), close(1000))
        assert client.read_to_end() == [closed(1000), FIN]
    assert server.notes(key) == [(1000, "")]


# The server closes


def test_the_close_handler_and_every_return_value_come_before_the_close_frame(
    server: Server, key: str
) -> None:
    with unharmed(server), open_room(server, key) as client:
        client.say("close")
        assert client.read_frames(3) == [said("closing"), said("goodbye"), closed(1000, "Connection closed")]
        client.close()
        assert client.read_to_end() == [FIN]
    assert server.notes(key) == [(1000, "Connection closed")]


def test_the_server_closes_with_a_code_and_reason_of_the_applications(server: Server, key: str) -> None:
    with unharmed(server), open_room(server, key) as client:
        client.say("close 4000")
        assert client.read_frames(2) == [said("goodbye"), closed(4000, "enough")]
        client.close(4000)
        assert client.read_to_end() == [FIN]
    assert server.notes(key) == [(4000, "enough")]


def test_a_peer_that_never_answers_the_close_is_cut_off_at_the_deadline(server: Server, key: str) -> None:
    with unharmed(server), open_room(server, key, "/room") as client:
        client.say("close")
        assert client.read_to_end() == [
            said("closing"),
            said("goodbye"),
            closed(1000, "Connection closed"),
            FIN,
        ]
    assert server.notes(key) == [(1000, "Connection closed")]


def test_what_the_client_says_instead_of_answering_the_close_is_ignored(server: Server, key: str) -> None:
    with unharmed(server), open_room(server, key) as client:
        client.say("close", "never handled")
        assert client.read_frames(3) == [said("closing"), said("goodbye"), closed(1000, "Connection closed")]
        client.say("never handled either")
        client.close()
        assert client.read_to_end() == [FIN]
    assert server.notes(key) == [(1000, "Connection closed")]


def test_nonsense_instead_of_an_answer_to_the_close_is_survived(server: Server, key: str) -> None:
    with unharmed(server), open_room(server, key, "/room") as client:
        client.say("close")
        assert client.read_frames(3)[-1] == closed(1000, "Connection closed")
        client.send(frame(TEXT, b"unmasked", mask=None), frame(CONTINUATION, b"?"))
        assert client.read_to_end()[-1] in (FIN, RESET)
    assert server.notes(key) == [(1000, "Connection closed")]
    assert server.vitals()["counters"].get("callback_errors", 0) == 0


def test_closing_twice_is_closing_once_and_the_first_reason_counts(server: Server, key: str) -> None:
    with unharmed(server), open_room(server, key) as client:
        client.say("close twice")
        assert client.read_frames(2) == [said("goodbye"), closed(4001, "first")]
        client.close(4001)
        assert client.read_to_end() == [FIN]
    assert server.notes(key) == [(4001, "first")]


def test_a_closed_connection_is_out_of_the_registry_while_its_handler_goes_on(
    server: Server, key: str
) -> None:
    with unharmed(server), open_room(server, key) as client, open_room(server, key + "o") as other:
        client.say("close and wait")
        assert client.read_frames(3) == [
            said("reachable: False"),
            said("goodbye"),
            closed(1000, "Connection closed"),
        ]
        assert other.read_frame() == said("heard by the others only")
        other.close()
        assert other.read_to_end() == [said("goodbye"), closed(1000), FIN]
        client.close()
        assert client.read_to_end() == [FIN]


def test_another_connections_handler_may_close_it(server: Server, key: str) -> None:
    with unharmed(server), open_room(server, key) as client, open_room(server, key + "o") as other:
        other.say(f"close the one of {key}")
        assert other.read_frame() == said("closed it")
        assert client.read_frames(2) == [said("goodbye"), closed(4004, "by another")]
        client.close()
        assert client.read_to_end() == [FIN]
    assert server.notes(key) == [(4004, "by another")]


def test_a_native_thread_may_close_it(server: Server, key: str) -> None:
    with unharmed(server), open_room(server, key) as client:
        client.say("close from a thread")
        assert client.read_frames(2) == [said("goodbye"), closed(4003, "from a thread")]
        client.close(4003)
        assert client.read_to_end() == [FIN]
    assert server.notes(key) == [(4003, "from a thread")]


def test_closing_in_connect_still_opens_and_then_closes(server: Server, key: str) -> None:
    with (
        unharmed(server),
        RawClient(server, f"/dying?notes={key}", behind=text("early")) as client,
    ):
        assert client.status == 101
        assert client.read_frames(3) == [said("sorry"), said("open: False"), closed(4005, "not today")]
        client.close(4005)
        assert client.read_to_end() == [FIN]
    assert server.notes(key) == [(4005, "not today")]


@pytest.mark.parametrize(
    ("command", "complaint"),
    [
        ("close with 1006", "close code 1006 may not be sent: use 1000-1003, 1007-1014 or 3000-4999"),
        ("close with a long reason", "a close reason holds at most 123 bytes of UTF-8, this one 124"),
    ],
)
def test_a_code_or_reason_that_may_not_be_sent_is_a_value_error(
    server: Server, key: str, command: str, complaint: str
) -> None:
    with open_room(server, key) as client:
        client.say(command, "still here")
        assert client.read_frames(2) == [said(complaint), said("still here")]


def test_the_text_connection_closed_is_a_text_like_any_other(server: Server, key: str) -> None:
    with open_room(server, key) as client:
        client.say("Connection closed", "still here")
        assert client.read_frames(2) == [said("Connection closed"), said("still here")]
        client.close()
        assert client.read_to_end() == [said("goodbye"), closed(1000), FIN]


# The client is at fault, or lost


@pytest.mark.parametrize(
    ("sent", "code", "reason"),
    [
        (frame(TEXT, b"unmasked", mask=None), 1002, "frame is not masked"),
        (frame(CONTINUATION, b"of nothing"), 1002, "continuation frame without a message to continue"),
        (frame(PING, b"", fin=False), 1002, "control frame is fragmented"),
        (b"\xc1\x80mask", 1002, "reserved bits are set"),
        (b"\x83\x80mask", 1002, "reserved opcode"),
        (frame(CLOSE, b"\x03"), 1002, "close frame with half a code"),
        (close(1005), 1002, "close code that may not be sent"),
        (frame(TEXT, b"\xff"), 1007, "text is not UTF-8"),
        (frame(CLOSE, b"\x03\xe8\xff"), 1007, "close reason is not UTF-8"),
        (frame(TEXT, b"x" * 1001), 1009, "message is over 1000 bytes"),
    ],
    ids=lambda value: str(value)[:60] if isinstance(value, str) else "",
)
def test_a_broken_rule_fails_the_connection_with_its_code_and_ends_it_at_once(
    server: Server, key: str, sent: bytes, code: int, reason: str
) -> None:
    with unharmed(server), open_room(server, key, "/room") as client:
        client.send(text("before"), sent, text("behind"))
        assert client.read_to_end() == [said("before"), said("goodbye"), closed(code, reason), FIN]
    assert server.notes(key) == [(code, reason)]


def test_a_handler_that_raises_fails_its_connection_with_1011(server: Server, key: str) -> None:
    with unharmed(server), open_room(server, key) as client:
        client.say("raise", "never handled")
        assert client.read_to_end() == [said("goodbye"), closed(1011, "internal error"), FIN]
    assert server.notes(key) == [(1011, "internal error")]


def drop_amid_a_frame(client: RawClient) -> None:
    """End the TCP connection in the middle of a message."""
    client.send(frame(TEXT, b"x" * 100)[:50])
    client.drop()


@pytest.mark.parametrize("lose", [RawClient.drop, RawClient.reset, drop_amid_a_frame])
def test_a_lost_connection_is_noted_as_1006(
    server: Server, key: str, lose: Callable[[RawClient], None]
) -> None:
    with unharmed(server):
        lose(open_room(server, key))
        assert server.notes(key, 1) == [(1006, "")]
    assert server.notes(key) == [(1006, "")]


def test_a_connection_lost_while_its_handler_runs_is_noted_once_the_handler_is_done(
    server: Server, key: str
) -> None:
    with unharmed(server):
        with open_room(server, key) as client:
            client.say("sleep 0.2")
        assert server.notes(key, 1) == [(1006, "")]
    assert server.notes(key) == [(1006, "")]


def test_a_peer_that_answers_no_ping_is_lost(server: Server, key: str) -> None:
    with unharmed(server), RawClient(server, f"/lively?notes={key}") as client:
        assert server.notes(key, 1) == [(1006, "keepalive ping timeout")]
        assert client.read_to_end()[-1] in (FIN, RESET)
    assert server.notes(key) == [(1006, "keepalive ping timeout")]


def test_fifty_clients_that_end_in_every_way_at_once_leave_nothing(server: Server, key: str) -> None:
    def live(number: int) -> None:
        with open_room(server, key) as client:
            match number % 5:
                case 0:
                    client.say("close")
                    client.close()
                case 1:
                    client.close()
                case 2:
                    client.send(b"\xff\xff")
                case 3:
                    client.drop()
                    return
                case 4:
                    client.reset()
                    return
            assert client.read_to_end()[-1] == FIN

    with unharmed(server):
        threads = [threading.Thread(target=live, args=(number,)) for number in range(50)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(DEADLINE)
        server.notes(key, 50)
    codes = [code for code, _ in server.notes(key)]
    assert {code: codes.count(code) for code in codes} == {1000: 20, 1002: 10, 1006: 20}


@pytest.mark.parametrize("way", WAYS)
def test_a_server_that_stops_closes_with_1001_and_runs_the_close_handlers(
    start_server: StartServer, way: str
) -> None:
    server = start_server("closing", way)

    with contextlib.ExitStack() as stack:
        clients = [
            stack.enter_context(connect(server.url("/patient"), open_timeout=DEADLINE)) for _ in range(3)
        ]
        assert [client.recv(timeout=DEADLINE) for client in clients] == ["hello"] * 3
        server.tell()
        for client in clients:
            assert list(client) == ["goodbye"]
            assert (client.close_code, client.close_reason) == (1001, "going away")
    assert server.wait() == 0
    wait_for(lambda: server.log().count("closed 1001 going away") == 3, "each close handler, once")
