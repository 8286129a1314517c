"""Clients that drop at the worst moment: their close handler runs once, and nobody misses them."""

from __future__ import annotations

import contextlib

import pytest

from ..conftest import StartServer
from ..support.case import Case, new_tag
from ..support.client_frames import close, request, text
from ..support.harness import unharmed
from ..support.program import wait_for
from ..support.raw_client import DROPS, RawClient


@pytest.mark.parametrize("sent", [0, 1, 20, len(request()) - 2])
@pytest.mark.parametrize("drop", DROPS)
def test_a_client_that_drops_before_its_handshake_ends_is_nobody(case: Case, drop: str, sent: int) -> None:
    with RawClient(case.server, None) as client:
        client.send(request()[:sent])
        DROPS[drop](client)
        if drop == "half-close":
            client.wait_for_end()
    assert "closed" not in case.log()


@pytest.mark.parametrize("drop", DROPS)
def test_a_client_that_drops_while_its_connect_handler_runs_leaves_nothing(
    start_server: StartServer, drop: str
) -> None:
    server = start_server("hesitating")
    with unharmed(server), RawClient(server, None) as client:
        client.send(request("/waiting"))
        server.wait_for_log("connect began")
        DROPS[drop](client)
        server.get("/go_on")
        server.wait_for_log("closed 1006")
    assert server.log().count("closed 1006") == 1
    assert "Traceback" not in server.log()


@pytest.mark.parametrize("drop", DROPS)
def test_a_client_that_drops_right_after_the_101_has_its_close_handler_run_once(
    case: Case, drop: str
) -> None:
    tag = new_tag()
    with RawClient(case.server, f"/web_socket?tag={tag}") as client:
        DROPS[drop](client)
        case.expect_closed(tag, 1006)


def test_a_client_that_drops_before_it_has_read_the_101_has_its_close_handler_run_once(case: Case) -> None:
    tag = new_tag()
    for _ in range(20):
        with RawClient(case.server, None) as client:
            client.send(request(f"/web_socket?tag={tag}") + text("x") * 100)
            client.reset()
    # Some are gone before the server has read their request.
    begun = wait_for(lambda: case.closed(tag), "a close handler")
    assert begun <= 20


@pytest.mark.parametrize("drop", DROPS)
def test_a_client_that_drops_while_its_handler_runs_costs_nobody_anything(case: Case, drop: str) -> None:
    tag = new_tag()
    with RawClient(case.server, f"/waiting?tag={tag}") as client:
        client.send(text("x") * 3)
        case.wait_for_log(f"waits {tag}")
        DROPS[drop](client)
        case.wait_until_unregistered()
        wait_for(lambda: case.server.get("/go_on") == "" and case.closed(tag), "the close handler")
        case.expect_closed(tag, 1006)


@pytest.mark.parametrize("drop", DROPS)
def test_a_client_that_drops_while_its_close_handler_runs_costs_nobody_anything(
    case: Case, drop: str
) -> None:
    tag = new_tag()
    with RawClient(case.server, f"/leaving?tag={tag}") as client:
        client.send(close(1000))
        case.wait_for_log(f"leaves {tag}")
        DROPS[drop](client)
        case.wait_until_unregistered()
        case.server.get("/go_on")
        case.expect_closed(tag, 1000)
    assert case.log().count(f"leaves {tag}") == 1


def test_clients_that_drop_in_the_middle_of_a_broadcast_are_not_missed(case: Case) -> None:
    tag = new_tag()
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(RawClient(case.server, f"/crowd?tag={tag}")) for _ in range(200)]
        case.server.get("/broadcast/begin")
        for number, client in enumerate(clients[:150]):
            client.read_text()
            list(DROPS.values())[number % 3](client)
        wait_for(lambda: case.closed(f"{tag} 1006") == 150, "150 close handlers")
        case.server.get("/broadcast/end")
        heard = []
        for client in clients[150:]:
            heard.append(list(iter(client.read_text, "end")))
        assert all(numbers == [str(number) for number in range(len(heard[0]))] for numbers in heard)
        assert case.closed(tag) == 150


def test_500_clients_drop_at_once(case: Case) -> None:
    tag = new_tag()
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(RawClient(case.server, f"/web_socket?tag={tag}")) for _ in range(500)]
        for number, client in enumerate(clients):
            client.send(text("x") if number % 2 else text("cut short")[:5])
            list(DROPS.values())[number % 3](client)
        wait_for(lambda: case.closed(f"{tag} 1006") == 500, "500 close handlers")
    assert case.closed(tag) == 500
