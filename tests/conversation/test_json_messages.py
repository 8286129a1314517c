"""A dict or a list is sent through every door as JSON text, written once, by the application's provider."""

from __future__ import annotations

import pytest

from ..conftest import StartServer
from ..support.harness import WAYS, Server, unharmed
from ..support.raw_client import FIN, RawClient, closed, said

DOORS = ("send", "sync_send_to", "sync_broadcast", "websocket.send_to", "websocket.broadcast", "a thread")
ASYNC_DOORS = ("async_send", "async_send_to", "async_broadcast", "send in a coroutine")


@pytest.fixture(scope="module", params=WAYS)
def server(request: pytest.FixtureRequest, start_module_server: StartServer) -> Server:
    return start_module_server("json_messages", request.param)


def written(door: str) -> str:
    return f'{{"door": "{door}", "written": "by the application"}}'


@pytest.mark.parametrize("path", ["/web_socket", "/blueprint"])
@pytest.mark.parametrize("door", DOORS)
def test_a_dict_is_written_once_for_all_who_get_it(server: Server, path: str, door: str) -> None:
    with unharmed(server), RawClient(server, path) as one, RawClient(server, path) as two:
        before = int(server.get("/written"))
        one.say(door)
        assert one.read_text() == written(door)
        if door in ("sync_broadcast", "websocket.broadcast", "a thread"):
            assert two.read_text() == written(door)
        assert int(server.get("/written")) == before + 1


@pytest.mark.parametrize("path", ["/async", "/blueprint/async"])
@pytest.mark.parametrize("door", ASYNC_DOORS)
def test_a_coroutine_sends_a_dict(server: Server, path: str, door: str) -> None:
    with unharmed(server), RawClient(server, path) as client:
        client.say(door)
        assert client.read_text() == written(door)


def test_send_goes_to_oneself_and_keeps_text_and_bytes(server: Server) -> None:
    with unharmed(server), RawClient(server) as client, RawClient(server) as another:
        client.say("send text", "send bytes", "send a list")
        assert client.read_frame() == said("text")
        assert client.read_frame()[1] == b"bytes"
        assert client.read_text() == '[1, "two", null]'
        another.close()
        assert another.read_to_end() == [closed(1000), FIN]


def test_what_connect_sends_is_behind_the_101_in_order(server: Server) -> None:
    with unharmed(server), RawClient(server, "/early") as client:
        assert [client.read_text() for _ in range(3)] == [
            written("connect"),
            written("broadcast"),
            written("return"),
        ]
