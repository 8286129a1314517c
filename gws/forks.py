"""What a forked child forgets, since its parent goes on with it; in one order, whatever is imported first."""

from __future__ import annotations

import enum
import os
import traceback
from collections.abc import Callable
from typing import TypeVar

Hook = TypeVar("Hook", bound=Callable[[], object])


class Step(enum.IntEnum):
    """What is forgotten, the first one first."""

    LOOPS = enum.auto()
    """asyncio's tasks, which would go on in the child."""
    IDS = enum.auto()
    """The node's number: what the child makes is not its parent's."""
    CLUSTERS = enum.auto()
    """The links to backplanes."""
    CONNECTIONS = enum.auto()
    """Listeners and clients, and the order to stop."""
    SIGNALS = enum.auto()
    WORKER = enum.auto()
    """Behind all others: with `--preload` the child is a worker, and begins."""


_hooks: dict[Step, Callable[[], object]] = {}


def after_fork(step: Step) -> Callable[[Hook], Hook]:
    """Have a function called in every forked child, when it is the turn of its step; one function a step."""

    def register(hook: Hook) -> Hook:
        _hooks[step] = hook
        return hook

    return register


def _run_hooks() -> None:
    for step in sorted(_hooks):
        try:
            _hooks[step]()
        except Exception:  # noqa: BLE001 - the others must forget all the same
            traceback.print_exc()


os.register_at_fork(after_in_child=_run_hooks)
