"""Subprotocols (RFC 6455 §1.9): which is spoken, and who is refused."""

from __future__ import annotations

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect
from websockets.typing import Subprotocol

from ..conftest import StartServer
from ..support.harness import Server, unharmed
from ..support.program import DEADLINE
from ..support.raw_client import FIN, RawClient, closed, said


@pytest.fixture(scope="module")
def server(start_module_server: StartServer) -> Server:
    return start_module_server("subprotocols")


def offer(*names: str) -> dict[str, str]:
    return {"Sec-WebSocket-Protocol": ", ".join(names)} if names else {}


@pytest.mark.parametrize(
    ("offered", "spoken"),
    [
        (["chat.v1"], "chat.v1"),
        (["chat.v1", "chat.v2"], "chat.v2"),
        (["other", "chat.v1"], "chat.v1"),
        (["other"], None),
        (["CHAT.V1"], None),
        ([], None),
    ],
)
def test_the_best_in_common_is_spoken(server: Server, offered: list[str], spoken: str | None) -> None:
    with unharmed(server), RawClient(server, headers=offer(*offered)) as client:
        assert client.headers.get("sec-websocket-protocol") == spoken
        assert client.read_frame() == said(str(spoken))


@pytest.mark.parametrize("offered", [["other"], ["CHAT.V1", "chat"], []])
def test_who_speaks_none_of_them_is_refused_where_one_is_required(server: Server, offered: list[str]) -> None:
    with unharmed(server), RawClient(server, "/strict", headers=offer(*offered)) as client:
        assert client.status == 400
        assert "no subprotocol in common; spoken are chat.v2, chat.v1" in client.body
    assert "no subprotocol in common; spoken are chat.v2, chat.v1" in server.log()


def test_who_speaks_one_is_let_in_where_one_is_required(server: Server) -> None:
    with RawClient(server, "/strict", headers=offer("chat.v1")) as client:
        assert client.headers["sec-websocket-protocol"] == "chat.v1"
        assert client.read_frame() == said("chat.v1")


def test_an_endpoint_without_subprotocols_answers_none(server: Server) -> None:
    with RawClient(server, "/none", headers=offer("chat.v1")) as client:
        assert "sec-websocket-protocol" not in client.headers
        assert client.read_frame() == said("None")


@pytest.mark.parametrize("bad", ["a b", "a;b", "", ",", '"a"'])
def test_a_header_that_cannot_be_read_is_refused(server: Server, bad: str) -> None:
    with unharmed(server), RawClient(server, headers={"Sec-WebSocket-Protocol": bad}) as client:
        assert client.status == 400


def test_a_client_library_agrees(start_server: StartServer, way: str) -> None:
    server = start_server("subprotocols", way)
    names = [Subprotocol("chat.v1"), Subprotocol("chat.v2")]
    with connect(server.url(), subprotocols=names, open_timeout=DEADLINE) as client:
        expected = None if way == "geventwebsocket" else "chat.v2"
        assert client.subprotocol == expected
        assert client.recv(timeout=DEADLINE) == str(expected)
    if way == "geventwebsocket":
        with RawClient(server, "/strict", headers=offer("chat.v1")) as refused:
            assert refused.read_to_end() == [closed(1011, "501 NOT IMPLEMENTED"), FIN]
        server.wait_for_log("gevent-websocket's handler agrees on no subprotocol")
    else:
        with pytest.raises(InvalidStatus) as caught:
            connect(server.url("/strict"), open_timeout=DEADLINE).close()
        assert caught.value.response.status_code == 400
