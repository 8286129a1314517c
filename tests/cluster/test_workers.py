"""Several workers, and several gunicorn masters, behave as one server."""

from __future__ import annotations

import collections
import json
import os
import re
import signal
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from gws.backplane.embedded.keeper import Owner, start_time
from gws.backplane.embedded.private_server import socket_path

from ..conftest import StartServer
from ..support.cluster_client import Client, connect_everywhere, one_of_each, wait_until_acquainted
from ..support.harness import Server
from ..support.program import DEADLINE, wait_for
from ..support.valkey import Valkey

WORKERS = 4
CLIENTS = 200
BURST = 20


@pytest.fixture(scope="module", params=["worker", "geventwebsocket"])
def server(request: pytest.FixtureRequest, start_module_server: StartServer) -> Server:
    """Four workers of each class, with nothing configured."""
    return start_module_server("chat", request.param, ["-w", str(WORKERS)])


@pytest.fixture(scope="module")
def clients(server: Server) -> Iterator[list[Client]]:
    """Two hundred clients of it, who have heard everything that has been said."""
    clients = connect_everywhere(server, WORKERS, CLIENTS)
    wait_until_acquainted(clients)
    yield clients
    for client in clients:
        client.drop()


def server_at(path: str) -> int:
    """Return the pid of the server that answers there."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(DEADLINE)
        client.connect(path)
        client.sendall(b"INFO server\r\n")
        found = re.search(rb"process_id:(\d+)", client.recv(65536))
    assert found
    return int(found[1])


def hear_all(clients: list[Client], name: str) -> list[list[str]]:
    """Return what each has heard, when nothing more can come.

    Each worker speaks after all have heard the one before, so even an echo of the first would be there by the last.
    """
    heard: list[list[str]] = [[] for _ in clients]
    for worker in one_of_each(clients):
        last = f"{name} is over, says {worker.process}"
        worker.ask("broadcast", last)
        for messages, client in zip(heard, clients, strict=True):
            messages += client.hear(last)
    return heard


def test_every_broadcast_reaches_every_client_of_every_worker_once(
    server: Server, clients: list[Client]
) -> None:
    senders = one_of_each(clients) + clients[:WORKERS]
    for number, sender in enumerate(senders):
        sender.say(json.dumps(["burst", f"sender{number}", BURST]))
    for number in range(WORKERS):
        assert server.get(f"/broadcast/view%20{number}") == "done"
    for sender in senders:
        sender._read_answer()
    expected = collections.Counter(f"sender{n} {i}" for n in range(len(senders)) for i in range(BURST))
    expected.update(f"view {number}" for number in range(WORKERS))
    for messages in hear_all(clients, "the broadcast"):
        assert collections.Counter(messages) == expected
        for number in range(len(senders)):
            ours = [message for message in messages if message.startswith(f"sender{number} ")]
            assert ours == [f"sender{number} {i}" for i in range(BURST)], "the order of one sender is kept"


def test_a_broadcast_without_its_sender_reaches_all_others_once(clients: list[Client]) -> None:
    senders = one_of_each(clients)
    for sender in senders:
        sender.ask("broadcast", f"from {sender.id}", None, False)
    for client, messages in zip(clients, hear_all(clients, "include_self"), strict=True):
        assert sorted(messages) == sorted(f"from {one.id}" for one in senders if one is not client)


def test_a_room_has_members_on_every_worker(server: Server, clients: list[Client]) -> None:
    members = clients[::3]
    for client in members:
        client.ask("join", "third")
    for sender in one_of_each(clients):
        # Who has joined is heard from that moment on.
        sender.ask("broadcast", f"from {sender.id}", "third")
    assert server.get("/broadcast/view?room=third") == "done"
    assert server.get("/broadcast/nobody?room=nobody%20is%20there") == "done"
    expected = sorted([*(f"from {sender.id}" for sender in one_of_each(clients)), "view"])
    for client, messages in zip(clients, hear_all(clients, "the room"), strict=True):
        assert sorted(messages) == (expected if client in members else [])
    for client in one_of_each(clients):
        assert client.ask("count", "third")[0] == len(members)
        assert sorted(client.ask("connections", "third")) == sorted(member.id for member in members)
    for client in members[1:]:
        client.ask("leave", "third")
    clients[1].ask("broadcast", "to who is left", "third")
    for client, messages in zip(clients, hear_all(clients, "leaving"), strict=True):
        assert messages == (["to who is left"] if client is members[0] else [])
    members[0].ask("leave", "third")


def test_send_to_reaches_a_client_of_any_worker_once(server: Server, clients: list[Client]) -> None:
    recipients = one_of_each(clients[WORKERS:])
    senders = one_of_each(clients)
    for sender in senders:
        for recipient in recipients:
            assert sender.ask("send_to", recipient.id, f"from {sender.id}") is True
        assert sender.ask("send_to", "nobody", "lost") is False
        unknown = sender.id[:9] + "0000-8" + sender.id[15:]
        assert sender.ask("send_to", unknown, "lost") is False, "its node has never been"
    for recipient in recipients:
        assert json.loads(server.get(f"/send_to/{recipient.id}/view")) == {"queued": True}
    expected = sorted([*(f"from {sender.id}" for sender in senders), "view"])
    for client, messages in zip(clients, hear_all(clients, "send_to"), strict=True):
        assert sorted(messages) == (expected if client in recipients else [])


def test_close_connection_reaches_a_client_of_any_worker(server: Server, clients: list[Client]) -> None:
    for closer in one_of_each(clients):
        victims = connect_everywhere(server, WORKERS)
        for victim in one_of_each(victims):
            assert closer.ask("close", victim.id, 4001, "seen enough") is True
            assert victim.read_close() == (4001, "seen enough")
        for victim in victims:
            victim.drop()


def test_all_workers_agree_on_who_is_connected(server: Server, clients: list[Client]) -> None:
    ids = {client.id for client in clients}
    assert len(ids) == len(clients)
    for client in one_of_each(clients):
        wait_for(lambda: client.ask("count")[0] == len(clients), "those who have left to be forgotten")  # noqa: B023
        connected = client.ask("connections")
        assert len(connected) == len(clients)
        assert set(connected) == ids


def test_two_masters_over_one_engine_are_one_server(tmp_path: Path, start_server: StartServer) -> None:
    with Valkey(tmp_path) as valkey:
        urls = (f"unix://{valkey.path}", valkey.url)
        machines = [
            start_server("chat", way, ["-w", "2"], config={"GWS_BACKPLANE_URL": url})
            for way, url in zip(("worker", "geventwebsocket"), urls, strict=True)
        ]
        clients = [client for machine in machines for client in connect_everywhere(machine, 2, 10)]
        wait_until_acquainted(clients)
        assert len(one_of_each(clients)) == 4
        for client in clients[::2]:
            client.ask("join", "even")
        for sender in one_of_each(clients):
            sender.ask("broadcast", f"from {sender.id}", None, False)
            sender.ask("broadcast", f"to even from {sender.id}", "even")
            assert sender.ask("send_to", clients[-1].id, "to the last") is True
            assert sender.ask("send_to", clients[0].id, "to the first") is True
        for number, (client, messages) in enumerate(zip(clients, hear_all(clients, "both"), strict=True)):
            senders = one_of_each(clients)
            expected = [f"from {sender.id}" for sender in senders if sender is not client]
            if number % 2 == 0:
                expected += [f"to even from {sender.id}" for sender in senders]
            if client in (clients[0], clients[-1]):
                expected += ["to the first" if client is clients[0] else "to the last"] * 4
            assert sorted(messages) == sorted(expected)
        for client in one_of_each(clients):
            assert client.ask("count")[0] == len(clients)
            assert set(client.ask("connections", "even")) == {one.id for one in clients[::2]}
        first, last = clients[0], clients[-1]
        assert first.ask("close", last.id, 4000, "") is True
        assert last.read_close() == (4000, "")
        for client in clients:
            client.drop()


@pytest.mark.parametrize("way", ["worker", "geventwebsocket"])
def test_a_view_that_ends_behind_a_workers_stop_still_reaches_the_other_one(
    start_server: StartServer, way: str
) -> None:
    server = start_server("chat", way, ["-w", "2"])
    clients = connect_everywhere(server, 2, 8)
    wait_until_acquainted(clients)
    answers: list[str] = []
    asking = threading.Thread(target=lambda: answers.append(server.get("/broadcast_behind_the_stop")))
    asking.start()
    server.wait_for_log("waits for the stop in ")
    stopping = int(server.log().split("waits for the stop in ")[1].split()[0])
    os.kill(stopping, signal.SIGTERM)
    asking.join(DEADLINE)
    assert answers == ["sent"]
    for client in clients:
        if client.process != stopping:
            client.hear("behind the stop")
        client.drop()


def test_nobody_else_notices_that_a_worker_is_killed(start_server: StartServer) -> None:
    server = start_server("chat", "worker", ["-w", str(WORKERS)])
    clients = connect_everywhere(server, WORKERS, 40)
    wait_until_acquainted(clients)
    sender, victim, *_ = one_of_each(clients)
    there = [client for client in clients if client.process != victim.process]
    gone = [client for client in clients if client.process == victim.process]
    near = one_of_each(there)
    sender.ask("stream", "news", 0.002)
    wait_for(lambda: min(one.counter("received") for one in near[1:]) > 200, "traffic")
    os.kill(victim.process, signal.SIGKILL)
    killed = time.monotonic()
    for client in gone:
        client.hear_end()
    back = [Client(server) for _ in gone]
    while not {client.process for client in back} - {client.process for client in clients}:
        # Until one is with the worker that took the dead one's place.
        back.append(Client(server))
    new = back[-1]
    for one in near:
        assert one.ask("send_to", new.id, "welcome") is True
        assert new.ask("send_to", one.id, "hello from the new one") is True
        count, seconds = one.ask("count")
        assert (count, seconds < 2) == (len(there + back), True), "the dead one keeps nobody waiting for long"
        assert set(one.ask("connections")) == {client.id for client in there + back}
    for one in near:
        wait_for(lambda: not one.ask("send_to", gone[0].id, "too late"), "the dead one to be forgotten")  # noqa: B023
    assert time.monotonic() - killed < 10
    for one in near:
        count, seconds = one.ask("count")
        assert (count, seconds < 0.8) == (len(there + back), True), "nobody waits for it any more"
    sent = sender.ask("end_stream", "news")
    assert sent > 100
    expected = [f"news {number}" for number in range(sent)]
    for messages in hear_all(there, "the news"):
        assert [message for message in messages if message.startswith("news ")] == expected
    for client in clients + back:
        client.drop()


def test_a_reload_keeps_the_private_server_and_the_end_of_the_master_ends_it(
    start_server: StartServer,
) -> None:
    server = start_server("chat", "worker", ["-w", "2", "--graceful-timeout", "2"])
    owner = Owner(server.process.pid, start_time(server.process.pid))
    path = socket_path(owner)
    old = connect_everywhere(server, 2, 10)
    wait_until_acquainted(old)
    engine = server_at(path)
    assert engine
    server.tell(signal.SIGHUP)
    for client in old:
        assert client.read_close()[0] == 1001
        client.drop()
    clients: list[Client] = []

    def are_new() -> bool:
        clients.append(Client(server))
        return len(one_of_each(clients)) >= 2

    wait_for(are_new, "two new workers")
    assert not {client.process for client in clients} & {client.process for client in old}
    wait_until_acquainted(clients)
    for one in one_of_each(clients):
        assert one.ask("count")[0] == len(clients)
        one.ask("broadcast", f"from {one.id}")
    for messages in hear_all(clients, "the reload"):
        assert sorted(messages) == sorted(f"from {one.id}" for one in one_of_each(clients))
    assert server_at(path) == engine
    with server.stopping():
        for client in clients:
            assert client.read_close()[0] == 1001
            client.drop()
    wait_for(lambda: not Path(path).parent.exists(), "the folder of the private server to go")
    wait_for(lambda: not Path(f"/proc/{engine}").exists(), "the private server to end")
