"""The sdist is the repository: whoever unpacks it can read it, run it and test it."""

from __future__ import annotations

import email
import os
import re
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
BUILD = "import sys; from setuptools import build_meta; build_meta.build_sdist(sys.argv[1])"


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> tarfile.TarFile:
    folder = tmp_path_factory.mktemp("sdist")
    subprocess.run([sys.executable, "-c", BUILD, str(folder)], cwd=ROOT, check=True, capture_output=True)
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


def test_it_has_every_file_that_somebody_has_written(sdist: tarfile.TarFile) -> None:
    shipped = {name.partition("/")[2] for name in sdist.getnames()}
    assert sources() - shipped == set()


def test_it_has_nothing_that_was_made_of_them(sdist: tarfile.TarFile) -> None:
    made = [name for name in sdist.getnames() if re.search(r"\.so$|\.pyc$|/\.venv/|node_modules", name)]
    assert made == []


def test_its_page_has_no_link_to_a_file_that_an_index_does_not_have(sdist: tarfile.TarFile) -> None:
    (name,) = (name for name in sdist.getnames() if name.count("/") == 1 and name.endswith("/PKG-INFO"))
    file = sdist.extractfile(name)
    assert file
    page = str(email.message_from_bytes(file.read()).get_payload())
    assert "# gws" in page
    targets = re.findall(r"\]\(([^)]+)\)", page)
    assert [target for target in targets if not target.startswith(("https://", "#"))] == []
