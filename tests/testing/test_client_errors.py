"""What a handler raises is raised in the test: where it is looked for, once, and nowhere else.

`test_client_patched` runs these once more in a process that gevent has patched.
"""

from __future__ import annotations

from typing import Any

import flask
import pytest

import gws
from gws.testing import Client, ClosedError, RefusedError


class OwnError(Exception):
    """Of the application."""


def make_app(**config: Any) -> gws.App:
    app = gws.App(__file__)
    app.config.update(config)
    websocket = gws.WebSocket(app, "/def")
    coroutines = gws.WebSocket(app, "/async")

    @websocket.on("connect")
    def connect(ws: gws.WebSocketConnector) -> None:
        if "connect" in ws.query_params:
            raise OwnError("connect")
        if "accepted" in ws.query_params:
            ws.accept()
            raise OwnError("accepted")

    @websocket.on("message")
    def message(ws: gws.WebSocketConnector, msg: str) -> Any:
        ws.send("before")
        if msg == "raise":
            raise OwnError("message")
        return object()

    @websocket.on("close")
    def close(ws: gws.WebSocketConnector) -> None:
        if "close" in ws.query_params:
            raise OwnError("close")

    @coroutines.on("message")
    async def async_message(ws: gws.WebSocketConnector, msg: str) -> Any:
        await ws.async_send("before")
        raise OwnError("message")

    return app


def with_teardown(**config: Any) -> gws.App:
    """Return the same, where the request's context is gone when an error is seen."""
    app = make_app(**config)
    app.teardown_request(lambda error: None)
    return app


@pytest.fixture(params=[make_app, with_teardown])
def app(request: pytest.FixtureRequest) -> gws.App:
    made = request.param()
    assert isinstance(made, gws.App)
    return made


@pytest.mark.parametrize("path", ["/def", "/async"])
def test_it_is_raised_behind_what_came_before_it_and_once(app: gws.App, path: str) -> None:
    with Client(app).connect(path) as ws:
        ws.send("raise")
        assert ws.receive() == "before"
        with pytest.raises(OwnError, match="message"):
            ws.receive()
        with pytest.raises(ClosedError, match="1011 internal error"):
            ws.receive()


@pytest.mark.parametrize("path", ["/def", "/async"])
def test_or_at_the_end_where_nobody_receives(app: gws.App, path: str) -> None:
    with pytest.raises(OwnError, match="message"), Client(app).connect(path) as ws:
        ws.send("raise")


def test_or_where_something_is_sent_next(app: gws.App) -> None:
    with Client(app).connect("/def") as ws:
        ws.send("raise")
        assert ws.closed == (1011, "internal error")
        with pytest.raises(OwnError):
            ws.send("next")


def test_or_at_the_end_of_the_client(app: gws.App) -> None:
    with pytest.raises(OwnError), Client(app) as client:
        client.connect("/def").send("raise")


def test_what_cannot_be_sent_is_an_error_too(app: gws.App) -> None:
    with Client(app).connect("/def") as ws:
        ws.send("return")
        assert ws.receive() == "before"
        with pytest.raises(gws.errors.HandlerError, match="not object"):
            ws.receive()


@pytest.mark.parametrize("config", [{}, {"TESTING": True}, {"DEBUG": True}, {"PROPAGATE_EXCEPTIONS": True}])
@pytest.mark.parametrize("when", ["connect", "accepted"])
def test_of_the_connect_handler(config: dict[str, Any], when: str) -> None:
    with pytest.raises(OwnError, match=when):
        Client(make_app(**config)).connect(f"/def?{when}").receive()


def test_of_the_close_handler(app: gws.App) -> None:
    with pytest.raises(OwnError, match="close"), Client(app).connect("/def?close"):
        pass


def test_of_both(app: gws.App) -> None:
    ws = Client(app).connect("/def?close")
    ws.send("raise")
    assert ws.receive() == "before"
    with pytest.raises(OwnError, match="message"):
        ws.receive()
    with pytest.raises(OwnError, match="close"):
        ws.close()


def test_it_is_seen_beside_what_the_test_itself_raises(app: gws.App) -> None:
    def fail() -> None:
        with Client(app).connect("/def") as ws:
            ws.send("raise")
            assert ws.receive() == "after"

    with pytest.raises(AssertionError) as failure:
        fail()
    assert isinstance(failure.value.__context__, OwnError)


def test_only_the_connection_of_the_handler_has_it(app: gws.App) -> None:
    client = Client(app)
    with client.connect("/def") as one, Client(app).connect("/async") as two:
        with client.connect("/def") as ws:
            ws.send("raise")
            assert ws.wait_closed().code == 1011
            with pytest.raises(OwnError):
                ws.close()
        one.send("return")
        assert one.receive() == "before"
        with pytest.raises(gws.errors.HandlerError):
            one.receive()
        two.assert_nothing()


def test_who_wants_to_see_what_a_client_sees_says_so() -> None:
    client = Client(make_app(PROPAGATE_EXCEPTIONS=False))
    with client.connect("/def") as ws:
        ws.send("raise")
        assert ws.receive() == "before"
        with pytest.raises(ClosedError, match="1011 internal error"):
            ws.receive()
    with pytest.raises(RefusedError) as refused:
        client.connect("/def?connect")
    assert refused.value.status == 500


def test_what_the_application_answers_itself_is_no_error() -> None:
    app = make_app()
    app.register_error_handler(OwnError, lambda error: (f"sorry: {error}", 418))
    with pytest.raises(RefusedError) as refused:
        Client(app).connect("/def?connect")
    assert (refused.value.status, refused.value.body) == (418, "sorry: connect")


def test_of_a_plain_view_nobody_here_is_told() -> None:
    app = make_app()

    @app.get("/")
    def page() -> str:
        raise OwnError(flask.request.path)

    with Client(app) as client, client.connect("/async") as ws:
        assert client.http.get("/").status_code == 500
        ws.assert_nothing()
