"""Frames that break RFC 6455 §5 to §8 end their own connection at most, with the close code due."""

from __future__ import annotations

import contextlib

import pytest

from ..conftest import StartServer
from ..support.case import Case, new_tag
from ..support.client_frames import (
    BINARY,
    CLOSE,
    CONTINUATION,
    MASK,
    MIB,
    PING,
    PONG,
    TEXT,
    close,
    frame,
    head,
    text,
)
from ..support.harness import unharmed
from ..support.raw_client import DROPS, RawClient, said

BROKEN_FRAMES = {
    "unmasked": (frame(TEXT, b"x", mask=None), 1002, "not masked"),
    "reserved bit 1": (frame(TEXT, b"x", rsv=0b100), 1002, "reserved bits"),
    "reserved bit 2": (frame(TEXT, b"x", rsv=0b010), 1002, "reserved bits"),
    "reserved bit 3": (frame(TEXT, b"x", rsv=0b001), 1002, "reserved bits"),
    "reserved data opcode": (frame(0x3, b"x"), 1002, "reserved opcode"),
    "reserved control opcode": (frame(0xB, b"x"), 1002, "reserved opcode"),
    "long ping": (frame(PING, b"x" * 126), 1002, "too long"),
    "fragmented ping": (frame(PING, b"x", fin=False), 1002, "fragmented"),
    "fragmented close": (frame(CLOSE, b"", fin=False), 1002, "fragmented"),
    "nothing to continue": (frame(CONTINUATION, b"x"), 1002, "without a message"),
    "message in a message": (frame(TEXT, b"x", fin=False) + frame(TEXT, b"y"), 1002, "inside a fragmented"),
    "long length for a short frame": (
        b"\x81\xff" + (5).to_bytes(8, "big") + MASK + b"12345",
        1002,
        "fewest bytes",
    ),
    "negative length": (head(BINARY, 1 << 63), 1002, "most significant bit"),
    "header that announces 2**62 bytes": (head(BINARY, 1 << 62), 1009, "over 1048576 bytes"),
    "header that announces one byte too many": (head(TEXT, MIB + 1), 1009, "over 1048576 bytes"),
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
    "reason that is not UTF-8": (close(1000, b"\xff"), 1007, "not UTF-8"),
    **{
        f"close code {code}": (close(code), 1002, "may not be sent")
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
        found, why = client.read_close()
        assert found == code
        assert reason in why
        assert client.has_ended()
    case.expect_closed(tag, code)


@pytest.mark.parametrize("name", ["unmasked", "text that is not UTF-8", "header that announces 2**62 bytes"])
def test_a_broken_frame_is_explained_in_the_log(case: Case, name: str) -> None:
    data, _code, reason = BROKEN_FRAMES[name]
    with RawClient(case.server) as client:
        client.send(data)
        client.read_close()
        assert client.has_ended()
    assert len(case.lines_about(reason)) == 1, case.log()


@pytest.mark.parametrize("way", ["worker", "geventwebsocket"])
def test_broken_frames_end_one_connection_each_in_gunicorn_too(start_server: StartServer, way: str) -> None:
    server = start_server("surviving", way)
    with unharmed(server):
        for data, code, reason in BROKEN_FRAMES.values():
            with RawClient(server) as client:
                client.send(data)
                found, why = client.read_close()
                assert (found, reason in why) == (code, True)
                assert client.has_ended()
    assert "Traceback" not in server.log()


def test_good_messages_before_a_broken_frame_of_the_same_packet_are_answered(case: Case) -> None:
    with RawClient(case.server) as client:
        client.send(text("one") + text("two") + frame(TEXT, b"x", mask=None) + text("three"))
        assert [client.read_text(), client.read_text()] == ["one", "two"]
        assert client.read_close()[0] == 1002


def test_a_client_that_goes_on_sending_after_it_broke_the_protocol_still_gets_its_close(case: Case) -> None:
    with RawClient(case.server) as client:
        client.send(frame(TEXT, b"x", mask=None) + bytes(2 * MIB))
        assert client.read_close()[0] == 1002


def test_nothing_of_a_bad_day_is_left_in_the_memory(case: Case) -> None:
    def one_bad_day() -> None:
        for _ in range(20):
            for data, _code, _reason in BROKEN_FRAMES.values():
                if len(data) < 1000:
                    with RawClient(case.server) as client:
                        client.send(data)
                        client.read_close()

    one_bad_day()
    before = case.server.reset_peak_memory()
    one_bad_day()
    assert case.server.peak_memory() - before < 4 * MIB


# Frames that come in pieces, or never end


def test_an_announced_length_costs_no_memory(case: Case) -> None:
    before = case.server.reset_peak_memory()
    with contextlib.ExitStack() as clients:
        for _ in range(50):
            clients.enter_context(RawClient(case.server)).send(head(BINARY, MIB))
            with RawClient(case.server) as too_much:
                too_much.send(head(BINARY, 1 << 62))
                assert too_much.read_close()[0] == 1009
        assert case.server.peak_memory() - before < 16 * MIB


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
        for start in range(0, len(data), size):
            client.send(data[start : start + size])
        frames = [client.read_frame() for _ in range(4)]
    # A pong does not wait for the handlers.
    assert sorted(frames, key=lambda found: found[0] == PONG) == [
        said("grüße"),
        (BINARY, bytes(126)),
        said(""),
        (PONG, b"hello"),
    ]


def test_a_frame_that_never_ends_is_given_up_when_its_client_is_silent(start_server: StartServer) -> None:
    config = {"GWS_PING_INTERVAL": 0.4, "GWS_PING_TIMEOUT": 0.4}
    server = start_server("surviving", config=config)
    with unharmed(server), RawClient(server, "/web_socket?tag=silent") as client:
        client.send(frame(BINARY, bytes(1000), fin=False) + head(CONTINUATION, MIB // 2) + bytes(1000))
        assert client.read_frame() == (PING, b"")
        assert client.has_ended()
        server.wait_for_log("closed silent 1006 keepalive ping timeout")
    assert server.vitals()["counters"]["keepalive_timeouts"] == 1
    assert len(Case(server, 0).lines_about("keepalive")) == 1, server.log()


def test_a_message_that_never_ends_meets_the_size_limit(case: Case) -> None:
    before = case.server.reset_peak_memory()
    with RawClient(case.server) as client:
        client.send(frame(BINARY, bytes(1000), fin=False))
        with contextlib.suppress(ConnectionError):
            for _ in range(20_000):
                client.send(frame(CONTINUATION, bytes(1000), fin=False))
        assert client.read_close()[0] == 1009
    assert case.server.peak_memory() - before < 16 * MIB


def test_empty_fragments_without_end_cost_no_memory(case: Case) -> None:
    before = case.server.reset_peak_memory()
    with RawClient(case.server) as client:
        client.send(frame(TEXT, b"", fin=False))
        for _ in range(20):
            client.send(frame(CONTINUATION, b"", fin=False) * 10_000)
        client.send(frame(CONTINUATION, b"the end"))
        assert client.read_text() == "the end"
    assert case.server.peak_memory() - before < 8 * MIB
