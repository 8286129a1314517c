"""A Python 2.7 of this machine, with the Autobahn testsuite in a virtualenv of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

_HERE: Final = Path(__file__).resolve().parent
_BUILD: Final = _HERE / ".build"
_REQUIREMENTS: Final = _HERE / "requirements.txt"
_VIRTUALENV: Final = "virtualenv==20.21.1"
"""The last that makes environments of Python 2.7."""
_LOOK_SECONDS: Final = 20.0
_INSTALL_SECONDS: Final = 120.0
"""For one step: where there is no wheel, a compiler runs."""


class InstallError(Exception):
    """The testsuite could not be installed; the message says which step failed, and why."""


def find() -> str | None:
    """Return the command of a Python 2.7: on the PATH, pyenv's, or Debian's PyPy where apt may install it."""
    return next(filter(_is_python2, _candidates()), None)


def environment() -> dict[str, str]:
    """Return the variables to run it with: what is set for the Python that runs this is not meant for another one."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}


def _candidates() -> Iterator[str]:
    yield from filter(None, map(shutil.which, ("python2.7", "python2", "pypy", "pypy2")))
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    for version in ("2.7*", "pypy2.7*"):
        yield from map(str, sorted(pyenv.glob(f"versions/{version}/bin/python"), reverse=True))
    if shutil.which("apt-get") and os.geteuid() == 0:
        _run(["apt-get", "update", "-qq"], _INSTALL_SECONDS)
        _run(["apt-get", "install", "-y", "-qq", "--no-install-recommends", "pypy"], _INSTALL_SECONDS)
        yield from filter(None, [shutil.which("pypy")])


def _is_python2(command: str) -> bool:
    """Whether it runs as one: a command of pyenv's may only say that no version is chosen."""
    look = [command, "-c", "import sys; sys.exit(sys.version_info[:2] != (2, 7))"]
    return _run(look, _LOOK_SECONDS).returncode == 0


def install_testsuite(python2: str) -> str:
    """Make the testsuite's virtualenv what requirements.txt says; one that is already so is left as it is.

    Returns:
        The Python of that virtualenv.

    Raises:
        InstallError: some of it cannot be installed.
    """
    virtualenv, testsuite = _BUILD / "virtualenv", _BUILD / "testsuite"
    stamp = testsuite / "installed.txt"
    wanted = f"# {python2}\n{_REQUIREMENTS.read_text()}"
    python = str(testsuite / "bin" / "python")
    if stamp.exists() and stamp.read_text() == wanted:
        return python
    print("Installing the Autobahn testsuite into compliance/.build, once.", file=sys.stderr, flush=True)
    pip = ["-m", "pip", "--quiet", "--disable-pip-version-check", "install"]
    steps = (
        [sys.executable, "-m", "venv", "--clear", str(virtualenv)],
        [str(virtualenv / "bin" / "python"), *pip, _VIRTUALENV],
        [str(virtualenv / "bin" / "virtualenv"), "--quiet", "--clear", "-p", python2, str(testsuite)],
        [python, *pip, "--no-deps", "-r", str(_REQUIREMENTS)],
    )
    for step in steps:
        ended = _run(step, _INSTALL_SECONDS)
        if ended.returncode != 0:
            said = " / ".join(ended.stderr.strip().splitlines()[-3:])
            raise InstallError(f"{' '.join(step)} ended with status {ended.returncode}: {said}")
    stamp.write_text(wanted)
    return python


def _run(command: Sequence[str], seconds: float) -> subprocess.CompletedProcess[str]:
    """Run to the end; what cannot start or takes too long counts as failed, and says so on its stderr."""
    try:
        return subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=seconds,
            env=environment(),
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return subprocess.CompletedProcess(command, 1, "", str(error))
