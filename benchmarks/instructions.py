"""How many instructions a message costs gws: `python benchmarks/instructions.py [FOLDER ...]`, a checkout each.

valgrind's callgrind counts those of the server's process in user space, which are the same in every run, where CPU time
varies by 15 % and more on a machine with other work to do. What is counted for 200 rounds is taken off what is counted
for 1 200. Build each checkout first: `python setup.py build_ext --inplace`; else its sources are counted.
"""

import argparse
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

HERE = Path(__file__).parent
ROWS: dict[str, tuple[int, tuple[str, ...]]] = {
    "echo, 1 in flight": (1, ()),
    "echo, 16 in flight": (16, ()),
    "async def, 1 in flight": (1, ("async",)),
    "async def, 16 in flight": (16, ("async",)),
    "teardown function, 1 in flight": (1, ("teardown",)),
    "teardown function, 16 in flight": (16, ("teardown",)),
    "teardown function, async def, 16 in flight": (16, ("async", "teardown")),
}
FEW, MANY = 200, 1200
STOP_SECONDS = 120.0
PAYLOAD = b"x" * 32
PING = b"\x89\x00"
HANDSHAKE = (
    b"GET /web_socket HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)


def main() -> int:
    parser = argparse.ArgumentParser(description="Count the instructions of gws for each message.")
    parser.add_argument("folders", nargs="*", type=Path, default=[HERE.parent], help="checkouts of gws")
    parser.add_argument("--rows", default=".", help="a regular expression")
    options = parser.parse_args()
    if shutil.which("valgrind") is None:
        print("valgrind is not installed: apt-get install valgrind")
        return 1
    for name, (in_flight, arguments) in ROWS.items():
        if re.search(options.rows, name):
            found = [per_message(folder.resolve(), in_flight, arguments) for folder in options.folders]
            ratio = f"  {(found[-1] / found[0] - 1) * 100:+.1f} %" if len(found) > 1 else ""
            print(f"{name:<45}" + "".join(f"{count:>10,.0f}" for count in found) + ratio, flush=True)
    return 0


def per_message(folder: Path, in_flight: int, arguments: Sequence[str]) -> float:
    """Return the instructions that one message more costs."""
    few, many = (count(folder, in_flight, arguments, rounds) for rounds in (FEW, MANY))
    return (many - few) / (MANY - FEW) / in_flight


def count(folder: Path, in_flight: int, arguments: Sequence[str], rounds: int) -> int:
    """Return the instructions of a server from its start to its end, with so many rounds of messages."""
    with tempfile.TemporaryDirectory() as scratch:
        out = Path(scratch) / "callgrind.out"
        server = subprocess.Popen(
            [
                *("valgrind", "--tool=callgrind", "--quiet", f"--callgrind-out-file={out}"),
                *(sys.executable, str(HERE / "servers" / "gws_echo.py"), "127.0.0.1", "0", *arguments),
            ],
            cwd=scratch,
            # Without the seed of hashes, dicts and sets would differ from run to run.
            env=os.environ | {"PYTHONPATH": str(folder), "PYTHONHASHSEED": "0"},
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            with connect(server) as client:
                talk(client, in_flight, rounds)
            server.send_signal(signal.SIGTERM)
            server.wait(STOP_SECONDS)
        finally:
            server.kill()
            server.communicate()
        found = re.search(r"^(?:totals|summary): (\d+)", out.read_text(), re.MULTILINE)
        assert found
        return int(found[1])


def connect(server: subprocess.Popen[str]) -> socket.socket:
    """Return an open WebSocket, once the server has said where it listens."""
    assert server.stderr is not None
    for line in server.stderr:
        found = re.search(r"gws listens on http://127\.0\.0\.1:(\d+)", line)
        if found:
            break
    else:
        raise RuntimeError("the server did not start")
    client = socket.create_connection(("127.0.0.1", int(found[1])), timeout=STOP_SECONDS)
    client.sendall(HANDSHAKE)
    answer = b""
    while not answer.endswith(b"\r\n\r\n"):
        answer += client.recv(1)
    assert answer.startswith(b"HTTP/1.1 101 "), answer
    return client


def talk(client: socket.socket, in_flight: int, rounds: int) -> None:
    """Send so many messages at once, and wait for all their echoes, again and again."""
    mask = struct.pack("!I", 0)
    batch = (b"\x81" + bytes((0x80 | len(PAYLOAD),)) + mask + PAYLOAD) * in_flight
    echoes = (b"\x81" + bytes((len(PAYLOAD),)) + PAYLOAD) * in_flight
    for _ in range(rounds):
        client.sendall(batch)
        received = b""
        while len(received) < len(echoes):
            # Under valgrind it takes longer than the keepalive waits.
            received = (received + client.recv(65536)).replace(PING, b"")
        assert received == echoes


if __name__ == "__main__":
    sys.exit(main())
