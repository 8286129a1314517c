"""`async def` handlers: what they may await, and what fails with an error that says what to do."""

from __future__ import annotations

import json
import sys
import time

import pytest

from ..conftest import StartServer
from ..support.harness import WAYS, Server, unharmed
from ..support.program import wait_for
from ..support.raw_client import FIN, RawClient, closed, said

ANSWERS = {
    "sleep": "slept",
    "wait_for_never": "timed out",
    "timeout": "timed out",
    "gather": "[0, 1, 2]",
    "task_group": "[2, 1, 0]",
    "stream": "THROUGH A STREAM",
    "queue": "[0, 1, 2]",
    "executor": "45",
    "to_thread": "None",
    "block_and_go_on": "went on",
    "asyncio_run": "asyncio.run() cannot be called from a running event loop",
}
SINCE_3_11 = {"timeout", "task_group", "group_error"}


@pytest.fixture(scope="module")
def server(start_module_server: StartServer) -> Server:
    return start_module_server("async_handlers")


def join(server: Server, key: str = "") -> RawClient:
    """Return a client that has been greeted."""
    client = RawClient(server, f"/web_socket?notes={key}")
    assert client.read_frame() == said("connected")
    return client


@pytest.mark.parametrize(
    "command", sorted(ANSWERS.keys() - (SINCE_3_11 if sys.version_info < (3, 11) else set()))
)
def test_a_handler_awaits(server: Server, command: str) -> None:
    with join(server) as client:
        client.say(command, command)
        assert client.read_frames(2) == [said(ANSWERS[command])] * 2
        client.close()
        assert client.read_to_end() == [said("bye"), closed(1000), FIN]


def test_a_task_may_outlive_its_handler_and_sends_to_the_client(server: Server) -> None:
    with join(server) as client:
        client.say("background", "sleep")
        assert client.read_frames(3) == [
            said("returned"),
            said("slept"),
            said("from a task that outlived its handler"),
        ]


def test_the_loop_lives_across_messages(server: Server) -> None:
    with join(server) as client:
        client.say("loop_is_the_same", "loop_is_the_same")
        assert client.read_frames(2) == [said("True")] * 2


def test_httpx_and_aiohttp_keep_their_connections_from_message_to_message(server: Server) -> None:
    with unharmed(server), RawClient(server, "/http") as client:
        messages = ["httpx", "aiohttp"] * 3
        client.say(*messages)
        assert client.read_frames(6) == [said("from an async view")] * 6
        client.close()
        assert client.read_to_end() == [closed(1000), FIN]


@pytest.mark.parametrize("command", ["block", "block_after_suspension"])
def test_a_gevent_call_that_would_block_is_an_error_that_says_what_to_do(
    server: Server, key: str, command: str
) -> None:
    before = len(server.log())
    with unharmed(server), join(server, key) as client:
        client.say(command)
        assert client.read_to_end() == [said("bye"), closed(1011, "internal error"), FIN]
    assert server.notes(key) == [(1011,)]
    log = server.log()[before:]
    assert "A coroutine made a gevent call that blocks" in log
    assert "await asyncio.sleep(...)" in log
    assert "or make the handler a plain `def`" in log
    assert f"in {command}" in log


@pytest.mark.parametrize("command", ["cancelled", "cancel_itself"])
def test_a_cancelled_handler_fails_its_connection_like_any_error(
    server: Server, key: str, command: str
) -> None:
    with unharmed(server), join(server, key) as client:
        client.say(command)
        assert client.read_to_end() == [said("bye"), closed(1011, "internal error"), FIN]
    assert server.notes(key) == [(1011,)]


@pytest.mark.parametrize("command", ["group_error"] if sys.version_info >= (3, 11) else [])
def test_an_exception_group_is_logged_whole(server: Server, command: str) -> None:
    with unharmed(server), join(server) as client:
        client.say(command)
        assert client.read_to_end() == [said("bye"), closed(1011, "internal error"), FIN]
    server.wait_for_log("ValueError: inside a group")


@pytest.mark.parametrize(
    ("call", "instead"), [("async_send_to", "sync_send_to"), ("async_broadcast", "sync_broadcast")]
)
def test_an_async_send_where_no_loop_runs_names_the_call_to_use(
    server: Server, call: str, instead: str
) -> None:
    with RawClient(server, "/plain") as client:
        client.say(call)
        assert client.read_frame() == said(
            f"await ws.{call}(...) in an async def handler; a plain def handler calls ws.{instead}(...)"
        )


def test_def_and_async_def_mix_on_one_endpoint(server: Server) -> None:
    with RawClient(server, "/mixed") as client:
        client.say("hello")
        client.close()
        assert client.read_to_end() == [
            said("def"),
            said("async def"),
            said("def again"),
            closed(1000),
            FIN,
        ]


def test_asyncio_run_in_a_def_handler_is_not_disturbed(server: Server) -> None:
    with RawClient(server, "/plain") as plain, join(server) as client:
        client.say("background")
        plain.say("asyncio.run")
        assert plain.read_frame() == said("slept")
        assert client.read_frames(2) == [said("returned"), said("from a task that outlived its handler")]


def test_flasks_async_views_are_not_disturbed(server: Server) -> None:
    with join(server) as client:
        client.say("background")
        assert server.get("/async_view") == "from an async view"
        assert client.read_frames(2) == [said("returned"), said("from a task that outlived its handler")]


def test_a_coroutine_under_a_decorator_that_hides_it_is_awaited_all_the_same(server: Server) -> None:
    with RawClient(server, "/hidden") as client:
        client.say("hello")
        assert client.read_frame() == said("slept")


def test_a_coroutine_that_waits_holds_up_only_its_own_connection(server: Server) -> None:
    began = time.monotonic()
    with RawClient(server, "/timing_out") as waiting, join(server) as client:
        waiting.say("1")
        client.say(*["sleep"] * 3)
        assert client.read_frames(3) == [said("slept")] * 3
        assert waiting.read_frame() == said("1")
    assert time.monotonic() - began < 5


def test_after_10_000_calls_that_time_out_nothing_is_left(server: Server) -> None:
    before = server.vitals()["greenlets"]
    with unharmed(server), RawClient(server, "/timing_out") as client:
        client.say("10000")
        assert client.read_frame() == said("10000")
        client.close()
        client.read_to_end()
    wait_for(lambda: json.loads(server.get("/tasks")) == [0, 0], "no task and no timer to be left")
    wait_for(lambda: server.vitals()["greenlets"] <= before, "no greenlet to be left")


@pytest.mark.parametrize("way", WAYS)
def test_a_client_that_leaves_amid_a_coroutine_lets_it_end(start_server: StartServer, way: str) -> None:
    server = start_server("async_leaving", way)
    with unharmed(server), RawClient(server, "/web_socket?notes=x") as client:
        client.say("hello")
        server.notes("x", 1)
        client.drop()
        server.notes("x", 3)
    assert server.notes("x") == [("begun",), ("ended", 1006, False), ("closed", 1006)]
