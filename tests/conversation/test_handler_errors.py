"""Whatever goes wrong in a handler ends its own connection, with 1011 and a traceback, and nothing else."""

from __future__ import annotations

import pytest

from ..conftest import StartServer
from ..support.harness import Server, unharmed
from ..support.raw_client import FIN, RawClient, closed, said

ERRORS = {
    "value error": "ValueError: a handler's own",
    "system exit": "SystemExit: 3",
    "sys.exit": "SystemExit",
    "timeout": "gevent.timeout.Timeout: 1 second",
    "abort": "403 Forbidden",
    "generator exit": "GeneratorExit",
    "cancelled": "CancelledError",
    "base exception": "BaseException: of no known kind",
    "deep": "RecursionError",
    "unprintable": "Unprintable",
    "wrong result": "a handler returns None, str, bytes, dict or list, not int",
}
GREENLETS_ERRORS = {
    "expired": "gevent.timeout.Timeout: 0.01 second",
    "kill by another": "RuntimeError: thrown by another greenlet",
}
CASES = [
    *(("sync", how, error) for how, error in (ERRORS | GREENLETS_ERRORS).items()),
    *(("async", how, error) for how, error in ERRORS.items()),
]


@pytest.fixture(scope="module")
def server(start_module_server: StartServer) -> Server:
    return start_module_server("errors")


@pytest.mark.parametrize(("kind", "how", "error"), CASES, ids=[f"{kind}-{how}" for kind, how, _ in CASES])
def test_a_message_handler_that_raises_ends_its_connection_and_is_logged(
    server: Server, key: str, kind: str, how: str, error: str
) -> None:
    before = len(server.log())
    with unharmed(server), RawClient(server, f"/{kind}?notes={key}") as client:
        client.say("fine", how, "never handled")
        assert client.read_to_end() == [
            said("fine"),
            said("bye"),
            closed(1011, "internal error"),
            FIN,
        ]
    assert server.notes(key) == [(1011, "internal error")]
    log = server.log()[before:]
    assert f"the message handler of <WebSocket /{kind}> failed; its connection is closed with 1011" in log
    assert "Traceback" in log
    assert error in log


@pytest.mark.parametrize("how", ERRORS)
@pytest.mark.parametrize("end", ["client", "server", "handler"])
def test_a_close_handler_that_raises_is_logged_and_the_close_goes_on(
    server: Server, key: str, how: str, end: str
) -> None:
    before = len(server.log())
    path = f"/bad_close?notes={key}&how={how.replace(' ', '%20')}"
    with unharmed(server), RawClient(server, path) as client:
        if end == "client":
            client.close(1000, "bye")
            assert client.read_frame() == closed(1000, "bye")
        elif end == "server":
            client.say("close")
            assert client.read_frame() == closed(1000, "Connection closed")
            client.close()
        else:
            client.say("raise")
            assert client.read_frame() == closed(1011, "internal error")
        assert client.read_to_end() == [FIN]
    assert server.notes(key) == [(1011 if end == "handler" else 1000,)]
    assert ERRORS[how] in server.log()[before:]


def test_a_call_with_a_wrong_signature_is_an_error_like_any_other(server: Server) -> None:
    with unharmed(server), RawClient(server, "/wrong_signature") as client:
        client.say("hello")
        assert client.read_to_end() == [closed(1011, "internal error"), FIN]
    server.wait_for_log("missing 1 required positional argument: 'b'")


@pytest.mark.parametrize("how", ["greenlet exit", "killed"])
def test_a_handler_that_is_killed_closes_as_going_away(server: Server, key: str, how: str) -> None:
    with unharmed(server), RawClient(server, f"/sync?notes={key}") as client:
        client.say(how)
        assert client.read_frames(2) == [said("bye"), closed(1001, "going away")]
        client.close(1001)
        assert client.read_to_end() == [FIN]
    assert server.notes(key) == [(1001, "going away")]


def test_a_greenlet_killed_between_messages_closes_as_going_away(server: Server, key: str) -> None:
    with unharmed(server), RawClient(server, f"/sync?notes={key}") as client:
        client.say("kill me later")
        assert client.read_frames(3) == [said("kill me later"), said("bye"), closed(1001, "going away")]
        client.close(1001)
        assert client.read_to_end() == [FIN]
    assert server.notes(key) == [(1001, "going away")]


def test_a_timeout_left_running_that_ends_between_messages_is_survived_and_logged(
    server: Server, key: str
) -> None:
    with unharmed(server), RawClient(server, f"/sync?notes={key}") as client:
        client.say("stray timeout")
        assert client.read_frame() == said("stray timeout")
        server.wait_for_log("a gevent.Timeout that a handler of <WebSocket /sync> left running")
        client.say("fine")
        assert client.read_frame() == said("fine")
        client.close()
        assert client.read_to_end() == [said("bye"), closed(1000), FIN]
    assert server.notes(key) == [(1000, "")]


def test_200_handlers_that_raise_leave_nothing(server: Server, key: str) -> None:
    with unharmed(server):
        clients = [RawClient(server, f"/sync?notes={key}") for _ in range(200)]
        for client in clients:
            client.say("value error")
        for client in clients:
            with client:
                assert client.read_to_end() == [said("bye"), closed(1011, "internal error"), FIN]
    assert server.notes(key) == [(1011, "internal error")] * 200
