"""Run the Autobahn testsuite against gws: `python -m compliance.run`; README.md beside this file says more.

Exit status 0 when every case ended OK or INFORMATIONAL, close behaviour included.
"""

from __future__ import annotations

import argparse
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from . import fuzzing_client, python2, server
from .outcomes import Outcome, as_complaint, as_table, read_outcomes

ALL: Final = ("*",)
QUICK: Final = (
    *(f"{section}.*" for section in (1, 2, 3, 4, 5, 6, 7, 10)),
    # The largest messages, the smallest fragments and chops, the most roundtrips.
    *("9.1.6", "9.2.6", "9.3.1", "9.4.1", "9.5.1", "9.6.1", "9.7.1", "9.8.6"),
    # For each text and each offer, the smallest messages and fragmented ones.
    *(f"12.{text}.{size}" for text in range(1, 6) for size in (1, 11)),
    *(f"13.{offer}.{size}" for offer in range(1, 8) for size in (1, 11)),
)
WITH_COMPRESSION: Final = ("12.*", "13.*")
QUICK_SECONDS: Final = 300.0
"""For one way to run the server: what all of them together should take."""
ALL_SECONDS: Final = 3600.0
"""For one way: three times what it takes with compression on two cores."""


def main() -> int:
    """Find or make what is needed, run the cases each way, and tell."""
    options = _parse_arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # So that it ends its programs, as Ctrl-C does.
    interpreter = python2.find()
    if interpreter is None:
        print(
            "Compliance was not tested: the Autobahn testsuite needs Python 2.7, and there is none to be had here."
        )
        return 0 if options.quick else 1
    python = python2.install_testsuite(interpreter)
    folder = Path(tempfile.mkdtemp(prefix="gws-compliance-"))
    complaints, outcomes = [], []
    for way in options.ways:
        _say(f"Running the cases against {way}.")
        try:
            outcomes += _run_cases(python, way, folder / way, options)
        except (server.ServerError, fuzzing_client.FuzzingError) as error:
            complaints.append(f"{way}: {error}")
    complaints += [as_complaint(outcome) for outcome in outcomes if not outcome.is_good]
    print("\n".join([as_table(outcomes), *_omissions(options), *complaints]))
    if complaints:
        print(f"The testsuite's own reports are in {folder}.")
        return 1
    shutil.rmtree(folder)
    return 0


def _run_cases(python: str, way: str, folder: Path, options: argparse.Namespace) -> list[Outcome]:
    folder.mkdir()
    cases, seconds = (QUICK, QUICK_SECONDS) if options.quick else (ALL, ALL_SECONDS)
    excluded = () if _compresses(way, options) else WITH_COMPRESSION
    with server.running(way, folder / "server.log", compression=options.compression) as url:
        announced = fuzzing_client.run(python, way, url, cases, excluded, folder, seconds)
    return read_outcomes(folder, way, announced)


def _compresses(way: str, options: argparse.Namespace) -> bool:
    """Not with gevent-websocket's worker: its handler sends the 101, and agrees to no extension."""
    return bool(options.compression) and way != "geventwebsocket"


def _omissions(options: argparse.Namespace) -> Iterable[str]:
    for way in options.ways:
        if not _compresses(way, options):
            reason = "it negotiates no extensions" if options.compression else "compression is off"
            yield f"{way}: sections 12 and 13 were left out, {reason}."


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m compliance.run", description="Run the Autobahn testsuite against gws."
    )
    parser.add_argument("--ways", type=_ways, default=server.WAYS, help=f"some of {','.join(server.WAYS)}")
    parser.add_argument("--quick", action="store_true", help="sections 1 to 7 and 10, a sample of the others")
    parser.add_argument(
        "--compression", action="store_true", help="with permessage-deflate, sections 12 and 13"
    )
    return parser.parse_args()


def _ways(text: str) -> list[str]:
    ways = text.split(",")
    unknown = [way for way in ways if way not in server.WAYS]
    if unknown:
        raise argparse.ArgumentTypeError(f"{', '.join(unknown)}: the ways are {', '.join(server.WAYS)}")
    return ways


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
    except python2.InstallError as error:
        sys.exit(f"compliance: {error}")
