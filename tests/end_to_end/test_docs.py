"""What stands in README.md and docs/ is true: each sample runs as it stands, each command and each link exists.

A sample's port is the one thing that is changed: the tests run side by side. docs/deploy.md is run by `test_nginx`.
"""

from __future__ import annotations

import ast
import configparser
import importlib
import json
import os
import re
import subprocess
import sys
import urllib.parse
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Subprotocol

from gws.cli.main import COMMANDS as COMMANDS_OF_GWS
from gws.cluster.ids import new_id

from ..support.program import DEADLINE, Program, wait_for
from ..support.valkey import Valkey

ROOT = Path(__file__).parents[2]
PAGES = (
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *sorted((ROOT / "docs").rglob("*.md")),
    *sorted(ROOT.glob("*/README.md")),
)


class Block(NamedTuple):
    """What stands between two fences."""

    page: Path
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def blocks() -> list[Block]:
    found = []
    for page in PAGES:
        text = page.read_text()
        for match in re.finditer(r"^```(.*)\n((?s:.*?))^```$", text, re.MULTILINE):
            found.append(Block(page, text.count("\n", 0, match.start()) + 1, match[1], match[2]))
    return found


BLOCKS = blocks()
SAMPLES = [block for block in BLOCKS if block.language == "python" and block.page.name != "deploy.md"]
SCRIPTS = [block for block in SAMPLES if "Publisher(" in block.text]
TESTS = [block for block in SAMPLES if "def test_" in block.text]
PROGRAMS = [block for block in SAMPLES if block not in SCRIPTS + TESTS]
COMMANDS = [block for block in BLOCKS if block.language == ""]


# The samples


def hears(connection: ClientConnection, message: str, answer: str) -> None:
    connection.send(message)
    assert connection.recv(timeout=DEADLINE) == answer


def post(server: Program, path: str, **form: str) -> str:
    url, data = f"http://{server.address}{path}", urllib.parse.urlencode(form).encode()
    with urllib.request.urlopen(url, data, timeout=DEADLINE) as response:
        return str(response.read().decode())


def open_at(server: Program, path: str, subprotocol: str | None = None) -> ClientConnection:
    offered = None if subprotocol is None else [Subprotocol(subprotocol)]
    return connect(f"ws://{server.address}{path}", open_timeout=DEADLINE, subprotocols=offered)


def talk_as_robyn(server: Program) -> None:
    with open_at(server, "/web_socket") as client:
        assert client.recv(timeout=DEADLINE) == "Connected to ws"
        hears(client, "hello", "Hello world, from ws")


def talk_in_rooms(server: Program) -> None:
    with open_at(server, "/rooms/kitchen") as one, open_at(server, "/rooms/cellar") as two:
        hears(one, "soup", "soup")
        post(server, "/rooms/kitchen", text="dinner")
        assert one.recv(timeout=DEADLINE) == "dinner"
        # Nothing of the kitchen has come to the cellar before this.
        hears(two, "wine", "wine")
        hears(one, "disconnect", "Closing connection")


def ask(server: Program) -> None:
    with open_at(server, "/answers") as client:
        hears(client, "why?", '{"answer": 42, "question": "why?"}')


def raise_alarms(server: Program) -> None:
    with open_at(server, "/alarms?team=fire") as fire, open_at(server, "/alarms"):
        assert post(server, "/alarm/fire") == '{"told":1}\n'
        assert fire.recv(timeout=DEADLINE) == '{"alarm": "fire"}'


def greet(server: Program) -> None:
    with open_at(server, "/greetings/gordon") as client:
        hears(client, "hello", "hello, Gordon")


def chat(server: Program) -> None:
    with (
        open_at(server, "/chat") as one,
        open_at(server, "/chat") as two,
        open_at(server, "/chat?room=x") as x,
    ):
        one.send("to the lobby")
        assert two.recv(timeout=DEADLINE) == "to the lobby"
        x.send("to nobody")
        two.send("to one")
        assert one.recv(timeout=DEADLINE) == "to one"


def migrate_from_robyn(server: Program) -> None:
    with open_at(server, "/web_socket") as client:
        hears(client, "hello", '{"heard": "hello"}')


def echo(server: Program) -> None:
    with open_at(server, "/echo") as client:
        hears(client, "hello", "hello")


