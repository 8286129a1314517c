"""What a connect handler returns to refuse, and what becomes of it: plain HTTP, as a Flask view would answer."""

from __future__ import annotations

import pytest

from ..conftest import StartServer
from ..support.harness import WAYS, Server, unharmed
from ..support.raw_client import FIN, RawClient, closed

STATUSES = {
    "a response": (401, "not you"),
    "a redirect": (302, None),
    "a tuple": (401, "no"),
    "a tuple with headers": (429, "no"),
    "JSON": (402, None),
    "an exception": (401, None),
    "False": (403, "the connect handler refuses\n"),
    "a response of 200": (200, "no WebSocket"),
    "a 503": (503, "later"),
}
HEADERS = {
    "a response": ("x-why", "you"),
    "a redirect": ("location", "/login"),
    "a tuple with headers": ("retry-after", "5"),
    "JSON": ("content-type", "application/json"),
}


@pytest.fixture(scope="module", params=WAYS)
def server(request: pytest.FixtureRequest, start_module_server: StartServer) -> Server:
    return start_module_server("refusals", request.param)


def path(kind: str, answer: str) -> str:
    return f"/{kind}?answer={answer.replace(' ', '+')}"


@pytest.mark.parametrize("kind", ["def", "async"])
@pytest.mark.parametrize("answer", STATUSES)
def test_a_refusal_is_answered_as_flask_would(server: Server, kind: str, answer: str) -> None:
    status, body = STATUSES[answer]
    with unharmed(server), RawClient(server, path(kind, answer)) as client:
        if server.way == "geventwebsocket":
            assert client.status == 101
            code, reason = client.read_close()
            assert code == (1011 if status >= 500 else 1008)
            assert reason.startswith(f"{status} ")
            assert client.has_ended()
            return
        assert client.status == status
        assert body is None or client.body == body
        name, value = HEADERS.get(answer, ("x-after", "ran"))
        assert client.headers[name] == value
        assert client.headers["x-after"] == "ran"
        assert client.headers["connection"] == "close"
        assert client.read_frame() == FIN


@pytest.mark.parametrize("kind", ["def", "async"])
def test_behind_the_101_a_refusal_is_a_close(server: Server, kind: str) -> None:
    for answer, reason in (("a tuple", "401 UNAUTHORIZED"), ("abort", "403 FORBIDDEN")):
        with unharmed(server), RawClient(server, path(kind, answer) + "&accept=1") as client:
            assert client.status == 101
            assert client.read_close() == (1008, reason)
            client.close(1008)
            assert client.has_ended()


def test_what_no_view_may_return_is_an_error_of_the_server(server: Server) -> None:
    with unharmed(server), RawClient(server, path("def", "a tuple that is none")) as client:
        if server.way == "geventwebsocket":
            assert client.read_close()[0] == 1011
        else:
            assert client.status == 500


def test_what_a_refused_handler_did_leaves_nothing(server: Server) -> None:
    with unharmed(server):
        before = server.get("/left")
        for answer in STATUSES:
            with RawClient(server, path("def", answer)) as client:
                client.wait_for_end()
        assert server.get("/left") == before


def test_what_a_login_decorator_returns_sends_a_client_to_the_login(server: Server) -> None:
    with unharmed(server), RawClient(server, "/private") as client:
        if server.way == "geventwebsocket":
            assert client.read_close() == (1008, "302 FOUND")
        else:
            assert (client.status, client.headers["location"]) == (302, "/login")


def test_who_is_logged_in_is_let_in(server: Server) -> None:
    with unharmed(server), RawClient(server, "/private?user=gordon") as client:
        assert client.read_text() == "welcome"
        client.close()
        assert client.read_to_end() == [closed(1000), FIN]


def test_true_is_consent_and_says_nothing(server: Server) -> None:
    with unharmed(server), RawClient(server, "/consenting") as client:
        client.say("hello")
        assert client.read_text() == "hello"
