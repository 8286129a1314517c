"""What crosses from one application to another, and what native threads and rooms in masses leave behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from gws import WebSocket
from gws.cluster import names
from gws.cluster.publisher import Publisher

from ..conftest import StartServer
from ..support.harness import Server, command, environment
from ..support.program import DEADLINE, python, wait_for
from ..support.raw_client import RawClient, closed
from ..support.valkey import Valkey

WORKERS = ("worker", "geventwebsocket")


@pytest.fixture(scope="module")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Valkey]:
    """Return what the nodes of these tests share."""
    with Valkey(tmp_path_factory.mktemp("valkey")) as server:
        yield server


# Two applications with the same URL rule

TWINS = {
    "dispatcher": 'mount(one=make("one"), two=make("two"))',
    "one below the other": 'serve(WebSocket(app, "/chat")); mount(two=make("two"))',
    "two blueprints": """
one, two = flask.Flask("one"), flask.Flask("two")
for each in one, two:
    blueprint = flask.Blueprint("chats", each.name)
    serve(WebSocket(blueprint, "/chat"))
    each.register_blueprint(blueprint, url_prefix="/talk")
mount(one=one, two=two)
""",
    "one blueprint": """
one, two = flask.Flask("one"), flask.Flask("two")
blueprint = flask.Blueprint("chats", __name__)
serve(WebSocket(blueprint, "/chat"))
for each in one, two:
    each.register_blueprint(blueprint)
mount(one=one, two=two)
""",
    "one blueprint with two prefixes": """
one, two = flask.Flask("one"), flask.Flask("two")
blueprint = flask.Blueprint("chats", __name__)
serve(WebSocket(blueprint, "/chat"))
for each in one, two:
    each.register_blueprint(blueprint, url_prefix=f"/{each.name}")
mount(one=one, two=two)
""",
    "the same name": 'mount(one=make("one", name="talk"), two=make("two", name="/talk"))',
    "the name of another's rule": 'serve(WebSocket(app, "/talk")); mount(two=make("two", name="talk"))',
    "a dispatcher of one's own": """
one, two, plain = make("one"), make("two"), app
serve_plain = app.wsgi_app

def dispatch(environ, start_response):
    return (one if environ["PATH_INFO"] == "/one" else two)(environ, start_response)

app = dispatch
""",
}
"""What each makes of one process."""


HEAD = """
import flask
import gws
from gws import WebSocket
from tests.apps.twins import app, make, mount, serve
"""
START = """
if __name__ == "__main__":
    gws.serve(app, port=0)
"""


def run_twins(
    folder: Path, how: str, way: str, *arguments: str, **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run a server of such an application, which does not start."""
    (folder / "app.py").write_text(HEAD + TWINS[how] + START)
    return subprocess.run(
        command(None, way, folder, *arguments),
        check=False,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=DEADLINE,
        cwd=folder,
        env=os.environ | environment() | variables,
    )


def assert_is_told(line: str) -> None:
    """Return the line says what is wrong, and what to write instead."""
    assert "<WebSocket /" in line
    assert "name=..." in line
    assert "'two'" in line


@pytest.mark.parametrize("how", TWINS)
def test_two_applications_of_one_name_are_an_error_at_the_start_of_the_only_process_too(
    tmp_path: Path, how: str
) -> None:
    done = run_twins(tmp_path, how, "python")
    assert done.returncode == 1, done.stdout
    (line,) = done.stdout.splitlines()
    assert line.startswith("gws: ")
    assert_is_told(line)


@pytest.mark.parametrize("way", WORKERS)
@pytest.mark.parametrize(
    ("how", "backplane"),
    [
        ("dispatcher", "valkey"),
        ("two blueprints", "embedded"),
        ("one blueprint", "memory"),
        ("a dispatcher of one's own", "valkey"),
        ("a dispatcher of one's own", "embedded"),
        ("a dispatcher of one's own", "memory"),
    ],
)
def test_two_applications_of_one_name_end_gunicorn_at_its_start(
    tmp_path: Path, valkey: Valkey, way: str, how: str, backplane: str
) -> None:
    url = f"{valkey.url}?namespace=twins" if backplane == "valkey" else f"{backplane}://"
    workers = "1" if backplane == "memory" else "2"
    done = run_twins(tmp_path, how, way, "-w", workers, GWS_BACKPLANE_URL=url)
    assert done.returncode, done.stdout
    lines = [line for line in done.stdout.splitlines() if "[CRITICAL]" in line]
    assert lines
    for line in lines:
        assert_is_told(line)
    assert "BackplaneError" not in done.stdout


