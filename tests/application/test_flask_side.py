"""Flask inside handlers: request, session, g, teardown functions, and its ways to hear of errors."""

from __future__ import annotations

import json

import flask
import pytest
from werkzeug.exceptions import HTTPException

from gws import App, WebSocket
from gws.testing import Client

from ..conftest import StartServer
from ..support.harness import WAYS, Server, unharmed
from ..support.program import wait_for
from ..support.raw_client import FIN, RawClient, closed, said


@pytest.fixture(scope="module", params=WAYS)
def server(start_module_server: StartServer, request: pytest.FixtureRequest) -> Server:
    return start_module_server("flask_side", request.param)


@pytest.fixture
def way(request: pytest.FixtureRequest) -> str:
    """Return the way that the module's server runs."""
    return str(request.node.callspec.params["server"])


def log_in(server: Server, name: str) -> str:
    """Return a session's Cookie header."""
    with RawClient(server, f"/login/{name}", headers={"Upgrade": "", "Connection": "close"}) as browser:
        return browser.headers["set-cookie"].partition(";")[0]


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_request_and_session_work_in_every_handler(server: Server, key: str, kind: str) -> None:
    headers = {"X-Signal": "lit", "Cookie": f"cookie=crumb; {log_in(server, 'gordon')}"}
    path = f"/{kind}/3"
    with unharmed(server), RawClient(server, f"{path}?word=night&notes={key}", headers=headers) as client:
        assert client.read_frame() == said(f"{path} gordon None")
        for _ in range(3):
            client.say("tell")
            assert json.loads(str(client.read_frame()[1])) == [
                path,
                "night",
                "lit",
                "crumb",
                "127.0.0.1",
                "gordon",
                "app",
                "/named/bruce",
                {"seat": "3"},
            ]
        client.close()
        assert client.read_to_end() == [said("night"), closed(1000), FIN]
    assert server.notes(key) == [(1000, path, "gordon")]


def test_requests_of_two_connections_do_not_mix(server: Server) -> None:
    headers = {"X-Signal": "lit"}
    with (
        RawClient(server, "/async/1?word=one", headers=headers) as one,
        RawClient(server, "/async/2?word=two", headers=headers) as two,
    ):
        one.read_frame(), two.read_frame()
        for _ in range(20):
            one.say("tell", "tell")
            two.say("tell", "tell")
            for client, path, word in (one, "/async/1", "one"), (two, "/async/2", "two"):
                for frame in client.read_frames(2):
                    assert json.loads(str(frame[1]))[:2] == [path, word]


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_g_begins_anew_at_every_event(server: Server, kind: str) -> None:
    with RawClient(server, f"/{kind}/1") as client:
        client.read_frame()
        client.say("g", "g")
        assert client.read_frames(2) == [said('[[], "g"]')] * 2


def test_a_session_changed_in_connect_is_saved_by_the_101(server: Server, way: str) -> None:
    with RawClient(server, "/sync/1?session") as client:
        if way == "geventwebsocket":
            # There the 101 was sent before anybody was asked.
            assert "set-cookie" not in client.headers
            return
        assert client.read_frame() == said("/sync/1 None 1")
        cookie = client.headers["set-cookie"]
        assert cookie.startswith("session=")
        assert "HttpOnly" in cookie
    with RawClient(server, "/sync/1?session", headers={"Cookie": cookie.partition(";")[0]}) as client:
        assert client.read_frame() == said("/sync/1 None 2")


def test_a_session_that_nobody_changed_sets_no_cookie(server: Server) -> None:
    with RawClient(server, "/sync/1", headers={"Cookie": log_in(server, "alfred")}) as client:
        assert "set-cookie" not in client.headers
        assert client.read_frame() == said("/sync/1 alfred None")


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_teardown_functions_run_after_every_event(server: Server, key: str, kind: str) -> None:
    def count() -> dict[str, int]:
        found: dict[str, int] = json.loads(server.get(f"/torn/{key}"))
        return found

    def wait_for_count(number: int) -> None:
        wait_for(lambda: count() == {key: number, f"{key} request": number}, f"{number} teardowns")

    with unharmed(server), RawClient(server, f"/{kind}/1?notes={key}", headers={"X-Signal": ""}) as client:
        client.read_frame()
        wait_for_count(1)
        for number in range(2, 5):
            client.say("tell")
            client.read_frame()
            wait_for_count(number)
        client.close()
        client.read_to_end()
        wait_for_count(5)
    assert count() == {key: 5, f"{key} request": 5}


def test_teardown_functions_are_told_the_error_of_a_handler(server: Server, key: str) -> None:
    with unharmed(server), RawClient(server, f"/sync/1?notes={key}") as client:
        client.read_frame()
        client.say("raise")
        assert client.read_to_end()[-2:] == [closed(1011, "internal error"), FIN]
    counts = json.loads(server.get(f"/torn/{key}"))
    assert counts == {key: 3, f"{key} request": 3, f"{key} ValueError": 1}


@pytest.mark.parametrize("way", WAYS)
def test_an_async_handler_is_the_same_with_and_without_teardown_functions(
    start_server: StartServer, way: str
) -> None:
    server = start_server("teardown", way)
    with unharmed(server), RawClient(server) as client:
        client.say("1", "2")
        client.say("3")
        path = "/web_socket"
        assert client.read_frames(3) == [
            said(json.dumps([str(number), number, [], 1, path])) for number in (1, 2, 3)
        ]
        client.say("raise")
        assert client.read_to_end()[-2:] == [closed(1011, "internal error"), FIN]
    torn = json.loads(server.get("/torn"))
    mine = [entry for entry in torn if entry[0] is not None]
    assert mine == [
        ["1", "None"],
        ["2", "None"],
        ["3", "None"],
        ["raise", 'ValueError("a handler\'s own")'],
    ]


