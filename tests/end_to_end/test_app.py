"""app.py, the example application, run as its users run it, and talked to with plain HTTP and with `websockets`."""

from __future__ import annotations

import json
import re
import socket
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode

import pytest

from ..support.program import DEADLINE, wait_for
from ..support.running_app import COMMANDS, Line, RunningApp, announced, running_app, said

NO_JSON = "this is not a JSON object"
NO_TEXT = '"text" must be given and have 1 to 2000 characters'
NO_TYPE = '"type" must be "say" or "disconnect"'
NOBODY = 'nobody here has the id in "to"'
BINARY = "messages are text, not binary"

SECRET = "0123456789abcdef" * 2


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningApp]:
    """One application for most tests of this file."""
    with running_app(tmp_path_factory.mktemp("app")) as running:
        yield running


@pytest.fixture
def line(app: RunningApp) -> Iterator[Line]:
    """Return the application with nobody on the line."""
    wait_for(lambda: app.people() == 0, "everybody to leave")
    with Line(app) as line:
        yield line
    assert "Traceback" not in app.log()


# HTTP


def test_the_page_is_served_with_a_policy_that_it_keeps(app: RunningApp) -> None:
    with urllib.request.urlopen(f"http://{app.address}/", timeout=DEADLINE) as response:
        policy, page = response.headers["Content-Security-Policy"], response.read().decode()
    assert policy.startswith("default-src 'self'; ")
    assert "unsafe" not in policy
    assert not re.search(r"<style|<script(?![^>]* src=)|\son\w+=|\sstyle=|https?://", page)
    files = re.findall(r'(?:src|href)="(/static/[^"]+)"', page)
    assert sorted(set(files)) == ["/static/chat.css", "/static/chat.js", "/static/icon.svg"]
    for file in files:
        assert app.get(file)


def test_hello_world(app: RunningApp) -> None:
    assert app.get("/hello_world") == "Hello, world!"


