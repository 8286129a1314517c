"""`gws connect`: in a terminal, from a pipe, and how it ends; nothing of a stranger moves the cursor."""

from __future__ import annotations

import contextlib
import os
import pty
import re
import select
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.server import ServerConnection, serve
from websockets.typing import Subprotocol

from ..support.command_line import environment, gws_command, run_gws
from ..support.program import DEADLINE, wait_for

Handler = Callable[[ServerConnection], None]


@contextlib.contextmanager
def serving(handler: Handler) -> Iterator[str]:
    """Serve with another library than the one under test; return the URL."""

    def choose(connection: ServerConnection, offered: Sequence[Subprotocol]) -> Subprotocol | None:
        return offered[-1] if offered else None

    with serve(handler, "127.0.0.1", 0, select_subprotocol=choose, close_timeout=1) as server:
        threading.Thread(target=server.serve_forever).start()
        try:
            yield f"ws://127.0.0.1:{server.socket.getsockname()[1]}"
        finally:
            server.shutdown()


def echo(connection: ServerConnection) -> None:
    with contextlib.suppress(ConnectionClosed):
        for message in connection:
            connection.send(message)


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """Return the URL of an echo."""
    with serving(echo) as url:
        yield url


class Terminal:
    """`gws connect` with a keyboard and a screen."""

    def __init__(self, *arguments: str, home: Path | None = None) -> None:
        ours, theirs = pty.openpty()
        variables = environment() | {"TERM": "xterm", "XDG_STATE_HOME": str(home or "/nonexistent")}
        self.process = subprocess.Popen(
            gws_command("connect", *arguments),
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env=variables,
            start_new_session=True,
            # So that Ctrl-C is a signal, as in a terminal window.
            preexec_fn=lambda: os.close(os.open(os.ttyname(0), os.O_RDWR)),
        )
        os.close(theirs)
        self._descriptor = ours
        self.screen = ""

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._descriptor)

    def type(self, text: str) -> None:
        """Press these keys."""
        os.write(self._descriptor, text.encode())

    def expect(self, pattern: str) -> re.Match[str]:
        """Wait until there is something on the screen, and forget what is there up to its end."""

        def look() -> re.Match[str] | None:
            has_ended = self.process.poll() is not None
            self._read()
            found = re.search(pattern, self.screen)
            assert found or not has_ended, f"{pattern!r} did not come, but {self.screen[-2000:]!r}"
            return found

        found = wait_for(look, repr(pattern))
        self.screen = self.screen[found.end() :]
        return found

    def _read(self) -> None:
        with contextlib.suppress(OSError):
            while select.select([self._descriptor], [], [], 0.01)[0]:
                data = os.read(self._descriptor, 65536)
                if not data:
                    return
                self.screen += data.decode(errors="replace")
                if len(self.screen) > 1_000_000:
                    return

    def wait(self) -> int:
        """Return the exit code."""

        def look() -> bool:
            self._read()
            return self.process.poll() is not None

        wait_for(look, "it to end")
        assert self.process.returncode is not None
        return self.process.returncode


# In a terminal


def test_lines_are_messages_and_answers_stand_above_the_prompt(url: str) -> None:
    with Terminal(url) as terminal:
        terminal.expect(rf"connected to {url}/")
        terminal.expect("> ")
        terminal.type("hello\n")
        terminal.expect("<\x1b\\[0m hello\r\n> ")
        terminal.type("\x04")
        assert terminal.wait() == 0


def test_a_ping_says_how_long_its_pong_takes(url: str) -> None:
    with Terminal(url) as terminal:
        terminal.expect("> ")
        terminal.type("/ping\n")
        assert 0 < float(terminal.expect(r"pong after ([\d.]+) ms")[1]) < 5000
        terminal.type("/ping " + "x" * 126 + "\n")
        terminal.expect("125 bytes at the most")


def test_close_sends_code_and_reason() -> None:
    heard: list[tuple[int | None, str | None]] = []

    def handler(connection: ServerConnection) -> None:
        echo(connection)
        heard.append((connection.close_code, connection.close_reason))

    with serving(handler) as url, Terminal(url) as terminal:
        terminal.expect("> ")
        terminal.type("/close 999\n")
        terminal.expect(r"/close \[code")
        terminal.type("/close 4000 bye\n")
        terminal.expect("closed with 4000: bye")
        assert terminal.wait() == 0
        wait_for(lambda: heard, "the close")
    assert heard == [(4000, "bye")]


def test_other_slashes_are_templates_texts_or_mistakes(url: str) -> None:
    with Terminal(url, "--template", 'join={"join": "$1"}') as terminal:
        terminal.expect("> ")
        terminal.type('/join the "kitchen"\n')
        found = terminal.expect(r"<\x1b\[0m (.*)\r\n")[1]
        assert re.sub(r"\x1b\[\d*m", "", found) == r'{"join": "the \"kitchen\""}'
        terminal.type("//me waves\n")
        terminal.expect(r"<\x1b\[0m /me waves\r\n")
        terminal.type("/shout\n")
        terminal.expect("there is no command /shout: /help lists them")
        terminal.type("/help\n")
        terminal.expect(r"(?s)/ping \[text\].*/join")


