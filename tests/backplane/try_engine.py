"""The process in which `suite` is tried on one engine: it is patched before this is imported."""

from __future__ import annotations

import json
import sys
import traceback

import gevent
from _pytest.assertion import install_importhook
from _pytest.config import get_config

from ..support.program import DEADLINE

# As in pytest's own process: an assertion that fails shows its values.
install_importhook(get_config()).mark_rewrite(f"{__package__}.suite")

from .suite import FOR_A_SERVER, FOR_ANY, Engine  # noqa: E402


def run() -> None:
    """Try what is named on stdin; say what has become of each on stdout."""
    promises = FOR_ANY | FOR_A_SERVER
    for line in sys.stdin:
        said = ""
        try:
            with gevent.Timeout(2 * DEADLINE), Engine(sys.argv[1]) as engine:
                promises[line.strip()](engine)
        except (Exception, gevent.Timeout):  # noqa: BLE001 - it is reported
            said = traceback.format_exc()
        print(json.dumps(said), flush=True)
