"""An echo, which logs what a test asks for."""

from __future__ import annotations

import logging

from gws import WebSocket
from tests.apps.base import answer, app, start, value

if form := value("log_format", ""):
    logging.basicConfig(format=form)
for name, level in value("log_levels", dict[str, str]()).items():
    logging.getLogger(name).setLevel(level)

WebSocket(app, "/web_socket", ping_interval=None).on("message")(answer)


@app.get("/talk")
def talk() -> str:
    """Log a line at each level, as gws."""
    for level in "debug", "info", "warning", "error":
        getattr(logging.getLogger("gws"), level)("said at " + level)
    return ""


if __name__ == "__main__":
    start(app)