class Client(RawClient):
    """A client of one of the two.

    Attributes:
        id: the connection's.
        process: the pid of the worker that serves it.
    """

    def __init__(self, server: Server, path: str) -> None:
        super().__init__(server, path)
        self.heard: list[str] = []
        self.id, self.process = self._read_answer()

    def ask(self, what: str, *arguments: object) -> Any:
        """Return what that method of the endpoint returns; messages that come before are kept."""
        self.say(json.dumps([what, *arguments]))
        return self._read_answer()

    def hear(self) -> str:
        """Return the next message."""
        return self.heard.pop(0) if self.heard else self.read_text()

    def _read_answer(self) -> Any:
        while True:
            said = self.read_text()
            if said.startswith('{"answer"'):
                return json.loads(said)["answer"]
            self.heard.append(said)


def one_on_each(server: Server, path: str, workers: int = 2) -> list[Client]:
    """Return a client of each worker, and those that were needed to find them."""
    clients: list[Client] = []

    def is_enough() -> bool:
        clients.append(Client(server, path))
        return len({client.process for client in clients}) == workers

    wait_for(is_enough, f"a client of each worker at {path}")
    return clients


@pytest.mark.parametrize("way", WORKERS)
@pytest.mark.parametrize("backplane", ["valkey", "embedded"])
def test_with_a_name_of_its_own_nothing_crosses_from_one_application_to_the_other(
    start_server: StartServer, valkey: Valkey, way: str, backplane: str
) -> None:
    url = f"{valkey.url}?namespace=named-{way}" if backplane == "valkey" else f"{backplane}://"
    server = start_server(
        "twins",
        way,
        ["-w", "2"],
        config={"GWS_BACKPLANE_URL": url},
        values={"are_mounted": True, "backplane": url},
    )
    ones, twos = one_on_each(server, "/one/chat"), one_on_each(server, "/two/chat")
    here = ones[0]
    wait_for(lambda: here.ask("count") == len(ones), "the workers to know each other")
    wait_for(lambda: twos[0].ask("count") == len(twos), "the workers to know each other")
    assert sorted(here.ask("connections")) == sorted(client.id for client in ones)
    assert here.ask("count", "ops") == len(ones)
    for client in twos:
        # To another worker it was handed on, and is nobody's there.
        here.ask("send_to", client.id, "crossed")
        here.ask("close_connection", client.id)
    here.ask("broadcast", "to all of one")
    here.ask("broadcast", "to the ops of one", "ops")
    if backplane == "valkey":
        with Publisher(url) as publisher:
            assert publisher.broadcast("second chat", "to all of two") == 2
    else:
        twos[0].ask("broadcast", "to all of two")
    for client in ones:
        assert [client.hear(), client.hear()] == ["to all of one", "to the ops of one"]
    for client in twos:
        assert client.hear() == "to all of two"
        assert client.ask("count") == len(twos)
        assert client.heard == []
    for client in (*ones, *twos):
        client.drop()


@pytest.mark.parametrize("backplane", ["memory", "valkey"])
def test_an_application_that_is_made_later_does_not_cross_either(
    start_server: StartServer, valkey: Valkey, way: str, backplane: str
) -> None:
    url = f"{valkey.url}?namespace=late-{way}" if backplane == "valkey" else "memory://"
    server = start_server("tenants", way, variables={"GWS_BACKPLANE_URL": url})
    one = Client(server, "/tenants/one/chat")
    with one:
        for _ in range(3):
            with RawClient(server, "/tenants/two/chat") as two:
                if way == "geventwebsocket":
                    assert two.read_close()[0] == 1011
                else:
                    assert two.status == 500
        assert_is_told(next(line for line in server.log().splitlines() if "BackplaneError:" in line))
        assert one.ask("count") == 1
        with Client(server, "/tenants/one/chat"):
            assert one.ask("count") == 2


