"""All of this again, after monkey patching."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

from ..support.program import python


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


def test_poll_is_still_gevents_outside_coroutines() -> None:
    script = """
        import gevent.monkey; gevent.monkey.patch_all()
        import gevent, select, socket
        from gws.aio import run
        async def look(): return poll.poll(0)
        turns = []
        def count(): turns.append("turn")
        one, other = socket.socketpair()
        poll = select.poll()
        poll.register(one, select.POLLIN)
        gevent.spawn(count)
        print(run(look()), len(turns), poll.poll(10), len(turns))
        other.send(b"x")
        print(run(look()) == poll.poll() == [(one.fileno(), select.POLLIN)])
        one.close(), other.close()
    """
    assert python(script) == "[] 0 [] 1\nTrue\n"
