"""The wheels: with a C compiler, without one, without Python's headers; each installed where nothing else is."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
TOOLS = str(Path(sys.executable).parent)
"""Where the programs of the extra `release` are."""
SMOKE = ROOT / "release" / "smoke.py"
MAX_OBJECTS = 2_000_000
"""Bytes of what is compiled; with what a debugger wants it would be 6 600 000."""


def run(*command: str, **environment: str) -> str:
    """Run a program to its end, and return what it printed."""
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
        # Not where the sources are, which Python would take instead of what is installed.
        cwd=Path(command[0]).parent,
        env=os.environ | environment,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return done.stdout


@pytest.fixture(scope="module")
def sdist() -> Path:
    """Return what `make package` has built."""
    (found,) = (ROOT / "dist").glob("*.tar.gz")
    return found


def build_wheel(sdist: Path, folder: Path, **environment: str) -> Path:
    """Build a wheel as pip does where there is none for the machine."""
    run(
        *(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-cache-dir"),
        *("--wheel-dir", str(folder), str(sdist)),
        **environment,
    )
    (found,) = folder.glob("*.whl")
    return found


def install(wheel: Path, folder: Path, way: str) -> str:
    """Install it into an empty environment without a compiler; it serves there. Return what it says of itself."""
    run(sys.executable, "-m", "venv", str(folder))
    python = str(folder / "bin" / "python")
    alone = {"PATH": str(folder / "bin"), "CC": "/bin/false", "GWS_PURE_PYTHON": ""}
    assert shutil.which("cc", path=alone["PATH"]) is None
    run(
        *(python, "-m", "pip", "install", "--quiet", "--no-cache-dir", "--only-binary=:all:", str(wheel)),
        **alone,
    )
    run(python, "-c", "import gws; gws.WebSocket(gws.App('app'), '/x')", **alone)
    return run(python, str(SMOKE), way, **alone)


def objects_in(wheel: Path) -> list[zipfile.ZipInfo]:
    with zipfile.ZipFile(wheel) as archive:
        return [file for file in archive.infolist() if file.filename.endswith(".so")]


@pytest.fixture(scope="module")
def built() -> Path:
    """Return the wheel that `make wheel` has built, here where there is a compiler."""
    (found,) = (ROOT / "dist").glob("*.whl")
    return found


def test_the_built_wheel_is_for_this_machine_and_small(built: Path) -> None:
    tag = f"cp{sys.version_info.major}{sys.version_info.minor}"
    assert f"-{tag}-{tag}-" in built.name
    objects = objects_in(built)
    assert len(objects) == len([*(ROOT / "gws").rglob("*.pxd")])
    assert sum(file.file_size for file in objects) < MAX_OBJECTS


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no C libraries to choose from")
@pytest.mark.skipif(
    not shutil.which("patchelf", path=TOOLS), reason="auditwheel repairs nothing without patchelf"
)
def test_the_built_wheel_has_a_tag_that_an_index_takes(built: Path) -> None:
    assert "-linux_" not in built.name
    assert re.search(r"(many|musl)linux", built.name)
    assert "is consistent with the following platform tag" in run(
        str(Path(TOOLS) / "auditwheel"), "show", str(built)
    )


def test_the_built_wheel_serves_without_a_compiler(built: Path, tmp_path: Path) -> None:
    assert ", compiled\n" in install(built, tmp_path / "venv", "compiled")


def without_headers(folder: Path) -> str:
    """Make a compiler that does not find Python.h."""
    include = sysconfig.get_path("include")
    found = shutil.which("cc")
    assert found
    script = folder / "cc-without-headers"
    script.write_text(
        "#!/usr/bin/env bash\n"
        'for argument; do shift; case "$argument" in '
        f'-I{include}*) ;; *) set -- "$@" "$argument";; esac; done\n'
        f'exec {found} "$@"\n'
    )
    script.chmod(0o755)
    return str(script)


@pytest.mark.parametrize("lack", ["a compiler", "Python's headers", "the wish"])
def test_without_it_is_for_every_machine_and_says_why(sdist: Path, tmp_path: Path, lack: str) -> None:
    environment = {
        "a compiler": {"CC": "/bin/false"},
        "Python's headers": {"CC": without_headers(tmp_path)},
        "the wish": {"GWS_PURE_PYTHON": "1"},
    }[lack]
    wheel = build_wheel(sdist, tmp_path / "wheels", **environment)
    assert wheel.name.endswith("-py3-none-any.whl")
    assert objects_in(wheel) == []
    said = install(wheel, tmp_path / "venv", "pure")
    assert "not compiled: there was no C compiler" in said
    assert "--no-cache-dir" in said
