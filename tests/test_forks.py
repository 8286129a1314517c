"""`gws.forks`: what a forked child forgets, in one order; `servers/test_forks.py` has what becomes of the clients."""

from __future__ import annotations

from pathlib import Path

import gws
from gws import forks

from .support.program import python

PACKAGE = Path(gws.__file__).parent


def test_nobody_else_has_a_hook_of_their_own() -> None:
    others = [path.name for path in PACKAGE.rglob("*.py") if "register_at_fork" in path.read_text()]
    assert others == ["forks.py"]


def test_every_step_has_its_hook_in_whatever_order_modules_are_imported() -> None:
    for modules in (
        "servers.serve, gws.servers.gunicorn_start",
        "aio, gws.servers.gunicorn_start, gws.servers.serve",
    ):
        source = f"""
            import gws.{modules}
            from gws import forks
            print([step.name for step in sorted(forks._hooks)])
        """
        assert python(source) == f"{[step.name for step in forks.Step]}\n"


def test_one_that_fails_keeps_no_other_from_its_turn() -> None:
    source = """
        import os, sys
        from gws.forks import Step, after_fork

        sys.stderr = sys.stdout

        @after_fork(Step.WORKER)
        def last():
            print("last", flush=True)

        @after_fork(Step.LOOPS)
        def first():
            print("first", flush=True)
            raise ValueError("a fault")

        child = os.fork()
        if child == 0:
            os._exit(0)
        os.waitpid(child, 0)
        print("the parent", flush=True)
    """
    said = python(source)
    assert said.startswith("first\nTraceback")
    assert said.endswith("ValueError: a fault\nlast\nthe parent\n")
