"""`gws bench`: counts what is answered, times it, says which stalls it does not see, and names the errors."""

from __future__ import annotations

import contextlib
import os
import pty
import re
import signal
import subprocess
import threading
import time
from collections.abc import Iterator

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.server import ServerConnection, serve

from gws.cli.latencies import Latencies

from ..conftest import StartServer
from ..support.command_line import environment, gws_command, run_gws
from ..support.harness import Server
from ..support.program import DEADLINE, wait_for


@pytest.fixture(scope="module")
def server(start_module_server: StartServer) -> Server:
    return start_module_server("echo")


@pytest.fixture
def stalling() -> Iterator[str]:
    """Return the URL of an echo that does nothing for half a second in every second."""
    begin = time.monotonic()

    def handler(connection: ServerConnection) -> None:
        with contextlib.suppress(ConnectionClosed):
            for message in connection:
                while (time.monotonic() - begin) % 1 < 0.5:
                    time.sleep(0.01)
                connection.send(message)

    with serve(handler, "127.0.0.1", 0) as server:
        threading.Thread(target=server.serve_forever).start()
        yield f"ws://127.0.0.1:{server.socket.getsockname()[1]}/"
        server.shutdown()


def percentile(output: str, name: str) -> float:
    """Return seconds."""
    found = re.search(rf"\b{re.escape(name)} ([\d.e+]+) (µs|ms|s)", output)
    assert found, output
    return float(found[1]) * {"µs": 1e-6, "ms": 1e-3, "s": 1}[found[2]]


def test_it_counts_what_is_answered_and_times_it(server: Server) -> None:
    done = run_gws("bench", server.url(), "-c", "20", "-d", "1s", "--size", "1000")
    assert (done.returncode, done.stderr) == (0, "")
    assert f"{server.url()}: 20 of 20 connections, 1000 bytes a message, as fast as it answers" in done.stdout
    found = re.search(r"([\d,]+) of ([\d,]+) messages answered in 1\.\d s: ([\d,]+) messages/s", done.stdout)
    assert found
    answered, sent, rate = (int(number.replace(",", "")) for number in found.groups())
    assert answered == sent > 100
    assert 0.7 * answered < rate < 1.1 * answered
    times = [percentile(done.stdout, name) for name in ("p50", "p75", "p90", "p99", "p99.9", "max")]
    assert times == sorted(times)
    assert 0 < times[0] < 1
    bars = [int(count) for count in re.findall(r"(?m)^ +< \S+ .?s +(\d+) +[\d.]+ %", done.stdout)]
    assert sum(bars) == answered
    assert "coordinated omission" in done.stdout
    assert re.search(r"This program took \d+% of a core", done.stdout)
    assert done.stdout.endswith("errors: 0\n")


def test_at_a_rate_a_stall_is_in_all_that_it_delays(stalling: str) -> None:
    """The same server, looked at in both ways: half of its time is a stall of up to half a second."""
    loop = run_gws("bench", stalling, "-c", "1", "-d", "2s").stdout
    assert percentile(loop, "p90") < 0.1
    assert percentile(loop, "max") > 0.3
    rate = run_gws("bench", stalling, "-c", "1", "-d", "2s", "--rate", "100").stdout
    assert percentile(rate, "p90") > 0.3
    assert "200 of 200 messages answered" in rate
    assert "Latencies count from the moment at which a message was due" in rate


def test_errors_are_named_and_counted(server: Server) -> None:
    done = run_gws("bench", f"127.0.0.1:{server.port}/nowhere?token=s3cret", "-c", "3", "-d", "1s")
    assert done.returncode == 1
    assert "errors: 3\n         3 HTTP 404 NOT FOUND" in done.stdout
    assert "s3cret" not in done.stdout + done.stderr
    done = run_gws("bench", "ws://127.0.0.1:1/", "-c", "2", "-d", "1s")
    assert done.returncode == 1
    assert "0 of 2 connections" in done.stdout


def test_connections_that_end_and_messages_without_an_answer_are_errors() -> None:
    def handler(connection: ServerConnection) -> None:
        with contextlib.suppress(ConnectionClosed):
            connection.send("welcome")
            for number, message in enumerate(connection):
                if number == 2:
                    connection.send("news")
                if number == 3:
                    connection.close(4001, "\x1b[2Jenough")
                connection.send(message)

    with serve(handler, "127.0.0.1", 0) as server:
        threading.Thread(target=server.serve_forever).start()
        done = run_gws("bench", f"ws://127.0.0.1:{server.socket.getsockname()[1]}/", "-c", "2", "-d", "1s")
        server.shutdown()
    assert done.returncode == 1
    assert "2 closed with 4001: \\x1b[2Jenough" in done.stdout
    # Of each connection: three have answers, and the news counts as that of a fourth; the greeting is none.
    assert "8 of 10 messages answered" in done.stdout
    assert "2 messages without an answer" in done.stdout


def test_answers_in_pieces_and_pings_are_understood() -> None:
    def handler(connection: ServerConnection) -> None:
        with contextlib.suppress(ConnectionClosed):
            for message in connection:
                connection.ping()
                connection.send([str(message)[:1], str(message)[1:]])

    with serve(handler, "127.0.0.1", 0) as server:
        threading.Thread(target=server.serve_forever).start()
        done = run_gws("bench", f"ws://127.0.0.1:{server.socket.getsockname()[1]}/", "-c", "2", "-d", "1s")
        server.shutdown()
    assert done.returncode == 0
    assert done.stdout.endswith("errors: 0\n")


def test_progress_is_shown_on_a_terminal_and_ctrl_c_reports(server: Server) -> None:
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        gws_command("bench", server.url(), "-d", "1m"),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=theirs,
        env=environment(),
    )
    os.close(theirs)
    shown = b""

    def look() -> re.Match[bytes] | None:
        nonlocal shown
        shown += os.read(ours, 4096)
        return re.search(rb"\r\x1b\[K +2 s +[\d,]+ messages/s  0 errors", shown)

    wait_for(look, "the progress")
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=DEADLINE)
    os.close(ours)
    assert process.returncode == 130
    assert b"messages answered in" in output
    assert output.endswith(b"errors: 0\n")


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["-d", "0s"], "a duration is written 500ms, 10s or 1m"),
        (["-d", "soon"], "a duration is written 500ms, 10s or 1m"),
        (["-c", "0"], "0"),
        (["--rate", "0"], "0"),
        (["-m", "x", "--size", "3"], "not both"),
    ],
)
def test_options_that_cannot_be_are_refused(arguments: list[str], why: str) -> None:
    done = run_gws("bench", "ws://127.0.0.1:1/", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert why in done.stderr


def test_percentiles_are_those_of_what_was_counted() -> None:
    latencies = Latencies()
    for milliseconds in range(1, 1001):
        latencies.add(milliseconds / 1000 + 1e-9)
    assert latencies.percentiles() == [0.5, 0.75, 0.9, 0.99, 0.999, 1.0]
    assert sum(int(line.split()[3]) for line in latencies.bars()) == 1000
