"""How many instructions a message costs gws: `python benchmarks/instructions.py [FOLDER ...]`, a checkout each.

valgrind's callgrind counts those of the server's process in user space, which are the same in every run, where CPU time
varies by 15 % and more on a machine with other work to do. What is counted for 200 rounds is taken off what is counted
for 1 200. Build each checkout first: `python setup.py build_ext --inplace`; else its sources are counted.
"""

import argparse
import contextlib
import functools
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
FEW, MANY = 200, 1200
STOP_SECONDS = 120.0
PAYLOAD = b"x" * 32
SAY = b'{"type":"Say","room":"the cave","text":"a message that is as long as most of a chat"}'
PING = b"\x89\x00"
MESSAGE = b"\x81" + bytes((0x80 | len(PAYLOAD),)) + bytes(4) + PAYLOAD
CLOSE = b"\x88\x82" + bytes(4) + b"\x03\xe8"
HANDSHAKE = (
    b"GET /web_socket HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)


@dataclass(frozen=True)
class Row:
    """A kind of work.

    Args:
        server: the program in `servers`.
        arguments: those of the program.
        work: does so many rounds of it, given what makes a connection.
        each: messages in a round.
    """

    server: str
    arguments: tuple[str, ...]
    work: Callable[[Callable[[], socket.socket], int], None]
    each: int


def echo(in_flight: int, *arguments: str, payload: bytes = PAYLOAD) -> Row:
    """Return so many messages at once, and wait for all their echoes, again and again."""
    echoes = (b"\x81" + bytes((len(payload),)) + payload) * in_flight
    message = b"\x81" + bytes((0x80 | len(payload),)) + bytes(4) + payload

    def work(connect: Callable[[], socket.socket], rounds: int) -> None:
        with connect() as client:
            for _ in range(rounds):
                client.sendall(message * in_flight)
                assert receive(client, len(echoes)) == echoes

    return Row("gws_echo", arguments, work, in_flight)


def broadcast(count: int) -> Row:
    """Return one client's message to everybody, again and again."""
    said = b"\x81" + bytes((len(PAYLOAD),)) + PAYLOAD

    def work(connect: Callable[[], socket.socket], rounds: int) -> None:
        with contextlib.ExitStack() as stack:
            clients = [stack.enter_context(connect()) for _ in range(count)]
            for _ in range(rounds):
                clients[0].sendall(MESSAGE)
                for client in clients:
                    assert receive(client, len(said)) == said

    return Row("gws_broadcast", (), work, count)


def handshakes() -> Row:
    """Return a connection that is made and closed, again and again."""

    def work(connect: Callable[[], socket.socket], rounds: int) -> None:
        for _ in range(rounds):
            with connect() as client:
                client.sendall(CLOSE)
                while client.recv(4096):
                    pass

    return Row("gws_echo", (), work, 1)


ROWS = {
    "echo, 1 in flight": echo(1),
    "echo, 16 in flight": echo(16),
    "async def, 1 in flight": echo(1, "async"),
    "async def, 16 in flight": echo(16, "async"),
    "teardown function, 1 in flight": echo(1, "teardown"),
    "teardown function, 16 in flight": echo(16, "teardown"),
    "teardown function, async def, 16 in flight": echo(16, "async", "teardown"),
    "receive loop, 1 in flight": echo(1, "loop"),
    "receive loop, 16 in flight": echo(16, "loop"),
    "receive loop, async def, 1 in flight": echo(1, "loop", "async"),
    "receive loop, async def, 16 in flight": echo(16, "loop", "async"),
    "json.loads and dumps, 16 in flight": echo(16, "loads", payload=SAY),
    "typed message, 16 in flight": echo(16, "typed", payload=SAY),
    "broadcast to 50, each delivery": broadcast(50),
    "handshake and close": handshakes(),
}


def main() -> int:
    parser = argparse.ArgumentParser(description="Count the instructions of gws for each message.")
    parser.add_argument("folders", nargs="*", type=Path, default=[HERE.parent], help="checkouts of gws")
    parser.add_argument("--rows", default=".", help="a regular expression")
    options = parser.parse_args()
    if shutil.which("valgrind") is None:
        print("valgrind is not installed: apt-get install valgrind")
        return 1
    for name, row in ROWS.items():
        if re.search(options.rows, name):
            found = [per_message(folder.resolve(), row) for folder in options.folders]
            ratio = f"  {(found[-1] / found[0] - 1) * 100:+.1f} %" if len(found) > 1 else ""
            print(f"{name:<45}" + "".join(f"{count:>10,.0f}" for count in found) + ratio, flush=True)
    return 0


def per_message(folder: Path, row: Row) -> float:
    """Return the instructions that one message more costs."""
    few, many = (count(folder, row, rounds) for rounds in (FEW, MANY))
    return (many - few) / (MANY - FEW) / row.each


def count(folder: Path, row: Row, rounds: int) -> int:
    """Return the instructions of a server from its start to its end, with so many rounds of messages."""
    with tempfile.TemporaryDirectory() as scratch:
        out = Path(scratch) / "callgrind.out"
        server = subprocess.Popen(
            [
                *("valgrind", "--tool=callgrind", "--quiet", f"--callgrind-out-file={out}"),
                *(
                    sys.executable,
                    str(HERE / "servers" / f"{row.server}.py"),
                    "127.0.0.1",
                    "0",
                    *row.arguments,
                ),
            ],
            cwd=scratch,
            # Without the seed of hashes, dicts and sets would differ from run to run.
            env=os.environ | {"PYTHONPATH": str(folder), "PYTHONHASHSEED": "0"},
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            port = find_port(server)
            assert server.stderr is not None
            # Its access log would fill the pipe.
            threading.Thread(target=server.stderr.read, daemon=True).start()
            row.work(functools.partial(connect, port), rounds)
            server.send_signal(signal.SIGTERM)
            server.wait(STOP_SECONDS)
        finally:
            server.kill()
            server.wait()
        found = re.search(r"^(?:totals|summary): (\d+)", out.read_text(), re.MULTILINE)
        assert found
        return int(found[1])


def find_port(server: subprocess.Popen[str]) -> int:
    """Return where the server listens, once it has said so."""
    assert server.stderr is not None
    for line in server.stderr:
        if found := re.search(r"gws listens on http://127\.0\.0\.1:(\d+)", line):
            return int(found[1])
    raise RuntimeError("the server did not start")


def connect(port: int) -> socket.socket:
    """Return an open WebSocket."""
    client = socket.create_connection(("127.0.0.1", port), timeout=STOP_SECONDS)
    client.sendall(HANDSHAKE)
    answer = b""
    while not answer.endswith(b"\r\n\r\n"):
        answer += client.recv(1)
    assert answer.startswith(b"HTTP/1.1 101 "), answer
    return client


def receive(client: socket.socket, size: int) -> bytes:
    """Return so many bytes that are no ping: under valgrind it takes longer than the keepalive waits."""
    received = b""
    while len(received) < size:
        received = (received + client.recv(65536)).replace(PING, b"")
    return received


if __name__ == "__main__":
    sys.exit(main())
