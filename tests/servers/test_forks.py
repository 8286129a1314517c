"""A handler or a view that forks: the child has copies of all connections, and its parent's clients must not notice."""

from __future__ import annotations

import os
import signal
import socket
import time

import pytest

from ..conftest import StartServer
from ..support.harness import WAYS, Server
from ..support.program import python, wait_for
from ..support.raw_client import RawClient


def start(start_server: StartServer, way: str) -> tuple[Server, list[RawClient], set[str]]:
    """Return a server, of two workers if it has any, clients of each, and what these processes say of themselves."""
    server = start_server("forking", way, [] if way == "python" else ["-w", "2"])
    clients: list[RawClient] = []
    seen: set[str] = set()

    def everywhere() -> bool:
        client = RawClient(server, "/chat")
        clients.append(client)
        seen.add(client.read_text())
        return len(clients) >= 8 and len(seen) == (1 if way == "python" else 2)

    wait_for(everywhere, "clients of each worker")
    # gevent-websocket's worker serves before the other one knows it; whichever is asked, it should count all.
    counted = [str(len(clients))] * 8
    wait_for(lambda: [server.get("/count") for _ in counted] == counted, "the workers to know each other")
    return server, clients, seen


def talk(clients: list[RawClient], text: str) -> None:
    """Everyone hears what each says, once, and nothing else."""
    for client in clients:
        client.say(text)
    for client in clients:
        assert [client.read_text() for _ in clients] == [text] * len(clients)


@pytest.mark.parametrize("way", WAYS)
def test_a_child_that_runs_the_hub_touches_no_connection_of_its_parent(
    start_server: StartServer, way: str
) -> None:
    server, clients, processes = start(start_server, way)
    began = time.monotonic()
    child = int(server.get("/fork"))
    rounds = 0
    while is_running(child):
        talk(clients, f"round {rounds}")
        rounds += 1
        with RawClient(server, "/chat") as new:
            assert new.read_text() in processes, "the child accepts nobody"
    # In a child of gunicorn's, its worker finds within a second that its parent is not the master, and ends it.
    assert 0.5 < time.monotonic() - began < 4.5
    talk(clients, "all are there")
    assert rounds > 10
    log = server.log()
    assert way != "python" or "the child counts 0" in log
    assert f"closed in {child}" not in log
    assert "Traceback" not in log
    for client in clients:
        client.drop()


@pytest.mark.parametrize("way", WAYS)
def test_a_child_that_is_told_to_stop_stops_and_nothing_else_does(
    start_server: StartServer, way: str
) -> None:
    server, clients, _ = start(start_server, way)
    assert server.get("/terminate") == "-15"
    talk(clients, "all are there")
    assert "closed in" not in server.log()
    for client in clients:
        client.drop()


def test_a_child_that_stays_does_not_keep_the_address(start_server: StartServer) -> None:
    # Those of gunicorn's workers end by themselves: they have its look for a master that has gone.
    server = start_server("forking")
    child = int(server.get("/stay"))
    try:
        with server.stopping():
            pass
        assert is_running(child)
        host, _, port = server.address.rpartition(":")
        socket.create_server((host, int(port))).close()
    finally:
        os.kill(child, signal.SIGKILL)


@pytest.mark.parametrize("what", ["", "server.start()", "server.start(); server.stop()"])
def test_a_fork_before_and_after_the_server_listens_leaves_everything_too(what: str) -> None:
    program = f"""
    from gevent import monkey; monkey.patch_all()
    import os, gws
    from gws.servers.shutdown import shutdown
    from gws.servers.upgrade_server import UpgradeServer
    server = UpgradeServer(("127.0.0.1", 0), gws.App("app"), log=None)
    {what}
    if not os.fork():
        print(len(shutdown.servers), flush=True)
        os._exit(0)
    os.wait()
    """
    assert python(program) == "0\n"


def is_running(pid: int) -> bool:
    """Whether a process is there, and no zombie."""
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False