def test_json_is_coloured_and_left_as_it_is(url: str) -> None:
    text = '{"a": [1.50, true, null, "b\\n"],  "c":-2e3}'
    with Terminal(url) as terminal:
        terminal.expect("> ")
        terminal.type(f"{text}\n")
        found = terminal.expect(r"<\x1b\[0m (.*)\r\n")[1]
        assert '\x1b[36m"a"\x1b[0m' in found
        assert "\x1b[33m1.50\x1b[0m" in found
        assert re.sub(r"\x1b\[\d*m", "", found) == text


def test_what_was_typed_is_there_the_next_time_for_this_user_only(url: str, tmp_path: Path) -> None:
    with Terminal(url, home=tmp_path) as terminal:
        terminal.expect("> ")
        terminal.type("something to remember\n")
        terminal.expect(r"<\x1b\[0m something to remember")
        terminal.type("\x04")
        assert terminal.wait() == 0
    assert (tmp_path / "gws" / "connect_history").stat().st_mode & 0o777 == 0o600
    with Terminal(url, home=tmp_path) as terminal:
        terminal.expect("> ")
        # Arrow up.
        terminal.type("\x1b[A\n")
        terminal.expect(r"<\x1b\[0m something to remember")


def test_half_a_line_stays_when_a_message_comes() -> None:
    go = threading.Event()

    def handler(connection: ServerConnection) -> None:
        go.wait(DEADLINE)
        connection.send("news")
        echo(connection)

    with serving(handler) as url, Terminal(url) as terminal:
        terminal.expect("> ")
        terminal.type("half a ")
        terminal.expect("half a ")
        go.set()
        terminal.expect("news\r\n> half a ")
        terminal.type("line\n")
        terminal.expect(r"<\x1b\[0m half a line\r\n")


EVIL = "\x1b]0;owned\x07\x1b[2J\x9b31m\r\n\u202eevil"


@pytest.mark.parametrize(
    "message", [EVIL, '["' + "\u202e\x9b31m" + '"]', EVIL.encode()], ids=["text", "json", "bytes"]
)
def test_no_message_controls_the_terminal(message: str | bytes) -> None:
    def handler(connection: ServerConnection) -> None:
        connection.send(message)
        connection.close(4001, "\x1b[2Jwhy")

    with serving(handler) as url, Terminal(url) as terminal:
        terminal.expect("closed with 4001: " + re.escape(r"\x1b[2Jwhy"))
        assert terminal.wait() == 4

    with serving(handler) as url, Terminal(url) as terminal:
        shown = terminal.expect(r"(?s).*closed with 4001")[0]
    own = re.sub(r"\x1b\[(?:\d*m|K|\?2004[hl])", "", shown)
    assert not set(own) & {"\x1b", "\x9b", "\x07", "\u202e"}


def test_a_refusal_controls_no_terminal_either() -> None:
    def refuse(connection: ServerConnection, request: object) -> object:
        return connection.respond(403, EVIL)

    with serve(echo, "127.0.0.1", 0, process_request=refuse) as server:  # type: ignore[arg-type]
        threading.Thread(target=server.serve_forever).start()
        done = run_gws("connect", f"127.0.0.1:{server.socket.getsockname()[1]}")
        server.shutdown()
    assert done.returncode == 3
    assert "HTTP 403 Forbidden: \\x1b]0;owned" in done.stderr
    assert not set(done.stderr) & {"\x1b", "\x9b", "\x07", "\u202e"}


def flood(connection: ServerConnection) -> None:
    with contextlib.suppress(ConnectionClosed):
        while True:
            connection.send("x" * 1000)


@pytest.mark.parametrize(("key", "code"), [("\x03", 130), ("\x04", 0)], ids=["Ctrl-C", "Ctrl-D"])
def test_a_server_that_floods_is_left(key: str, code: int) -> None:
    with serving(flood) as url, Terminal(url) as terminal:
        terminal.expect("x{1000}")
        terminal.type(key)
        assert terminal.wait() == code


# From a pipe


def test_each_line_of_a_pipe_is_a_message_and_each_answer_a_line(url: str) -> None:
    done = run_gws("connect", url, "-w", "0.5", typed="hello\n/ping\nGrüße")
    assert (done.returncode, done.stdout) == (0, "hello\n/ping\nGrüße\n")
    assert done.stderr == f"connected to {url}/\n"


def test_more_than_fits_into_any_buffer_goes_through_a_pipe(url: str) -> None:
    lines = [f"{number} {'x' * 1000}" for number in range(20_000)]
    done = run_gws("connect", url, "-w", "3", typed="\n".join(lines))
    assert done.returncode == 0
    assert done.stdout.splitlines() == lines


def test_execute_sends_and_waits(url: str) -> None:
    began = time.monotonic()
    done = run_gws("connect", url, "-x", "one", "-x", "two", "--wait", "0.5")
    assert (done.returncode, done.stdout) == (0, "one\ntwo\n")
    assert time.monotonic() - began > 0.5


