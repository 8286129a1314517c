"""One run of the Autobahn testsuite's fuzzing client against one server."""

from __future__ import annotations

import ast
import json
import re
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from . import python2

# Nothing calls Twisted's TLS over ws://, but it is imported, and would want pyOpenSSL and with it cryptography, of
# which PyPy has no wheel.
_WSTEST: Final = """
import sys, types, twisted.internet
twisted.internet.ssl = sys.modules["twisted.internet.ssl"] = types.ModuleType("ssl")
from autobahntestsuite.wstest import run
run()
"""


class FuzzingError(Exception):
    """The fuzzing client did not come to its end; the message has its last line."""


def run(
    python: str,
    agent: str,
    url: str,
    cases: Sequence[str],
    excluded: Sequence[str],
    folder: Path,
    seconds: float,
) -> list[str]:
    """Run cases, and leave the reports on them in a folder.

    Args:
        python: the Python that has the testsuite.
        agent: what the reports call the server.
        url: the server's WebSocket.
        cases: patterns such as "9.*".
        excluded: patterns of cases not to run.
        folder: where the reports go, and its specification and log.
        seconds: how long it may take.

    Returns:
        The cases that it set out to run. One that it broke off has no report.

    Raises:
        FuzzingError: it failed, or took too long.
    """
    spec, log = folder / "spec.json", folder / "wstest.log"
    servers = [{"agent": agent, "url": url}]
    spec.write_text(
        json.dumps({"outdir": str(folder), "servers": servers, "cases": cases, "exclude-cases": excluded})
    )
    ending = _run([python, "-u", "-c", _WSTEST, "-m", "fuzzingclient", "-s", str(spec)], log, seconds)
    said = log.read_text(errors="replace")
    announced = re.search(r"^Cases = (\[.*\])$", said, re.MULTILINE)
    if ending or not announced:
        last = said.strip().rpartition("\n")[2]
        raise FuzzingError(f"the fuzzing client {ending or 'ran no case'}; its last line: {last}")
    return [str(case) for case in ast.literal_eval(announced[1])]


def _run(command: Sequence[str], log: Path, seconds: float) -> str:
    """Run to the end, and say what was wrong with that."""
    with log.open("w") as output:
        try:
            ended = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                timeout=seconds,
                env=python2.environment(),
                check=False,
            )
        except subprocess.TimeoutExpired:
            return f"took more than {seconds:.0f} seconds"
    return f"ended with status {ended.returncode}" if ended.returncode != 0 else ""
