"""What GitHub runs when a change or a tag comes, which no test here can run: its files are right and agree."""

from __future__ import annotations

import configparser
import itertools
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("cibuildwheel", reason="cibuildwheel and check-jsonschema need Python 3.11")
from ruamel.yaml import YAML

ROOT = Path(__file__).parent.parent
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


def load(path: Path) -> Any:
    return YAML(typ="safe", pure=True).load(path)


def module(name: str, *arguments: str) -> str:
    """Run a module as a program, and return what it printed."""
    done = subprocess.run(
        [sys.executable, "-m", name, *arguments],
        cwd=ROOT,
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def classifiers() -> list[str]:
    """Return the Pythons that the page on the index names."""
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg")
    return re.findall(r"Python :: (3\.\d+)$", parser["metadata"]["classifiers"], re.MULTILINE)


def test_they_are_as_the_schema_of_github_has_them() -> None:
    assert [path.name for path in WORKFLOWS] == ["tests.yml", "wheels.yml"]
    module("check_jsonschema", "--builtin-schema", "vendor.github-workflows", *map(str, WORKFLOWS))


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_an_action_is_the_commit_that_was_reviewed(path: Path) -> None:
    used = [step["uses"] for job in load(path)["jobs"].values() for step in job["steps"] if "uses" in step]
    assert used
    assert [action for action in used if not re.fullmatch(r"[\w.-]+/[\w.-]+@[0-9a-f]{40}", action)] == []


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_only_the_job_that_publishes_gets_a_token(path: Path) -> None:
    workflow = load(path)
    assert workflow["permissions"] == {"contents": "read"}
    allowed = {name: job["permissions"] for name, job in workflow["jobs"].items() if "permissions" in job}
    assert allowed == ({"publish": {"id-token": "write"}} if path.stem == "wheels" else {})


def test_a_tag_publishes_what_all_jobs_have_built() -> None:
    workflow = load(ROOT / ".github/workflows/wheels.yml")
    jobs = workflow["jobs"]
    # YAML 1.2 has `on` for a string.
    assert workflow["on"]["push"] == {"tags": ["v*"]}
    assert jobs["publish"]["if"] == "startsWith(github.ref, 'refs/tags/v')"
    assert jobs["publish"]["environment"] == "pypi"
    assert {*jobs["publish"]["needs"]} == {*jobs} - {"publish"}


def test_each_python_of_the_classifiers_is_tested_both_ways() -> None:
    matrix = load(ROOT / ".github/workflows/tests.yml")["jobs"]["python"]["strategy"]["matrix"]
    assert matrix == {"python": classifiers(), "way": ["pure", "compiled"]}
    makefile = (ROOT / "Makefile").read_text()
    assert all(f"\n{way}-quick:" in makefile for way in matrix["way"])
    minors = " ".join(version.partition(".")[2] for version in classifiers())
    assert f"for minor in {minors};" in makefile


@pytest.mark.parametrize(
    ("platform", "machine", "systems"),
    [
        ("linux", "x86_64", ["manylinux", "musllinux"]),
        ("linux", "aarch64", ["manylinux", "musllinux"]),
        ("macos", "x86_64", ["macosx"]),
        ("macos", "arm64", ["macosx"]),
    ],
)
def test_each_system_gets_a_wheel_for_each_python(platform: str, machine: str, systems: list[str]) -> None:
    printed = module("cibuildwheel", "--platform", platform, "--archs", machine, "--print-build-identifiers")
    tags = [f"cp{version.replace('.', '')}" for version in classifiers()]
    assert {*printed.split()} == {
        f"{tag}-{system}_{machine}" for tag, system in itertools.product(tags, systems)
    }
