"""Handlers that wait until a test lets them go on, by "/go_on"."""

from __future__ import annotations

import gevent
from gevent.event import Event

from tests.apps.base import app


def make_gate(*, stays_open: bool = True) -> Event:
    """Return what handlers wait for; if it does not stay open, those that come later wait for the next time."""
    gate = Event()

    @app.get("/go_on")
    def let_go_on() -> str:
        gate.set()
        if not stays_open:
            gevent.sleep(0)
            gate.clear()
        return ""

    return gate
