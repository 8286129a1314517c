"""All of this again, after monkey patching."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path


def test_all_of_this_after_monkey_patching() -> None:
    script = """
        import gevent.monkey; gevent.monkey.patch_all()
        import pytest, sys
        leave_out = "not ten_thousand and not after_monkey_patching"
        sys.exit(pytest.main(["-q", "-p", "no:cacheprovider", "-W", "error", "-k", leave_out, sys.argv[1]]))
    """
    command = [sys.executable, "-W", "error", "-c", textwrap.dedent(script), str(Path(__file__).parent)]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
