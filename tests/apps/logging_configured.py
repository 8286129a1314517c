"""An application that configures logging in one of several ways, when it is loaded or later."""

from __future__ import annotations

import logging
import logging.config

from gws import WebSocket
from tests.apps.base import app, start, value

FORMAT = "mine %(message)s"
websocket = WebSocket(app, "/web_socket")


def configure_root() -> None:
    logging.basicConfig(format=FORMAT)


def configure_gws() -> None:
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter(FORMAT))
    logging.getLogger("gws").addHandler(handler)


def configure_by_dict() -> None:
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "formatters": {"mine": {"format": FORMAT}},
            "handlers": {"mine": {"class": "logging.StreamHandler", "formatter": "mine"}},
            "root": {"handlers": ["mine"], "level": "WARNING"},
        }
    )


WAYS = {"the root": configure_root, "gws": configure_gws, "dictConfig": configure_by_dict}
configure = WAYS[value("way", "the root")]
is_late = value("is_late", False)
if not is_late:
    configure()


@app.get("/configure")
def configure_now() -> str:
    if is_late:
        configure()
    return ""


@app.get("/talk")
def talk() -> str:
    logging.getLogger("gws").info("not asked for")
    return ""


if __name__ == "__main__":
    start(app)
