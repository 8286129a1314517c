"""What begins with a slash at the prompt of `gws connect`."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping
from typing import Final

from websockets.sync.client import ClientConnection

from ..printable import printable
from ..protocol.frames import check_close

PONG_TIMEOUT: Final = 10.0
"""Seconds to wait for the answer to a /ping."""

HELP: Final = """\
/ping [text]            send a ping, and say how long its pong takes
/close [code [reason]]  close, with 1000 if no code is given
/help                   show this
//text                  send /text
Ctrl-D                  close with 1000"""

Say = Callable[[str], object]


class Commands:
    """Runs lines that begin with a slash.

    Args:
        templates: texts by the name of a command; "$1" in one is what stands behind the command, as in a JSON string.
        say: shows a line.
        say_later: the same, from another thread.
    """

    def __init__(self, templates: Mapping[str, str], say: Say, say_later: Say) -> None:
        self._templates = templates
        self._say = say
        self._say_later = say_later

    def run(self, line: str, connection: ClientConnection) -> None:
        """Run one.

        Raises:
            ConnectionClosed: it could not be sent.
        """
        name, _, rest = line[1:].partition(" ")
        if name.startswith("/"):
            connection.send(line[1:])
        elif name in self._templates:
            connection.send(self._templates[name].replace("$1", json.dumps(rest, ensure_ascii=False)[1:-1]))
        elif name == "ping":
            self._ping(connection, rest)
        elif name == "close":
            self._close(connection, rest)
        elif name == "help":
            self._say(HELP + "".join(f"\n/{name}" for name in self._templates))
        else:
            self._say(
                f"there is no command /{printable(name)}: /help lists them, and //{printable(name)} sends it"
            )

    def _ping(self, connection: ClientConnection, text: str) -> None:
        if len(text.encode()) > 125:
            self._say("a ping has 125 bytes at the most (RFC 6455 §5.5)")
            return
        began = time.perf_counter()
        try:
            pong = connection.ping(text or None)
        except RuntimeError as error:
            self._say(printable(str(error)))
            return

        def wait() -> None:
            if pong.wait(PONG_TIMEOUT):
                self._say_later(f"pong after {(time.perf_counter() - began) * 1000:.1f} ms")
            else:
                self._say_later(f"no pong in {PONG_TIMEOUT:g} s")

        threading.Thread(target=wait, daemon=True).start()

    def _close(self, connection: ClientConnection, text: str) -> None:
        code, _, reason = text.partition(" ")
        try:
            close = check_close(int(code or 1000), reason)
        except ValueError as error:
            self._say(f"/close [code [reason]]: {error}")
            return
        connection.close(close.code, close.reason)
