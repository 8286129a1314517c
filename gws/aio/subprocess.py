"""A child process of asyncio's that is gevent's.

libev collects the exit status of every child of the process, whoever waits for it, so asyncio's own ways of
waiting for one would find nothing. gevent starts the child here, and a greenlet waits for it; the pipes are
descriptors like any other.
"""

from __future__ import annotations

from asyncio.base_subprocess import BaseSubprocessTransport
from typing import Any

import gevent
from gevent.subprocess import Popen


class HubSubprocess(BaseSubprocessTransport):
    """Made in a greenlet, because gevent waits for the child's exec."""

    # asyncio leaves it to the platform's transport to make the process.
    def _start(
        self, args: Any, shell: bool, stdin: Any, stdout: Any, stderr: Any, bufsize: int, **kwargs: Any
    ) -> None:
        process = Popen(args, bufsize, shell=shell, stdin=stdin, stdout=stdout, stderr=stderr, **kwargs)
        self._proc = process
        gevent.spawn(lambda: self._process_exited(process.wait()))
