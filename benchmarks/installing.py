"""Installs the peers when they are first needed: those in Python into benchmarks/.venv, Node's into node_modules.

They have a virtualenv of their own so that their pinned dependencies and gws's cannot get in each other's way.
"""

import json
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
VENV = HERE / ".venv"
PYTHON = VENV / "bin" / "python"
CONSTRAINTS = HERE / "requirements.txt"
PACKAGES = HERE / "package.json"
INSTALL_SECONDS = 600  # A peer without a wheel for this Python is compiled, or given up.


class NotAvailableError(Exception):
    """A server that cannot be measured here; the message says why."""


def install_python(peer: str, requirements: tuple[str, ...]) -> None:
    """Have these in the virtualenv, in the versions of requirements.txt; what is already so is left as it is."""
    wanted = "\n".join([*requirements, CONSTRAINTS.read_text()])
    stamp = VENV / f"{peer}.installed"
    if stamp.exists() and stamp.read_text() == wanted:
        return
    if not PYTHON.exists():
        _must([sys.executable, "-m", "venv", str(VENV)])
    pip = [str(PYTHON), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--prefer-binary"]
    _must([*pip, "--constraint", str(CONSTRAINTS), *requirements])
    stamp.write_text(wanted)


def install_node() -> None:
    """Have what package.json says."""
    if shutil.which("npm") is None:
        raise NotAvailableError("there is no npm; on Debian: apt-get install nodejs npm")
    for name, version in json.loads(PACKAGES.read_text())["dependencies"].items():
        installed = HERE / "node_modules" / name / "package.json"
        if not installed.exists() or json.loads(installed.read_text())["version"] != version:
            _must(["npm", "install", "--prefix", str(HERE), "--no-package-lock", "--no-audit", "--no-fund"])


def run(
    command: list[str], seconds: float, environment: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run to the end; what cannot start or takes too long counts as failed and says so on its stderr."""
    try:
        return subprocess.run(
            command, capture_output=True, text=True, timeout=seconds, env=environment, cwd=HERE, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return subprocess.CompletedProcess(command, 1, "", str(error))


def complaint(ended: subprocess.CompletedProcess[str]) -> str:
    """Return the line that says what went wrong: pip's first error, or else the last of all."""
    lines = ended.stderr.strip().splitlines() or [f"exit status {ended.returncode}"]
    return next((line for line in lines if line.startswith("ERROR")), lines[-1])


def _must(command: list[str]) -> None:
    ended = run(command, INSTALL_SECONDS)
    if ended.returncode != 0:
        raise NotAvailableError(complaint(ended))
