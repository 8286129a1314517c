"""The sdist is the repository: whoever unpacks it can read it, run it and test it."""

from __future__ import annotations

import email
import os
import re
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MADE = re.compile(
    r"\.venv|\.git|\.build|build|dist|node_modules|__pycache__|\.[a-z]+_cache|\.hypothesis|\.coverage.*|.+\.egg-info"
    r"|PKG-INFO|instance|.+\.so"
)
"""What is made of the sources; in a checkout git ignores it."""
ADDED = re.compile(r"PKG-INFO$|gevent_gws\.egg-info/")
"""What setuptools adds."""
LITTER = (
    "gws/protocol/frames.cpython-311-x86_64-linux-gnu.so",
    "gws/protocol/__pycache__/frames.cpython-311.pyc",
    "benchmarks/.build/load",
    "benchmarks/.venv/bin/python",
    "benchmarks/node_modules/ws/index.js",
    "compliance/.build/testsuite/bin/python",
    "compliance/.build/testsuite/lib/site.py",
    "tests/end_to_end/clients/node_modules/ws/index.js",
    "docs/.mypy_cache/3.11/gws.json",
    "tests/.pytest_cache/README.md",
    "fuzz/.hypothesis/unicode.gz",
    "tests/.coverage",
)
"""What a checkout has in which everything has been run."""
BUILD = "import sys; from setuptools import build_meta; build_meta.build_sdist(sys.argv[1])"


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> tarfile.TarFile:
    """Return the sdist of a checkout in which everything has been run."""
    checkout, folder = tmp_path_factory.mktemp("checkout"), tmp_path_factory.mktemp("sdist")
    for name in sources():
        target = checkout / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, target)
    for name in LITTER:
        target = checkout / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text("made, not written\n")
    subprocess.run([sys.executable, "-c", BUILD, str(folder)], cwd=checkout, check=True, capture_output=True)
    (path,) = folder.glob("*.tar.gz")
    return tarfile.open(path)


def sources() -> set[str]:
    """Every file that somebody has written."""
    found = set()
    for folder, folders, files in os.walk(ROOT):
        folders[:] = [name for name in folders if not MADE.fullmatch(name)]
        inside = Path(folder).relative_to(ROOT)
        found |= {(inside / name).as_posix() for name in files if not MADE.fullmatch(name)}
    return found


def test_it_has_every_file_that_somebody_has_written_and_no_other(sdist: tarfile.TarFile) -> None:
    shipped = {member.name.partition("/")[2] for member in sdist.getmembers() if member.isfile()}
    assert {name for name in shipped if not ADDED.match(name)} == sources()


def test_its_page_has_no_link_to_a_file_that_an_index_does_not_have(sdist: tarfile.TarFile) -> None:
    (name,) = (name for name in sdist.getnames() if name.count("/") == 1 and name.endswith("/PKG-INFO"))
    file = sdist.extractfile(name)
    assert file
    page = str(email.message_from_bytes(file.read()).get_payload())
    assert "# gws" in page
    targets = re.findall(r"\]\(([^)]+)\)", page)
    assert [target for target in targets if not target.startswith(("https://", "#"))] == []