def test_two_endpoints_of_one_name_in_one_application_are_refused_where_they_are_made() -> None:
    script = """
        from flask import Blueprint, Flask
        from gws import WebSocket

        def complain(make):
            try:
                make()
            except ValueError as error:
                print(error)

        app = Flask("app")
        first = WebSocket(app, "/chat")
        complain(lambda: WebSocket(app, "/other", name="chat"))
        blueprint = Blueprint("talk", "app", url_prefix="/talk")
        WebSocket(blueprint, "/chat")
        app.register_blueprint(blueprint)
        another = Blueprint("another", "app")
        WebSocket(another, "/chat")
        complain(lambda: app.register_blueprint(another, url_prefix="/talk"))
        # One endpoint under two URLs.
        app.register_blueprint(blueprint, url_prefix="/again", name="again")
    """
    lines = python(script).splitlines()
    assert lines == [
        f"{both} of the Flask application 'app' are both named {name!r}: give one another name, "
        "WebSocket(app, rule, name=...)"
        for both, name in [
            ("<WebSocket /other> and <WebSocket /chat>", "/chat"),
            ("<WebSocket /chat> and <WebSocket /chat>", "/talk/chat"),
        ]
    ]


@pytest.mark.parametrize("name", ["", "a\0b", "ü" * 513, "\ud800", 5, b"chat"])
def test_what_is_no_name_is_refused(name: Any) -> None:
    with pytest.raises((TypeError, ValueError)):
        WebSocket(Flask("app"), "/chat", name=name)


class Middleware:
    """Hands a request on, and has something that cannot be looked at."""

    def __init__(self, wsgi: Any, other: object) -> None:
        self.wsgi = wsgi
        self.other = other

    def __call__(self, *arguments: Any) -> Any:
        """As every WSGI application."""
        return self.wsgi(*arguments)


def unbound(wsgi: Any) -> Callable[..., Any]:
    """Middleware with a variable that is bound later than the server starts, if at all."""

    def application(environ: dict[str, Any], start_response: Any) -> Any:
        return wsgi({**environ, "later": later}, start_response)

    if wsgi is None:
        later = ""
    return application


def test_middleware_that_cannot_be_looked_into_is_passed_by() -> None:
    app = Flask("app")
    WebSocket(app, "/chat")
    behind = [names.behind(app), names.behind(Middleware(app, 5)), names.behind(unbound(Middleware(app, 5)))]
    assert [[party.name for party in parties] for parties in behind] == [["/chat"]] * 3
    gone = weakref.proxy(set())
    assert [party.name for party in names.behind(Middleware(app, gone))] == ["/chat"]
    assert names.behind(gone) == []


FACTORY = """
    from gevent import monkey; monkey.patch_all()
    import importlib, os, sys, types
    import flask
    from gws import WebSocket
    from gws.servers.pywsgi import WebSocketHandler
    from gws.servers.upgrade_server import UpgradeServer

    shared = flask.Blueprint("shared", __name__)
    room = WebSocket(shared, "/room")

    def create_app():
        app = flask.Flask("app")
        chat = WebSocket(app, "/chat")
        chat.on("message")(lambda ws, msg: f"{msg} {chat.count()}")
        app.register_blueprint(shared)

        @app.get("/say")
        def say():
            chat.broadcast("hello")
            room.broadcast("hello")
            return str(chat.count())

        return app

    kept = []

    def ask(app):
        assert app.test_client().get("/say").text == "0"
        if sys.argv[1] == "kept":
            kept.append(app)

    def serve(app):
        from websockets.sync.client import connect
        server = UpgradeServer(("127.0.0.1", 0), app, handler_class=WebSocketHandler, log=None)
        server.start()
        with connect(f"ws://127.0.0.1:{server.server_port}/chat") as client:
            client.send("hello")
            assert client.recv() == "hello 1"
        server.stop()
"""


@pytest.mark.parametrize("what", ["kept", "dropped"])
def test_an_application_may_be_made_fifty_times_in_one_process(what: str) -> None:
    script = """
    for _ in range(50):
        ask(create_app())
    for _ in range(3):
        serve(create_app())
    # And as a program serves it.
    import gws
    with gws.Server(create_app()):
        pass
    assert len(kept) == (50 if sys.argv[1] == "kept" else 0)
    """
    python(FACTORY + script, what)


