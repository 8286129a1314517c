"""`python -m gws version`, and what a server says of modules that are not compiled."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import gws

from .conftest import StartServer
from .support.program import DEADLINE

WHY_NOT = "gws runs its sources, which are slower: GWS_PURE_PYTHON is set"


def say_version(**environment: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "gws", "version"],
        env=os.environ | environment,
        check=True,
        capture_output=True,
        text=True,
        timeout=DEADLINE,
    )
    assert done.stderr == ""
    return done.stdout.splitlines()


def test_it_says_what_runs_and_why_it_is_not_compiled() -> None:
    lines = say_version(GWS_PURE_PYTHON="1")
    assert lines[0] == f"gws {gws.__version__}, not compiled: GWS_PURE_PYTHON is set"
    assert lines[1].startswith(f"Python {platform.python_version()} on ")
    assert any(line.startswith("gevent ") for line in lines)


def test_it_says_what_is_compiled_or_how_to_have_it_compiled() -> None:
    (first, *_) = say_version(GWS_PURE_PYTHON="")
    assert first.endswith(", compiled") or "pip's --force-reinstall --no-deps --no-cache-dir" in first


def test_a_server_says_once_at_debug_that_it_runs_the_sources(start_server: StartServer) -> None:
    assert os.environ.get("GWS_PURE_PYTHON"), "the tests run the sources"
    quiet = start_server("echo")
    talkative = start_server("echo", values={"log_format": "%(message)s", "log_levels": {"gws": "DEBUG"}})
    talkative.get("/vitals")
    assert talkative.log().count(WHY_NOT) == 1
    assert WHY_NOT not in quiet.log()
