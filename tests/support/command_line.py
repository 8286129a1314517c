"""Runs `gws` as a shell does."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

from .harness import ROOT
from .program import DEADLINE, Program

APP = """
import os, time
from flask import Flask
import gws

VERSION = 1
app = Flask(__name__)
websocket = gws.WebSocket(app, "/web_socket")

@websocket.on("connect")
def connect():
    return f"version {VERSION}"

@websocket.on("message")
def message(msg):
    return msg

@app.get("/")
def index():
    return f"{VERSION} {os.getpid()} {time.sleep.__module__}"
"""
"""An application that does not patch itself."""


def gws_command(*arguments: str, without: str = "") -> list[str]:
    """Return what a shell would run; `without` is a package that this program does not find."""
    script = (
        f"import sys; sys.modules[{without!r}] = None; from gws.cli.main import main; main(prog_name='gws')"
    )
    return [sys.executable, "-W", "error", *(["-c", script] if without else ["-m", "gws"]), *arguments]


def environment() -> dict[str, str]:
    """Return the variables of a user who has set nothing for gws, and does not write into his home."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("FLASK_", "GWS_BACK"))}
    return kept | {"PYTHONPATH": str(ROOT), "XDG_STATE_HOME": "/nonexistent"}


def run_gws(
    *arguments: str, typed: str = "", folder: Path | None = None, without: str = ""
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end, with a pipe for each of its streams."""
    return subprocess.run(
        gws_command(*arguments, without=without),
        input=typed,
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
        env=environment(),
        timeout=2 * DEADLINE,
    )


class Running(Program):
    """`gws run` in a folder with an application of its own.

    Args:
        folder: gets `app.py`.
        arguments: those behind `gws run`.
        source: the application.
        without: a package that the command does not find.
        command: what to run in place of `gws run`.
    """

    def __init__(
        self,
        folder: Path,
        *arguments: str,
        source: str = APP,
        without: str = "",
        command: list[str] | None = None,
    ) -> None:
        self.app = folder / "app.py"
        self.app.write_text(textwrap.dedent(source))
        start = gws_command("run", without=without) if command is None else command
        # Between two ticks of a clock a file's time would not change, and nor would its size.
        super().__init__([*start, "--port", "0", *arguments], folder, environment=environment())

    def url(self, path: str = "/web_socket") -> str:
        """Return the address of a WebSocket."""
        return f"{'wss' if self.tls else 'ws'}://{self.address}{path}"

    def change(self, old: str, new: str) -> None:
        """Change the application's source, as an editor does: at once."""
        changed = self.app.with_suffix(".new")
        changed.write_text(self.app.read_text().replace(old, new))
        changed.replace(self.app)