def test_an_application_that_is_dropped_may_be_made_anew_beside_other_processes(valkey: Valkey) -> None:
    script = """
    os.environ["GWS_BACKPLANE_URL"] = sys.argv[2]
    for _ in range(10):
        ask(create_app())
    serve(create_app())
    """
    python(FACTORY + script, "dropped", f"{valkey.url}?namespace=dropped")


def test_one_that_is_kept_beside_other_processes_is_in_the_way_and_said_to_be(valkey: Valkey) -> None:
    script = """
    os.environ["GWS_BACKPLANE_URL"] = sys.argv[2]
    first = create_app()
    ask(first)
    second = create_app()
    second.config["PROPAGATE_EXCEPTIONS"] = True
    for app in second, second:
        try:
            ask(app)
        except Exception as error:
            print(f"{type(error).__name__}: {error}")
    # Who was there goes on.
    ask(first)
    """
    lines = python(FACTORY + script, "kept", f"{valkey.url}?namespace=kept").splitlines()
    assert len(lines) == 2
    for line in lines:
        assert line.startswith("BackplaneError: ")
        assert "name=..." in line


def test_a_module_that_is_loaded_again_makes_its_application_anew(tmp_path: Path) -> None:
    (tmp_path / "chats.py").write_text(
        "import flask, gws\n"
        "app = flask.Flask(__name__)\n"
        "chat = gws.WebSocket(app, '/chat')\n"
        "@app.get('/say')\n"
        "def say():\n"
        "    chat.broadcast('hello')\n"
        "    return str(chat.count())\n"
    )
    script = """
    sys.path.insert(0, sys.argv[2])
    import chats
    before = chats.app
    for _ in range(3):
        ask(chats.app)
        importlib.reload(chats)
    assert before is not chats.app
    """
    python(FACTORY + script, "kept", str(tmp_path))


@pytest.mark.parametrize("way", WORKERS)
def test_a_reload_makes_the_application_anew(start_server: StartServer, way: str) -> None:
    server = start_server("twins", way, ["-w", "2", "--graceful-timeout", "5"], values={"are_mounted": True})
    clients = one_on_each(server, "/one/chat")
    for client in clients:
        client.drop()
    before = {client.process for client in clients}
    server.tell(signal.SIGHUP)
    wait_for(
        lambda: not any(Path(f"/proc/{process}").exists() for process in before), "the old workers to go"
    )
    clients = one_on_each(server, "/one/chat")
    assert not before & {client.process for client in clients}
    wait_for(lambda: clients[0].ask("count") == len(clients), "the workers to know each other")
    assert "name=..." not in server.log()
    for client in clients:
        client.drop()


# Native threads


@pytest.mark.parametrize("backplane", ["memory", "valkey"])
def test_a_hundred_native_threads_leave_no_descriptors_behind(
    start_server: StartServer, valkey: Valkey, backplane: str
) -> None:
    url = "memory://" if backplane == "memory" else f"{valkey.url}?namespace=threads"
    servers = [start_server("thread_users", variables={"GWS_BACKPLANE_URL": url}) for _ in range(2)]
    clients = [RawClient(server, "/chat") for server in servers]
    here, ids = servers[0], [client.read_text() for client in clients]
    recipient = ids[0] if backplane == "memory" else ids[1]
    expected = {
        "connections": sorted(ids) if backplane == "valkey" else ids[:1],
        "count": 2 if backplane == "valkey" else 1,
        "send_to": True,
        "sync_send_to": True,
        "is_ready": True,
        "close_connection": False,
        "Publisher.send_to": backplane == "valkey" or None,
    }

    def do_all(count: int) -> list[dict[str, Any]]:
        return list(json.loads(here.get(f"/all/{count}/{recipient}")))

    def is_acquainted() -> bool:
        (found,) = do_all(1)
        return {name: found[name] for name in expected} == expected

    wait_for(is_acquainted, "the nodes to know each other")
    assert json.loads(here.get("/late/1")) == [0]
    before = here.descriptors()
    for found in do_all(100):
        assert {name: found[name] for name in expected} == expected
    assert json.loads(here.get("/late/100")) == [0] * 100
    # The connection of a Publisher may be closed yet.
    wait_for(lambda: here.descriptors() <= before, f"{before} descriptors, not {here.descriptors()}")
    assert "Traceback" not in here.log()
    for client in clients:
        client.drop()


