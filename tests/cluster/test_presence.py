"""`connections()` and `count()`: who is connected, to this process and to the others, in bounded time."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest

from ..conftest import StartServer
from ..support.harness import Server
from ..support.program import wait_for
from ..support.raw_client import RawClient
from ..support.valkey import Valkey


@pytest.fixture(scope="module")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Valkey]:
    """Return what the nodes of these tests share."""
    with Valkey(tmp_path_factory.mktemp("valkey")) as server:
        yield server


def config_of(valkey: Valkey, namespace: str) -> dict[str, str]:
    """Return the settings of nodes that share a namespace of that server."""
    return {"GWS_BACKPLANE_URL": f"{valkey.url}?namespace={namespace}"}


@pytest.fixture(scope="module")
def pair(start_module_server: StartServer, valkey: Valkey) -> list[Server]:
    """Two nodes that know each other."""
    servers = [start_module_server("presence", config=config_of(valkey, "pair")) for _ in range(2)]
    wait_until_acquainted(servers)
    return servers


def wait_until_acquainted(servers: list[Server]) -> None:
    """Wait until every node answers for every other."""

    def have_met() -> bool:
        clients = [RawClient(server, "/chat") for server in servers]
        ids = sorted(client.read_text() for client in clients)
        found = [look(server)[0] for server in servers]
        for client in clients:
            client.drop()
        return all(set(ids) <= set(one) for one in found)

    wait_for(have_met, "the nodes to know each other")
    wait_for(lambda: all(look(server)[1] == 0 for server in servers), "their clients to be gone")


def look(server: Server, room: str | None = None, how: str = "view") -> list[Any]:
    """Return the ids, the count, and the seconds that both took."""
    query = f"?room={room}" if room is not None else ""
    return list(json.loads(server.get(f"/look/{quote(how)}{query}")))


def join(server: Server, *rooms: str, path: str = "/chat") -> tuple[RawClient, str]:
    """Return a client and its id."""
    client = RawClient(server, f"{path}?{'&'.join(f'room={room}' for room in rooms)}")
    return client, client.read_text()


HOW = ["view", "greenlet", "thread", "asyncio", "asyncio in a thread"]


@pytest.mark.parametrize("how", HOW)
def test_one_process_knows_its_own(start_module_server: StartServer, how: str) -> None:
    server = start_module_server("presence")
    (one, one_id), (two, two_id) = join(server, "ops"), join(server, "ops", "sales")
    outsider, _ = join(server, "ops", path="/lobby")
    with one, two, outsider:
        assert look(server, how=how)[:2] == [sorted([one_id, two_id]), 2]
        assert look(server, "ops", how)[:2] == [sorted([one_id, two_id]), 2]
        assert look(server, "sales", how)[:2] == [[two_id], 1]
        assert look(server, "nobody's", how)[:2] == [[], 0]
        # What works with one process works with several, and what does not, does not.
        outsider.say('["awaiting", "ops"]', '["directly", "ops"]')
        assert json.loads(outsider.read_text())[:2] == [sorted([one_id, two_id]), 2]
        assert_complains(json.loads(outsider.read_text()))


def assert_complains(
    complaints: list[str], about: str = "in a coroutine write `await websocket.async_{}("
) -> None:
    """Both methods refuse, and say what to write instead."""
    for complaint, method in zip(complaints, ["connections", "count"], strict=True):
        assert complaint.startswith("WouldBlockError: ")
        assert about.format(method) in complaint


@pytest.mark.parametrize("how", HOW)
def test_all_nodes_are_asked(pair: list[Server], how: str) -> None:
    here, there = pair
    (one, one_id), (two, two_id), (three, three_id) = (
        join(here, "ops"),
        join(there, "ops"),
        join(there, "sales"),
    )
    outsider, _ = join(there, "ops", path="/lobby")
    with one, two, three, outsider:
        for server in pair:
            ids, count, seconds = look(server, how=how)
            assert (ids, count) == (sorted([one_id, two_id, three_id]), 3)
            assert seconds < 0.9, "nobody was waited for in vain"
            assert look(server, "ops", how)[:2] == [sorted([one_id, two_id]), 2]
            assert look(server, "sales", how)[:2] == [[three_id], 1]
            assert look(server, "", how)[:2] == [[], 0]
    wait_for(lambda: look(here)[:2] == look(there)[:2] == [[], 0], "them to be gone")


def test_a_handler_asks(pair: list[Server]) -> None:
    here, there = pair
    (one, one_id), (two, two_id) = join(here, "ops"), join(there, "ops")
    with one, two:
        for client in one, two:
            client.say('"ops"')
            assert json.loads(client.read_text())[:2] == [sorted([one_id, two_id]), 2]


def test_a_coroutine_awaits_the_others_and_is_told_so(pair: list[Server]) -> None:
    here, there = pair
    (one, one_id), (asking, _) = join(there, "ops"), join(here, path="/lobby")
    with one, asking:
        for how in "awaiting", "thread":
            asking.say(json.dumps([how, "ops"]))
            assert json.loads(asking.read_text())[:2] == [[one_id], 1]
        asking.say('["directly", "ops"]')
        assert_complains(json.loads(asking.read_text()))
        asking.say('["awaiting", 5]')
        assert asking.read_close()[0] == 1011


@pytest.mark.parametrize("how", ["asyncio", "asyncio in a thread"])
def test_a_coroutine_of_another_loop_is_told_too(pair: list[Server], how: str) -> None:
    assert_complains(json.loads(pair[0].get(f"/complaints/{quote(how)}")))


def test_a_callback_of_the_hub_may_not_ask(pair: list[Server]) -> None:
    assert_complains(json.loads(pair[0].get("/complaints/callback")), "have a greenlet call it")


def test_a_greenlet_asks_while_another_one_runs_a_loop(pair: list[Server]) -> None:
    assert json.loads(pair[0].get("/beside"))[:2] == [[], 0]


def test_what_is_no_room_raises(pair: list[Server]) -> None:
    assert json.loads(pair[0].get("/wrong")) == ["TypeError", "TypeError", "ValueError"] * 2


def test_thousands_of_ids_come_in_one_answer(pair: list[Server]) -> None:
    here, there = pair
    clients = [join(there, "crowd") for _ in range(300)]
    assert look(here, "crowd")[:2] == [sorted(client_id for _, client_id in clients), 300]
    for client, _ in clients:
        client.drop()
    wait_for(lambda: look(here, "crowd")[:2] == [[], 0], "them to be gone")


def test_a_frozen_node_is_waited_for_a_second_and_counted_and_a_dead_one_is_forgotten(
    start_server: StartServer, valkey: Valkey
) -> None:
    here, _, beyond = servers = [
        start_server("presence", config=config_of(valkey, "frozen")) for _ in range(3)
    ]
    wait_until_acquainted(servers)
    (near, near_id), (far, far_id), (gone, gone_id) = (join(server, "ops") for server in servers)
    with near, far, gone:
        assert look(here, "ops")[1] == 3
        os.kill(beyond.pid(), signal.SIGSTOP)
        try:
            began = time.monotonic()
            ids, count, seconds = look(here, "ops")
            assert (ids, count) == (sorted([near_id, far_id]), 2)
            # A second for each of the two questions.
            assert 1.9 < seconds < 4
            assert here.vitals()["counters"]["backplane_unanswered"] == 2
            # Who waits keeps nobody else waiting, a coroutine neither; and it may give up.
            asking, _ = join(here, path="/lobby")
            with asking:
                asking.say('["awaiting", "ops"]')
                assert here.get(f"/send_to/{far_id}") == "True"
                assert far.read_text() == "hello"
                ids, count, seconds = json.loads(asking.read_text())
                assert (ids, count) == (sorted([near_id, far_id]), 2)
                assert 1.9 < seconds < 4
                asking.say('["impatient", "ops"]')
                assert asking.read_text() == "late"
        finally:
            os.kill(beyond.pid(), signal.SIGKILL)
        wait_for(lambda: here.get(f"/send_to/{gone_id}") == "False", "the dead node to be forgotten")
        assert time.monotonic() - began < 10.5
        ids, count, seconds = look(here, "ops")
        assert (ids, count) == (sorted([near_id, far_id]), 2)
        assert seconds < 0.9
        unanswered = here.vitals()["counters"]["backplane_unanswered"]
        assert look(here, "ops")[1] == 2
        assert here.vitals()["counters"]["backplane_unanswered"] == unanswered


def test_a_node_that_stops_is_gone_at_once(start_server: StartServer, valkey: Valkey) -> None:
    here, there = servers = [start_server("presence", config=config_of(valkey, "stopping")) for _ in range(2)]
    wait_until_acquainted(servers)
    far, far_id = join(there)
    with far:
        assert look(here)[0] == [far_id]
        with there.stopping():
            far.close(1001)
    assert look(here)[1] == 0
    assert here.get(f"/send_to/{far_id}") == "False"
    assert "backplane_unanswered" not in here.vitals()["counters"]
