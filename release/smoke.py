"""An installed gws serves: `python release/smoke.py compiled`, or `pure`, in an environment that has gws and no more.

The sources must not be in the way, so this is run as a file, and imports nothing that stands beside it.
"""

from __future__ import annotations

import re
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

from websockets.sync.client import connect

import gws

APP = """
import gws

app = gws.App(__name__)

@app.websocket("/echo")
def echo(ws):
    while True:
        ws.send(ws.receive())
"""
MESSAGES = ("hello", b"\x00\xff", "\N{SNOWMAN}" * 30_000)
"""A text, bytes, and 90 000 bytes, whose length takes eight bytes of a frame's head (RFC 6455, section 5.2)."""
DEADLINE = 20
"""Seconds for anything; reaching it is a failure."""
GWS = str(Path(sysconfig.get_path("scripts")) / "gws")
"""The command that the wheel brings."""


def main(way: str) -> None:
    """Check what was installed, its command, and a server that answers."""
    assert gws.is_compiled is (way == "compiled"), f"gws is compiled: {gws.is_compiled}; this should be {way}"
    print(
        subprocess.run([GWS, "version"], check=True, capture_output=True, text=True, timeout=DEADLINE).stdout
    )
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "echoing.py").write_text(APP)
        serve_and_talk(folder)
    print(f"gws at {Path(str(gws.__file__)).parent} serves")


def serve_and_talk(folder: str) -> None:
    """Run the application as production does, and hear what is said to it."""
    command = [GWS, "run", "echoing:app", "--port", "0"]
    with subprocess.Popen(command, cwd=folder, stderr=subprocess.PIPE, text=True) as server:
        try:
            talk(port_of(server))
            server.terminate()
            assert server.wait(DEADLINE) == 0, f"the server ended with {server.returncode}, not 0"
        finally:
            server.kill()


def port_of(server: subprocess.Popen[str]) -> int:
    """Return where it listens, as it says."""
    assert server.stderr
    said = ""
    for line in server.stderr:
        said += line
        if found := re.search(r"listens on http://[\d.]+:(\d+)", line):
            return int(found[1])
    raise AssertionError(f"the server ended before it listened:\n{said}")


def talk(port: int) -> None:
    """Send messages, and get each of them back."""
    with connect(f"ws://127.0.0.1:{port}/echo", open_timeout=DEADLINE, proxy=None) as client:
        for message in MESSAGES:
            client.send(message)
            answer = client.recv(timeout=DEADLINE)
            assert answer == message, f"{message[:20]!r} came back as {answer[:20]!r}"


if __name__ == "__main__":
    main(sys.argv[1])
