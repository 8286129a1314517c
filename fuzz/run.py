"""Fuzzes one target with atheris: `python -m fuzz.run messages -max_total_time=60`.

What reaches a new place is added to fuzz/corpus; what fails ends the run, and is left in fuzz/corpus as well, where the
tests find it until it is mended.
"""

from __future__ import annotations

import sys
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["gws", "websockets"]):
    from fuzz.targets import TARGETS

CORPUS = Path(__file__).parent / "corpus"


def main(target: str, *options: str) -> None:
    """Fuzz until the time is over.

    Args:
        target: one of `TARGETS`.
        options: libFuzzer's, such as "-max_total_time=60".
    """
    folder = CORPUS / target
    folder.mkdir(parents=True, exist_ok=True)
    words = Path(__file__).parent / f"{target}.dict"
    dictionary = [f"-dict={words}"] if words.exists() else []
    ours = [*dictionary, f"-artifact_prefix={folder}/", "-max_len=4096", str(folder)]
    atheris.Setup([sys.argv[0], *options, *ours], TARGETS[target])
    atheris.Fuzz()


if __name__ == "__main__":
    main(*sys.argv[1:])