def test_what_hears_the_signals_of_a_teardown_is_told_of_every_event() -> None:
    app = App(__file__)
    torn = []

    @flask.appcontext_tearing_down.connect_via(app)
    def tear_down(sender: flask.Flask, **more: object) -> None:
        torn.append(flask.g.pop("mine", None))

    @WebSocket(app, "/web_socket").on("message")
    def message(msg: str) -> list[str]:
        flask.g.mine = msg
        return [one for one in torn if one]

    with Client(app).connect("/web_socket") as ws:
        for number in "123":
            ws.send(number)
        assert [ws.receive_json() for _ in range(3)] == [[], ["1"], ["1", "2"]]


@pytest.mark.parametrize("way", WAYS)
def test_each_event_has_its_own_g_also_in_the_tasks_that_it_leaves(
    start_server: StartServer, way: str
) -> None:
    server = start_server("events", way)
    with unharmed(server), RawClient(server, "/tasks") as client:
        client.say("leave a task")
        assert client.read_frame() == said('["guido", []]')
        client.say("go on")
        # What the task sees is the event that began it, whose context Flask has announced as it does any other.
        assert client.read_frame() == said('["guido", [["leave a task", "guido"]]]')


def test_teardown_functions_run_for_what_has_happened_and_nothing_else(start_server: StartServer) -> None:
    server = start_server("events")

    def torn() -> list[str | None]:
        found: list[str | None] = json.loads(server.get("/counts"))["torn"]
        return [mine for mine in found if mine]

    with RawClient(server, "/tasks") as client:
        client.say("1", "2")
        client.read_frames(2)
        client.close()
        client.read_to_end()
    assert torn() == ["1", "2"]


@pytest.mark.parametrize("way", WAYS)
def test_the_url_is_matched_once_for_a_connection(start_server: StartServer, way: str) -> None:
    server = start_server("events", way)
    with unharmed(server), RawClient(server, "/once/alfred") as client:
        client.say("1", "2")
        assert client.read_frames(2) == [said("alfred"), said("alfred")]
    assert json.loads(server.get("/counts"))["matched"] == ["alfred"]


def test_a_teardown_function_that_fails_ends_its_connection_only(start_server: StartServer) -> None:
    server = start_server("teardown")
    with unharmed(server):
        with RawClient(server, "/failing") as client:
            client.say("1", "fail", "never")
            assert client.read_to_end() == [
                said("1"),
                said("fail"),
                closed(1011, "internal error"),
                FIN,
            ]
        with RawClient(server, "/failing") as client:
            client.say("1")
            assert client.read_frame() == said("1")
            client.close()
            client.read_to_end()
        server.wait_for_log("the message handler of <WebSocket /failing> failed")
        server.wait_for_log("the close handler of <WebSocket /failing> failed")


def test_g_begins_anew_at_every_event_also_without_teardown_functions(start_server: StartServer) -> None:
    server = start_server("without_teardown")
    with RawClient(server, "/g") as client:
        client.say("1", "2")
        assert client.read_frames(2) == [said("[]")] * 2


def test_a_handlers_error_reaches_app_logger_and_got_request_exception(start_server: StartServer) -> None:
    server = start_server("without_teardown")
    with RawClient(server, "/failing") as client:
        client.say("hello")
        assert client.read_to_end() == [closed(1011, "internal error"), FIN]
    server.wait_for_log("signal: app mine /failing")
    server.wait_for_log("app.logger: the message handler of <WebSocket /failing> failed")


# Requests that open nothing


@pytest.fixture
def answering_app() -> App:
    """Return an application with handlers of its own for errors."""
    app = App(__file__)
    WebSocket(app, "/web_socket")
    app.add_url_rule("/page", view_func=lambda: "page")

    @app.errorhandler(HTTPException)
    def explain(error: HTTPException) -> tuple[dict[str, str | None], int]:
        return {"error": error.description}, error.code or 500

    return app


def test_a_plain_request_for_a_websocket_is_answered_by_the_applications_error_handler(
    answering_app: App,
) -> None:
    response = answering_app.test_client().get("/web_socket")
    assert response.status_code == 426
    assert response.json == {"error": "/web_socket is a WebSocket: connect to it with ws:// or wss://"}


def test_a_handshake_for_a_page_is_answered_by_the_applications_error_handler(answering_app: App) -> None:
    headers = {"Upgrade": "websocket", "Connection": "Upgrade"}
    response = answering_app.test_client().get("/page", headers=headers)
    assert response.status_code == 400
    assert response.json is not None


def test_other_servers_are_given_no_headers_of_the_connection(answering_app: App) -> None:
    client = answering_app.test_client()
    headers = {"Upgrade": "websocket", "Connection": "Upgrade"}
    for response, status in (
        (client.get("/web_socket"), 426),
        (client.get("/web_socket", headers=headers), 501),
    ):
        assert response.status_code == status
        assert not {"Connection", "Upgrade"} & set(response.headers.keys())


def test_a_page_and_a_websocket_may_share_a_url() -> None:
    app = App(__file__)
    WebSocket(app, "/").on("connect")(lambda: "WebSocket")
    app.add_url_rule("/", endpoint="page", view_func=lambda: "page")
    with Client(app).connect("/") as ws:
        assert ws.receive() == "WebSocket"
    client = app.test_client()
    assert client.get("/").text == "page"
    assert client.head("/").status_code == 200
    assert client.post("/").status_code == 405