def test_the_handshake_has_what_it_is_told() -> None:
    def handler(connection: ServerConnection) -> None:
        assert connection.request is not None
        headers = connection.request.headers
        for name in ("X-One", "Origin", "Authorization", "User-Agent"):
            connection.send(headers[name])
        connection.send(str(connection.subprotocol))

    arguments = [
        "-H",
        "X-One: 1: 2",
        "-o",
        "https://a.example",
        "--auth",
        "user:s3cret",
        "-s",
        "x",
        "-s",
        "chat.v1",
    ]
    with serving(handler) as url:
        done = run_gws("connect", f"{url}?token=s3cret", *arguments)
    assert done.stdout.splitlines() == [
        "1: 2",
        "https://a.example",
        "Basic dXNlcjpzM2NyZXQ=",
        "gws",
        "chat.v1",
    ]
    assert done.returncode == 0
    assert done.stderr == f"connected to {url}/?..., subprotocol chat.v1\nclosed with 1000\n"


# How it ends


def close_with(code: int) -> Handler:
    return lambda connection: connection.close(code, "because")


@pytest.mark.parametrize(
    ("handler", "code"), [(close_with(1000), 0), (close_with(1008), 4), (close_with(1011), 4)]
)
def test_the_exit_code_tells_how_it_was_closed(handler: Handler, code: int) -> None:
    with serving(handler) as url:
        done = run_gws("connect", url, "--wait", "inf")
    assert done.returncode == code
    assert "because" in done.stderr


def test_a_connection_that_is_lost_is_exit_code_5() -> None:
    with serving(lambda connection: connection.socket.shutdown(2)) as url:
        done = run_gws("connect", url, "--wait", "inf")
    assert done.returncode == 5
    assert "lost, without a Close" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "why"),
    [
        (["ws://127.0.0.1:1/x"], 1, "no connection to ws://127.0.0.1:1/x: Connection refused"),
        (["ws://no.such.host.invalid/"], 1, "no connection to ws://no.such.host.invalid/: "),
        (["ftp://x/"], 2, "the URL is written ws://host:port/path"),
        (["ws://x:y/"], 2, "the URL is written ws://host:port/path"),
        (["ws://x/", "-H", "s3cret"], 2, "a header is written 'Name: value'"),
        (["ws://x/", "-H", "A: b\nC: s3cret"], 2, "a header is written 'Name: value'"),
        (["ws://x/", "--auth", "s3cret"], 2, "--auth is written USER:PASSWORD"),
        (["ws://x/", "--template", "s3cret"], 2, "--template is written NAME=TEXT"),
        (["ws://x/", "--insecure"], 2, "for wss:// URLs"),
        (["ws://user:s3cret@127.0.0.1:1/?token=s3cret"], 1, "no connection to ws://127.0.0.1:1/?...: "),
        (["ws://user:s3cret@/?token=s3cret"], 2, "the URL is written"),
    ],
)
def test_what_cannot_be_is_said_without_a_secret(arguments: list[str], code: int, why: str) -> None:
    done = run_gws("connect", *arguments)
    assert (done.returncode, done.stdout) == (code, "")
    assert why in done.stderr
    assert "s3cret" not in done.stderr


def test_it_connects_again_when_the_server_begins_anew() -> None:
    count = 0

    def handler(connection: ServerConnection) -> None:
        nonlocal count
        count += 1
        connection.send(f"connection {count}")
        connection.close({1: 1012, 2: 1006, 3: 1000}[count]) if count != 2 else connection.socket.shutdown(2)

    with serving(handler) as url:
        done = run_gws("connect", url, "--reconnect", "--wait", "inf")
    assert (done.returncode, done.stdout) == (0, "connection 1\nconnection 2\nconnection 3\n")
    assert len(re.findall(r"connected to \S+ again, after \d+ ms", done.stderr)) == 2


def test_a_refusal_is_final_also_where_it_would_connect_again() -> None:
    with serving(close_with(1008)) as url:
        assert run_gws("connect", url, "--reconnect", "--wait", "inf").returncode == 4


def test_a_reader_that_has_had_enough_ends_it() -> None:
    with serving(flood) as url:
        process = subprocess.Popen(
            gws_command("connect", url, "--wait", "inf"),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment(),
        )
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.read(1000)
        process.stdout.close()
        assert process.wait(DEADLINE) == 0
        assert process.stderr.read().decode() == f"connected to {url}/\n"
        process.stderr.close()


def test_ctrl_c_ends_it_also_while_it_waits_to_connect_again() -> None:
    process = subprocess.Popen(
        gws_command("connect", "ws://127.0.0.1:1/", "--reconnect"),
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env=environment(),
    )
    assert process.stderr is not None
    with process.stderr:
        assert b"Connection refused" in process.stderr.readline()
        process.send_signal(signal.SIGINT)
        assert process.wait(DEADLINE) == 130
        assert b"Traceback" not in process.stderr.read()