def come_by_a_trusted_name(server: Program) -> None:
    with open_at(server, "/private") as client:
        hears(client, "hello", "hello")


def speak_a_subprotocol(server: Program) -> None:
    with open_at(server, "/chat", subprotocol="chat.v1") as client:
        hears(client, "hello", "chat.v1: hello")


def read_compressed(server: Program) -> None:
    with open_at(server, "/documents") as documents, open_at(server, "/prices") as prices:
        assert documents.recv(timeout=DEADLINE) == "Once upon a time. " * 100
        assert prices.recv(timeout=DEADLINE) == '{"gotham": 1.5}'


def migrate_a_loop_from_robyn(server: Program) -> None:
    with open_at(server, "/web_socket?room=cave") as client:
        assert client.recv(timeout=DEADLINE) == "Connected to ws"
        client.send("x")
        assert client.recv(timeout=DEADLINE) == "cave: x"
        client.close(4001)
    wait_for(lambda: "has gone: 4001" in server.log(), "the end in the log")


def turn_pages(server: Program) -> None:
    with open_at(server, "/pages?page=2&tags=a&tags=b") as pages:
        pages.send("x")
        assert pages.recv(timeout=DEADLINE) == "lobby 2 ['a', 'b']"


def receive_itself(server: Program) -> None:
    with open_at(server, "/echo?name=gordon") as one, open_at(server, "/feed") as other:
        assert one.recv(timeout=DEADLINE) == "hello gordon"
        one.send("x")
        assert one.recv(timeout=DEADLINE) == "x"
        other.send('{"item": "tea"}')
        assert json.loads(other.recv(timeout=DEADLINE)) == {"accepted": {"item": "tea"}}


def read_word_by_word(server: Program) -> None:
    with open_at(server, "/tokens") as words:
        words.send("x")
        assert [words.recv(timeout=DEADLINE) for _ in range(5)] == ["one", "word", "after", "the", "other"]


def say_of_a_type(server: Program) -> None:
    with open_at(server, "/chat") as chat_:
        chat_.send('{"type": "Join", "room": "cave"}')
        said = '{"type":"Say","room":"cave","text":"hi"}'
        chat_.send(said)
        assert chat_.recv(timeout=DEADLINE) == said
        chat_.send('{"type": "Say", "room": "cave", "text": 5}')
        answer = json.loads(chat_.recv(timeout=DEADLINE))
        assert answer == {"error": "invalid message", "detail": "Expected `str`, got `int` - at `$.text`"}


CONVERSATIONS: dict[str, Callable[[Program], None]] = {
    '"Hello world, from ws"': talk_as_robyn,
    '"/rooms/<name>"': talk_in_rooms,
    '"/answers"': ask,
    '"/alarms"': raise_alarms,
    '"/greetings/<name>"': greet,
    'get("room", "lobby")': chat,
    "# from robyn import Robyn, WebSocket, ": migrate_from_robyn,
    "# from robyn import Robyn, WebSocketDisconnect": migrate_a_loop_from_robyn,
    "# gws": echo,
    '"/pages"': turn_pages,
    '"/feed"': receive_itself,
    '"/tokens"': read_word_by_word,
    "msgspec.Struct": say_of_a_type,
    '"TRUSTED_HOSTS"': come_by_a_trusted_name,
    "subprotocols=": speak_a_subprotocol,
    "server_no_context_takeover": read_compressed,
}
"""By what only that sample has."""


def conversation_of(block: Block) -> Callable[[Program], None]:
    (found,) = (talk for phrase, talk in CONVERSATIONS.items() if phrase in block.text)
    return found


@pytest.mark.parametrize("block", PROGRAMS, ids=str)
def test_a_sample_runs_as_it_stands(block: Block, tmp_path: Path) -> None:
    source, count = re.subn(r"\b(start|serve)\((app)?(?:, )?(?:port=\d+)?\)\n", _on_any_port, block.text)
    assert count == 1, "a sample starts its server, so that whoever copies it can"
    (tmp_path / "app.py").write_text(source)
    program = Program([sys.executable, "-W", "error", "app.py"], tmp_path)
    try:
        conversation_of(block)(program)
        assert "Traceback" not in program.log()
    finally:
        program.clean_up()


