"""What fuzzing has found to reach a place of its own (`make fuzz`), and what once failed, stays mended."""

from __future__ import annotations

from pathlib import Path

import pytest

from fuzz.targets import TARGETS

CORPUS = Path(__file__).parents[2] / "fuzz" / "corpus"


@pytest.mark.parametrize("target", TARGETS)
def test_nothing_that_was_found_fails(target: str) -> None:
    found = sorted((CORPUS / target).iterdir())
    assert len(found) > 20
    for path in found:
        try:
            TARGETS[target](path.read_bytes())
        except Exception as error:
            raise AssertionError(f"{path} fails") from error
