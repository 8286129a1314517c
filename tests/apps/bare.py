"""Nothing but what all applications have."""

from __future__ import annotations

from tests.apps.base import app, start

if __name__ == "__main__":
    start(app)
