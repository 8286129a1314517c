"""How coroutines run on gevent's hub: `run` and `Runner` for a greenlet, `get_loop` for what needs the loop itself."""

from .runner import Runner, get_loop, in_greenlet, run

__all__ = ["Runner", "get_loop", "in_greenlet", "run"]