# Rooms in masses


def rooms_of(server: Server) -> int:
    """How many rooms the server's process has."""
    return int(json.loads(server.get("/registered"))["rooms"])


def busy(server: Server) -> float:
    """Seconds of CPU for which its hub has looked for nobody else, at most, since this was last asked."""
    return float(json.loads(server.get("/busy"))["longest"])


def test_a_connection_may_be_in_no_more_rooms_than_the_bound(start_server: StartServer) -> None:
    server = start_server("many_rooms")
    with RawClient(server, "/few") as client:
        client.read_text()

        def ask(*command: str) -> object:
            client.say(json.dumps(command))
            answer = client.read_text()
            return json.loads(answer) if answer.startswith("[") else answer

        assert ask("join", "a") == ["a"]
        assert ask("join", "b") == ["a", "b"]
        assert ask("join", "a") == ["a", "b"]
        assert ask("join", "c") == (
            "the connection is in 2 rooms, and may be in no more of <WebSocket /few>: "
            "set WebSocket(..., max_rooms=...) or GWS_MAX_ROOMS, or have it leave one"
        )
        assert ask("leave", "a") == ["b"]
        assert ask("join", "c") == ["b", "c"]
    # By default; whose handler lets it pass has made an error like any other.
    with RawClient(server, "/chat") as client:
        client.read_text()
        client.say('["join", 128]')
        assert client.read_text() == '{"rooms": 128}'
        client.say('["join", 129]')
        server.get("/go_on")
        assert client.read_close() == (1011, "internal error")
    wait_for(lambda: rooms_of(server) == 0, "the rooms to go")


def test_another_thread_cannot_join_more_than_the_bound(start_server: StartServer) -> None:
    server = start_server("many_rooms")
    with RawClient(server, "/chat") as client:
        client_id = client.read_text()
        server.get(f"/overshoot/{client_id}/200")
        client.say('["join", 0]')
        assert client.read_text() == '{"rooms": 128}'
        assert server.vitals()["counters"]["rooms_refused"] == 72
        server.get("/go_on")


@pytest.mark.parametrize("backplane", ["memory", "valkey"])
def test_who_is_in_a_hundred_thousand_rooms_leaves_them_while_others_are_served(
    start_server: StartServer, valkey: Valkey, backplane: str
) -> None:
    count = 100_000 if backplane == "memory" else 10_000
    url = "memory://" if backplane == "memory" else f"{valkey.url}?namespace=rooms"
    server = start_server(
        "many_rooms", config={"GWS_MAX_ROOMS": 200_000}, variables={"GWS_BACKPLANE_URL": url}
    )
    with RawClient(server, "/chat") as client, RawClient(server, "/chat") as other:
        client_id, other_id = client.read_text(), other.read_text()
        client.say(json.dumps(["join", count]))
        assert client.read_text() == f'{{"rooms": {count}}}'
        assert rooms_of(server) == count
        last = f"room%20{count - 1}"
        busy(server)
        found = json.loads(server.get(f"/end/{client_id}/{last}"))
        assert found["left"] > count / 2, "it has been left at once"
        assert (found["rooms"], found["count"], found["queued"]) == (0, 0, 0)
        # Somebody else comes into rooms that are being left, and stays there.
        other.say('["join", 3]')
        assert other.read_text() == '{"rooms": 3}'
        wait_for(lambda: rooms_of(server) == 3, "the rooms to go")
        longest = busy(server)
        assert longest < 0.05
        found = json.loads(server.get(f"/end/{other_id}/{last}"))
        assert rooms_of(server) == 0
        server.get("/go_on")
        assert client.read_to_end()[0] == closed(4000, "enough")


def test_a_process_that_is_told_to_stop_does_not_wait_for_rooms_to_be_left(start_server: StartServer) -> None:
    server = start_server("many_rooms", config={"GWS_MAX_ROOMS": 200_000}, values={"goes_on": True})
    with RawClient(server, "/chat") as client:
        client.read_text()
        client.say(json.dumps(["join", 100_000]))
        client.read_text()
        with server.stopping():
            assert client.read_close()[0] == 1001
            client.close(1001)
