"""Corners that somebody who wanted to break gws has found."""

from __future__ import annotations

import re
import signal
import socket

import pytest

from ..conftest import StartServer
from ..support.client_frames import BINARY, PING, PONG, TEXT, frame, text
from ..support.harness import Server, unharmed
from ..support.raw_client import FIN, RawClient, closed, said


@pytest.fixture(scope="module")
def server(start_module_server: StartServer) -> Server:
    """One for all of these."""
    return start_module_server("corners")


def test_a_log_that_waits_does_not_keep_a_broken_connection_open(server: Server, key: str) -> None:
    with (
        unharmed(server),
        RawClient(server) as busy,
        RawClient(server, f"/web_socket?notes={key}") as broken,
    ):
        busy.say("log")
        broken.send(frame(TEXT, b"not masked", mask=None))
        assert broken.read_to_end() == [closed(1002, "frame is not masked"), FIN]
        assert server.notes(key, 1) == [(1002, False)]


def test_pings_do_not_make_a_slow_reader_of_a_large_message_a_slow_consumer(server: Server) -> None:
    with (
        unharmed(server),
        RawClient(server) as bystander,
        RawClient(server, "/large", receive_buffer=65536) as client,
    ):
        client.say("send")
        assert client.socket.recv(1, socket.MSG_PEEK)
        client.send(frame(PING, b"one"), frame(PING, b"two"))
        bystander.say("is the server there yet?")
        bystander.read_frame()
        assert client.read_frame() == (BINARY, b"x" * 16_000_000)
        while (found := client.read_frame()) == (PING, b""):
            pass
        assert found == (PONG, b"two")


def test_what_connect_sends_to_itself_all_arrives_however_much_it_is(server: Server) -> None:
    with unharmed(server), RawClient(server, "/large?snapshot") as client:
        assert client.read_frames(8) == [said(str(number) * 500_000) for number in range(8)]
        while (found := client.read_frame()) == (PING, b""):
            pass
        assert found == said("end")


def test_the_body_of_an_upgrade_request_is_empty_to_whoever_reads_it(server: Server) -> None:
    with RawClient(server, behind=text("at once")) as client:
        assert client.read_frame() == said("None")


@pytest.mark.parametrize("header", [{"Content-Length": "5"}, {"Transfer-Encoding": "chunked"}])
def test_a_handshake_with_a_body_is_refused(server: Server, header: dict[str, str]) -> None:
    with unharmed(server), RawClient(server, headers=header, behind=b"0\r\n\r\n") as client:
        assert client.status == 400


@pytest.mark.parametrize("host", ["xn--bcher-kva.example", "a_b.example:8080", "[::1]:80"])
def test_a_page_of_the_same_origin_is_let_in_whatever_the_name(server: Server, host: str) -> None:
    with RawClient(server, headers={"Host": host, "Origin": f"http://{host}"}) as client:
        assert client.status == 101


def test_a_control_character_in_a_header_is_a_400_and_one_line(server: Server) -> None:
    before = len(server.log())
    with unharmed(server), RawClient(server, headers={"Sec-WebSocket-Protocol": "a\x1b[2J"}) as client:
        assert client.status == 400
    log = server.log()[before:]
    assert "\x1b" not in log
    assert "Traceback" not in log


def test_a_query_of_raw_utf_8_is_read(server: Server) -> None:
    with RawClient(server, "/web_socket?name=é") as client:
        client.say("who")
        assert client.read_frame() == said("é")


def test_a_connection_that_has_accepted_ends_although_a_signal_receiver_raises(server: Server) -> None:
    with unharmed(server), RawClient(server, "/web_socket?accept") as client:
        assert client.read_to_end() == [closed(1011, "internal error"), FIN]


def test_g_begins_anew_in_the_close_handler_after_an_error(server: Server, key: str) -> None:
    with unharmed(server), RawClient(server, f"/web_socket?notes={key}") as client:
        client.say("raise")
        assert client.read_to_end() == [closed(1011, "internal error"), FIN]
        assert server.notes(key, 1) == [(1011, False)]


def test_a_connection_cannot_be_renamed(server: Server) -> None:
    with unharmed(server), RawClient(server) as client:
        client.say("rename")
        assert client.read_to_end() == [closed(1011, "internal error"), FIN]
    assert re.search("AttributeError: .*'id'", server.log())


def test_a_stop_while_connect_runs_refuses_the_connection(start_server: StartServer, way: str) -> None:
    server = start_server("stopping", way)
    with RawClient(server, "/silent") as other, RawClient(server, "/hesitating", wait=False) as client:
        server.wait_for_log("connecting")
        server.tell(signal.SIGTERM)
        assert other.read_to_end() == [closed(1001, "going away"), FIN]
        if way == "geventwebsocket":
            assert client.read_head() == 101
            assert client.read_to_end() == [closed(1011, "503 SERVICE UNAVAILABLE"), FIN]
        else:
            assert client.read_head() == 503
        assert server.wait() == 0