@pytest.mark.parametrize("block", SCRIPTS, ids=str)
def test_a_script_runs_as_it_stands(block: Block, tmp_path: Path) -> None:
    with Valkey(tmp_path) as valkey:
        command = [sys.executable, "-W", "error", "-c", block.text, new_id()]
        done = subprocess.run(
            command,
            env=os.environ | {"GWS_BACKPLANE_URL": valkey.url},
            capture_output=True,
            text=True,
            check=False,
            timeout=DEADLINE,
        )
    assert (done.stderr, done.stdout) == ("", "0 processes have somebody in the room\n")


@pytest.mark.parametrize("block", TESTS, ids=str)
def test_a_test_passes_as_it_stands(block: Block, tmp_path: Path) -> None:
    (tmp_path / "test_sample.py").write_text(block.text)
    if "gws_server" in block.text:
        (configuration,) = (
            other.text for other in BLOCKS if other.page == block.page and other.language == "ini"
        )
        (tmp_path / "pytest.ini").write_text(configuration)
        (tmp_path / "app.py").write_text(PROGRAMS[0].text)
    plugins = ["-p", "gws.testing.plugin", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", *plugins, "--rootdir=.", "."],
        cwd=tmp_path,
        # As on a machine that has pytest and gws: what else is installed here takes longer to load than the test.
        env=os.environ | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=4 * DEADLINE,
    )
    assert done.returncode == 0, done.stdout
    assert f"{block.text.count('def test_')} passed" in done.stdout


def _on_any_port(call: re.Match[str]) -> str:
    return f"{call[1]}({'app, ' if call[2] else ''}port=0)\n"


@pytest.mark.parametrize("block", PROGRAMS, ids=str)
def test_a_sample_patches_before_it_imports_anything_else(block: Block) -> None:
    statements = ast.parse(block.text).body
    assert ast.unparse(statements[0]) == "from gevent import monkey"
    assert ast.unparse(statements[1]) == "monkey.patch_all()"


def test_the_samples_run_on_the_oldest_python(tmp_path: Path) -> None:
    for number, block in enumerate(SAMPLES):
        (tmp_path / f"sample_{number}.py").write_text(f"# {block}\n{block.text}")
    # mypy knows since when each name of the standard library exists, whichever Python is here; the rest is not read.
    options = ["--python-version=3.10", "--check-untyped-defs", "--follow-imports=skip", "--config-file="]
    found = subprocess.run(
        [sys.executable, "-m", "mypy", *options, str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    assert found.returncode == 0, found.stdout


# Commands and links


def words_behind(pattern: str) -> set[str]:
    return {match[1] for block in COMMANDS for match in re.finditer(pattern, block.text)}


def test_every_make_target_exists() -> None:
    makefile = (ROOT / "Makefile").read_text()
    targets = words_behind(r"(?m)^ *make ([\w-]+)")
    assert "run" in targets
    assert {target for target in targets if not re.search(rf"(?m)^{target}:", makefile)} == set()


def test_every_extra_exists() -> None:
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    extras = words_behind(r"pip install '[.\w-]*\[([\w,]+)\]'")
    assert "gunicorn" in extras
    assert extras - set(config["options.extras_require"]) == set()


def test_every_worker_class_exists() -> None:
    classes = {match[1] for page in PAGES for match in re.finditer(r"-k ([\w.]+\.\w+)", page.read_text())}
    assert "gws.worker.Worker" in classes
    for name in classes:
        module, _, attribute = name.rpartition(".")
        assert hasattr(importlib.import_module(module), attribute)


def test_every_subcommand_exists() -> None:
    pattern = r"(?:python -m gws|flask ws|`gws) (\w+)"
    used = {match[1] for page in PAGES for match in re.finditer(pattern, page.read_text())}
    used |= words_behind(r"(?m)(?:^|\| )gws (\w+)")
    assert {"publish", "run", "connect"} <= used
    assert used - set(COMMANDS_OF_GWS) == set()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if target.startswith(("http://", "https://")):
            continue
        path, _, anchor = target.partition("#")
        found = (page.parent / path).resolve() if path else page
        assert found.exists(), target
        if anchor and found.suffix == ".md":
            assert anchor in anchors(found), target


def anchors(page: Path) -> set[str]:
    """As GitHub makes them of headings."""
    headings = re.findall(r"(?m)^#+ (.+)$", page.read_text())
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
