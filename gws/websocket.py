"""`WebSocket`, Robyn's class: an endpoint of a Flask application, its handlers and what they may ask for."""

from __future__ import annotations

import logging
import re
import weakref
from collections.abc import Callable
from typing import Any, ClassVar, Final, TypeVar

from flask import Blueprint, Flask, Response, request
from flask.globals import request_ctx

from .conversation import Conversation
from .errors import HandshakeRefusedError
from .handlers import Handler, bind, encode_message
from .protocol.messages import Message
from .refusal import answer, install
from .registry import registry
from .settings import Settings, from_config
from .upgrade import find_upgrade

logger = logging.getLogger("gws")

EVENTS: Final = ("connect", "message", "close")

Function = TypeVar("Function", bound=Callable[..., object])


class WebSocket:
    """A WebSocket endpoint.

    Args:
        app: the Flask application, or a blueprint of it.
        endpoint: the URL rule, such as "/web_socket" or "/rooms/<name>"; a leading "/" may be left out.
        settings: those of `gws.settings.Settings`, by name; they win over the application's `GWS_…` settings.

    Raises:
        TypeError, ValueError: a setting that there is not, or that could not work.
    """

    _global_dependencies: ClassVar[dict[str, object]] = {}

    def __init__(self, app: Flask | Blueprint, endpoint: str, **settings: Any) -> None:
        from_config({}, settings)
        self.endpoint = endpoint if endpoint.startswith("/") else f"/{endpoint}"
        self.handlers: dict[str, Handler] = {}
        """By event; called as `handler(ws, msg)`."""
        self._arguments = settings
        self._settings: weakref.WeakKeyDictionary[Flask, Settings] = weakref.WeakKeyDictionary()
        self._router_dependencies: dict[str, object] = {}
        prefix = (app.url_prefix or "") if isinstance(app, Blueprint) else ""
        self._variables = _variables(prefix + self.endpoint)
        install(app)
        app.add_url_rule(
            self.endpoint, endpoint=self.endpoint.replace(".", "_"), view_func=self._view, websocket=True
        )

    def __repr__(self) -> str:
        return f"<WebSocket {self.endpoint}>"

    def on(self, event: str) -> Callable[[Function], Function]:
        """Register a handler, `def` or `async def`, for "connect", "message" or "close"; the last one wins.

        A handler takes, by name and in any order, any of `ws`, `msg`, `global_dependencies`, `router_dependencies`
        and the variables of the URL rule. What it returns is sent: `str` and `bytes` as they are, `dict` and
        `list` as JSON, None not at all.

        Raises:
            ValueError: there is no such event.
            TypeError: the function has a parameter that nothing is known by.
        """
        if event not in EVENTS:
            raise ValueError(f"there is no event {event!r}; events are {', '.join(EVENTS)}")

        def register(function: Function) -> Function:
            dependencies = {
                "global_dependencies": self._global_dependencies,
                "router_dependencies": self._router_dependencies,
            }
            self.handlers[event] = bind(function, dependencies, self._variables)
            return function

        return register

    def inject(self, **dependencies: object) -> None:
        """Give this endpoint's handlers something, as `router_dependencies`; at any time."""
        self._router_dependencies.update(dependencies)

    def inject_global(self, **dependencies: object) -> None:
        """Give the handlers of all endpoints something, as `global_dependencies`; at any time."""
        self._global_dependencies.update(dependencies)

    def send_to(self, recipient_id: str, message: Message) -> bool:
        """Send to one connection. From anywhere: views, greenlets, native threads; never waits.

        Returns:
            Whether it was queued: False when the endpoint has no such connection (any more).

        Raises:
            TypeError: the message is neither `str` nor `bytes`.
        """
        return registry.send_to(self, recipient_id, encode_message(message))

    def broadcast(self, message: Message) -> None:
        """Send to every connection. From anywhere: views, greenlets, native threads; never waits for a client.

        Raises:
            TypeError: the message is neither `str` nor `bytes`.
        """
        registry.broadcast(self, encode_message(message))

    def _view(self, **path_params: Any) -> Response:
        try:
            upgrade = find_upgrade(request.environ)
            conversation = Conversation(self, self._current_settings(), upgrade, path_params)
            conversation.begin()
        except HandshakeRefusedError as refusal:
            logger.warning("%s refuses %s: %s", self, request.remote_addr, refusal)
            return answer(refusal)
        return upgrade.run(conversation.run)

    def _current_settings(self) -> Settings:
        app = request_ctx.app
        if app not in self._settings:
            self._settings[app] = from_config(app.config, self._arguments)
        return self._settings[app]


def _variables(rule: str) -> list[str]:
    """The names of a URL rule's variables."""
    return re.findall(r"<(?:[^<>]+:)?(\w+)>", rule)