def test_readyz_says_whether_the_people_of_all_workers_hear_each_other(
    app: RunningApp, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert json.loads(app.get("/readyz")) == {"ready": True}
    monkeypatch.setenv("GWS_BACKPLANE_URL", f"unix://{tmp_path}/nobody-is-there")
    with running_app(tmp_path) as alone, pytest.raises(urllib.error.HTTPError) as refused:
        alone.get("/readyz")
    with refused.value as answer:
        assert (answer.code, json.loads(answer.read())) == (503, {"ready": False})


def test_healthz_counts_the_people(line: Line) -> None:
    assert json.loads(line.app.get("/healthz")) == {"status": "ok", "people": 0}
    line.call()
    assert json.loads(line.app.get("/healthz")) == {"status": "ok", "people": 1}


@pytest.mark.parametrize(
    ("mimetype", "body"),
    [
        ("application/json", b'{"text": " The signal is lit. "}'),
        ("application/x-www-form-urlencoded", b"text=The+signal+is+lit."),
    ],
)
def test_an_announcement_reaches_everybody(line: Line, mimetype: str, body: bytes) -> None:
    callers = [line.call(), line.call()]
    answer = line.app.post("/announce", body, mimetype)
    assert answer == (200, {"announced": "The signal is lit.", "people": 2})
    for caller in callers:
        assert caller.hear() == announced("The signal is lit.")


@pytest.mark.parametrize(
    ("mimetype", "body", "error"),
    [
        ("application/json", b"", NO_JSON),
        ("application/json", b"{", NO_JSON),
        ("application/json", b'"text"', NO_JSON),
        ("application/json", b"\xff", NO_JSON),
        ("application/json", b"[" * 60_000, NO_JSON),
        ("application/json", b"{}", NO_TEXT),
        ("application/json", b'{"text": 7}', NO_TEXT),
        ("application/x-www-form-urlencoded", b"", NO_TEXT),
        (
            "application/x-www-form-urlencoded",
            b"text=++",
            NO_TEXT,
        ),
        (
            "application/x-www-form-urlencoded",
            b"text=" + b"x" * 2001,
            NO_TEXT,
        ),
    ],
)
def test_an_announcement_that_makes_no_sense_is_refused_and_not_sent(
    line: Line, mimetype: str, body: bytes, error: str
) -> None:
    line.call()
    assert line.app.post("/announce", body, mimetype) == (400, {"error": error})
    line.assert_works()


def test_an_announcement_is_posted(app: RunningApp) -> None:
    with pytest.raises(urllib.error.HTTPError) as refusal:
        app.get("/announce")
    with refusal.value:
        assert refusal.value.code == 405


# Coming and going


def test_who_connects_is_welcomed_and_the_others_are_told(line: Line) -> None:
    # `call` compares every message.
    batman, gordon = line.call("?name=batman"), line.call("?name=gordon")
    assert (batman.name, gordon.name) == ("batman", "gordon")
    line.assert_works()


@pytest.mark.parametrize(
    ("query", "name"),
    [
        ("", "citizen"),
        ("?name=", "citizen"),
        ("?name=%00%E2%80%AE%0A", "citizen"),
        ("?name=++Selina%0A%09Kyle+", "Selina Kyle"),
        ("?name=%EF%BD%82at", "bat"),
        ("?name=" + "x" * 100, "x" * 24),
        ("?name=" + "%EF%AC%83" * 20, "ffi" * 8),
        ("?name=%3Cimg+onerror=alert(1)%3E", "<img onerror=alert(1)>"),
        ("?name=%F0%9F%A6%87", "\N{BAT}"),
        ("?name=%FF", "\N{REPLACEMENT CHARACTER}"),
    ],
)
def test_a_name_is_cleaned_and_limited(line: Line, query: str, name: str) -> None:
    assert line.call(query).name == name


def test_a_name_that_is_taken_gets_a_number(line: Line) -> None:
    names = [line.call(f"?name={name}").name for name in ("joker", "Joker", "joker+2", "JOKER")]
    assert names == ["joker", "Joker 2", "joker 2 2", "JOKER 3"]


def test_a_name_is_free_again_once_its_owner_has_left(line: Line) -> None:
    line.call("?name=joker").connection.close()
    wait_for(lambda: line.app.people() == 0, "the joker to leave")
    assert line.connect("?name=joker").name == "joker"


def test_who_proves_to_have_had_a_name_gets_it_back_and_nobody_else_does(line: Line) -> None:
    batman, robin = line.call("?name=batman"), line.connect("?name=robin&page=1", SECRET)
    robin.lose_connection()
    assert [batman.hear()["type"] for _ in range(2)] == ["joined", "left"]
    assert line.app.people() == 1
    assert line.connect("?name=robin").name == "robin 2"
    assert line.connect("?name=Robin&page=1", SECRET[::-1]).name == "Robin 3"
    assert line.connect("?name=robin&page=2", SECRET).name == "robin 4", "it is another page of the browser"
    back = line.connect("?name=robin&page=1", SECRET)
    assert back.person == robin.person
    batman.ask(type="say", text="Holy smoke!", to=robin.id)
    assert back.hear()["type"] == "people"
    assert back.hear() == said(batman, "Holy smoke!", robin.id)
    back.connection.close()


def test_who_calls_again_takes_over_from_the_connection_that_has_not_ended(line: Line) -> None:
    batman, robin = line.call("?name=batman"), line.connect("?name=robin&page=1", SECRET)
    again = line.connect("?name=robin&page=1", SECRET)
    robin.hear_rest()
    assert (robin.connection.close_code, robin.connection.close_reason) == (
        4001,
        "You have called from elsewhere",
    )
    assert again.hear() == {"type": "people", "people": [batman.person, robin.person]}
    again.send("It is me")
    heard = [batman.hear() for _ in range(3)]
    assert heard == [{"type": "joined", **robin.person}] * 2 + [said(again, "It is me")], "nobody has left"
    again.connection.close()


def test_somebodys_other_name_is_taken_over_by_neither(line: Line) -> None:
    batman, robin = line.connect("?name=batman&page=1", SECRET), line.connect("?name=robin&page=1", SECRET)
    robin.send("still there?")
    assert [batman.hear()["type"] for _ in range(3)] == ["people", "joined", "message"]
    for caller in (batman, robin):
        caller.connection.close()


@pytest.mark.parametrize(("code", "name"), [(1000, "robin"), (4000, "robin 2"), (1001, "robin 2")])
def test_a_name_waits_for_a_page_unless_it_hung_up(tmp_path: Path, code: int, name: str) -> None:
    with running_app(tmp_path) as app, Line(app) as line:
        line.connect("?name=robin&page=1", SECRET).connection.close(code)
        wait_for(lambda: app.people() == 0, "robin to leave")
        assert line.connect("?name=robin").name == name


def test_a_page_that_was_closed_gives_its_name_back_after_a_moment(tmp_path: Path) -> None:
    with running_app(tmp_path) as app, Line(app) as line:
        line.connect("?name=robin&page=1", SECRET).connection.close(4000)
        wait_for(lambda: app.people() == 0, "robin to leave")
        wait_for(lambda: line.connect("?name=robin").name == "robin", "the name to be free")


def test_gordon_is_announced_when_he_logs_in(line: Line) -> None:
    batman = line.call("?name=batman")
    gordon = line.connect("?name=gordon&desg=commissioner")
    assert gordon.hear() == announced("Gordon authorized to login!")
    assert gordon.hear() == {"type": "people", "people": [batman.person, gordon.person]}
    assert batman.hear() == {"type": "joined", **gordon.person}
    assert batman.hear() == announced("Gordon authorized to login!")


@pytest.mark.parametrize(
    "query", ["?name=gordon", "?name=robin&desg=commissioner", "?name=gordon&desg=joker"]
)
def test_nobody_else_is_announced(line: Line, query: str) -> None:
    line.call(query)
    line.assert_works()


@pytest.mark.parametrize("wish", ["disconnect", " disconnect\n", '{"type": "disconnect"}'])
def test_the_server_closes_when_it_is_asked_to(line: Line, wish: str) -> None:
    batman, robin = line.call("?name=batman"), line.call("?name=robin")
    robin.send(wish)
    assert robin.hear_rest() == [
        {"type": "notice", "text": "Closing connection"},
        {"type": "notice", "text": "Goodbye"},
    ]
    assert (robin.connection.close_code, robin.connection.close_reason) == (1000, "Connection closed")
    assert batman.hear() == {"type": "left", **robin.person}
    assert line.app.people() == 1


def test_who_closes_is_told_goodbye_and_the_others_are_told(line: Line) -> None:
    batman, robin = line.call("?name=batman"), line.call("?name=robin")
    robin.connection.close(1001, "to the cave")
    assert robin.hear_rest() == [{"type": "notice", "text": "Goodbye"}]
    assert batman.hear() == {"type": "left", **robin.person}
    assert line.app.people() == 1


def test_who_is_lost_has_left(line: Line) -> None:
    batman, robin = line.call("?name=batman"), line.call("?name=robin")
    robin.lose_connection()
    assert batman.hear() == {"type": "left", **robin.person}
    assert line.app.people() == 1


def test_who_breaks_the_protocol_has_left(line: Line) -> None:
    batman, robin = line.call("?name=batman"), line.call("?name=robin")
    robin.connection.socket.sendall(b"\xff\xff")
    assert batman.hear() == {"type": "left", **robin.person}
    assert line.app.people() == 1


def test_who_is_here_stays_true_through_a_hundred_calls(line: Line) -> None:
    batman = line.call("?name=batman")
    others = [line.connect("?name=henchman") for _ in range(100)]
    for number, other in enumerate(others):
        if number % 2:
            other.connection.close()
        else:
            other.lose_connection()
    here: dict[str, str] = {}
    for _ in range(200):
        event = batman.hear()
        if event["type"] == "joined":
            here[event["id"]] = event["name"]
        else:
            assert event == {"type": "left", "id": event["id"], "name": here.pop(event["id"])}
    assert not here
    assert line.app.people() == 1
    robin = line.connect("?name=robin")
    assert robin.hear() == {"type": "people", "people": [batman.person, robin.person]}


# Talking


def test_what_is_said_to_everyone_reaches_everyone(line: Line) -> None:
    callers = [line.call(), line.call(), line.call()]
    callers[1].ask(type="say", text="  Meet at the docks.\n")
    callers[1].ask(type="say", text="At nine.", to=None)
    for caller in callers:
        assert caller.hear() == said(callers[1], "Meet at the docks.")
        assert caller.hear() == said(callers[1], "At nine.")


def test_plain_text_is_said_to_everyone_as_it_is(line: Line) -> None:
    callers = [line.call(), line.call()]
    for text in ("hello", "7", '"disconnect"', "[1]", "please disconnect", "\u00fc\N{BAT}"):
        callers[0].send(text)
        for caller in callers:
            assert caller.hear() == said(callers[0], text)


def test_what_is_said_to_one_reaches_that_one_and_the_sender_only(line: Line) -> None:
    batman, robin, joker = line.call("?name=batman"), line.call("?name=robin"), line.call("?name=joker")
    batman.ask(type="say", text="The bike.", to=robin.id)
    for caller in (robin, batman):
        assert caller.hear() == said(batman, "The bike.", robin.id)
    robin.send("Who said that?")
    for caller in (batman, robin, joker):
        assert caller.hear() == said(robin, "Who said that?")


def test_what_is_said_to_oneself_is_heard_once(line: Line) -> None:
    batman = line.call()
    batman.ask(type="say", text="I am the night.", to=batman.id)
    assert batman.hear() == said(batman, "I am the night.", batman.id)
    line.assert_works()


def test_what_is_said_to_somebody_who_has_left_is_an_error_and_no_broadcast(line: Line) -> None:
    batman, joker = line.call(), line.call()
    robin = line.connect("?name=robin")
    robin.connection.close()
    batman.ask(type="say", text="Can you hear me?", to=robin.id)
    assert [batman.hear()["type"] for _ in range(2)] == ["joined", "left"]
    assert batman.hear() == {"type": "error", "text": NOBODY}
    assert [joker.hear()["type"] for _ in range(2)] == ["joined", "left"]
    line.assert_works()


@pytest.mark.parametrize(
    ("message", "error"),
    [
        ("{", NO_JSON),
        ('{"type": "say", "text": "a"} trailing', NO_JSON),
        ('{"a":' * 100_000, NO_JSON),
        ('{"type": ' + "9" * 10_000 + "}", NO_JSON),
        ("{}", NO_TYPE),
        ('{"type": null}', NO_TYPE),
        ('{"type": ["say"]}', NO_TYPE),
        ('{"type": {"say": 1}}', NO_TYPE),
        ('{"type": "welcome"}', NO_TYPE),
        ('{"type": "say"}', NO_TEXT),
        ('{"type": "say", "text": ["a"]}', NO_TEXT),
        ('{"type": "say", "text": " "}', NO_TEXT),
        ('{"type": "say", "text": "' + "x" * 2001 + '"}', NO_TEXT),
        ("x" * 2001, NO_TEXT),
        ("", NO_TEXT),
        (" \n", NO_TEXT),
        ('{"type": "say", "text": "a", "to": ""}', NOBODY),
        ('{"type": "say", "text": "a", "to": "everyone"}', NOBODY),
        ('{"type": "say", "text": "a", "to": 5}', NOBODY),
        ('{"type": "say", "text": "a", "to": false}', NOBODY),
        ('{"type": "say", "text": "a", "to": ["a"]}', NOBODY),
        ('{"type": "say", "text": "a", "to": {}}', NOBODY),
        ('{"type": "say", "text": "a", "to": "\\ud800"}', NOBODY),
        (b"hello", BINARY),
        (b"\xff\x00", BINARY),
    ],
)
def test_nonsense_is_answered_with_an_error_and_the_connection_stays(
    line: Line, message: str | bytes, error: str
) -> None:
    line.call()
    nonsensical = line.call()
    nonsensical.send(message)
    assert nonsensical.hear() == {"type": "error", "text": error}
    line.assert_works()


def test_text_that_is_no_valid_unicode_is_passed_on_as_it_came(line: Line) -> None:
    batman = line.call()
    batman.send('{"type": "say", "text": "\\ud800"}')
    assert batman.hear() == said(batman, "\ud800")
    line.assert_works()


# Running it


@pytest.mark.parametrize("way", COMMANDS)
def test_it_runs_each_way_and_says_goodbye_when_it_is_stopped(tmp_path: Path, way: str) -> None:
    with running_app(tmp_path, way) as app, Line(app) as line:
        callers = batman, robin = line.call("?name=batman"), line.call("?name=robin")
        batman.ask(type="say", text="hello", to=robin.id)
        assert robin.hear() == batman.hear() == said(batman, "hello", robin.id)
        assert app.get("/hello_world") == "Hello, world!"
        status, _ = app.post("/announce", b'{"text": "a"}', "application/json")
        assert (status, app.people()) == (200, 2)
        assert robin.hear() == batman.hear() == announced("a")
        app.tell()
        for caller in callers:
            assert caller.hear_rest()[-1] == {"type": "notice", "text": "Goodbye"}
            assert caller.connection.close_code == 1001
        assert app.wait() == 0
        assert "Traceback" not in app.log()


@pytest.mark.parametrize("way", ["worker", "geventwebsocket"])
def test_several_workers_are_one_line(tmp_path: Path, way: str) -> None:
    options = ["--workers", "2", "--access-logfile", "-"]
    with running_app(tmp_path, way, options=options) as app, Line(app) as line:
        wait_for(lambda: is_ready(app), "the workers to hear each other")
        # A worker of gevent-websocket's class serves before the others know it, and who is connected to it.
        wait_for(lambda: app.log().count("connected; nodes: ") == 2, "both workers to have begun")
        secrets = [f"{number:032x}" for number in range(8)]
        callers = [line.connect("?name=joker&page=1", secret) for secret in secrets]
        assert {caller.name for caller in callers} == {"joker"} | {
            f"joker {number}" for number in range(2, 9)
        }
        assert app.people() == 8
        again = [
            line.connect(f"?{urlencode({'name': caller.name, 'page': 1})}", secret)
            for caller, secret in zip(callers, secrets, strict=True)
        ]
        for old, new in zip(callers, again, strict=True):
            assert new.person == old.person, "whichever worker it came to"
            old.hear_rest()
            assert old.connection.close_code == 4001
        last = again[-1]
        assert last.hear() == {"type": "people", "people": [caller.person for caller in again]}
        for caller in again[:-1]:
            last.ask(type="say", text="psst", to=caller.id)
            while caller.hear() != said(last, "psst", caller.id):
                pass  # it has heard others join
        assert app.people() == 8
        # gevent-websocket's handler logs no WebSocket.
        assert "/web_socket?name=joker" in app.log() or way == "geventwebsocket"
        assert not any(secret in app.log() for secret in secrets), "what proves whose name it is"


def is_ready(app: RunningApp) -> bool:
    """Whether the workers hear each other."""
    try:
        return bool(json.loads(app.get("/readyz"))["ready"])
    except urllib.error.HTTPError as refusal:
        refusal.close()
        return False


def test_host_and_port_of_the_environment_are_honoured(tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.2", 0))
        port = probe.getsockname()[1]
    with running_app(tmp_path, host="127.0.0.2", port=port) as app:
        assert app.address == f"127.0.0.2:{port}"
        assert app.people() == 0
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port), DEADLINE)
