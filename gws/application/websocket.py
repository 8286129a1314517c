"""`WebSocket`, Robyn's class: an endpoint of a Flask application, its handlers and what they may ask for.

Longer than other modules: users read its docstrings.
"""

from __future__ import annotations

import functools
import logging
import weakref
from collections.abc import Callable, Collection, Iterator
from typing import TYPE_CHECKING, Any, ClassVar, Final, TypeVar

import flask
from flask import Blueprint, Flask, Response, has_request_context, request
from flask.globals import request_ctx
from flask.sansio.blueprints import BlueprintSetupState
from werkzeug.routing import Rule

from .. import aio
from ..backplane import urls
from ..cluster import names
from ..cluster.cluster import Cluster
from ..cluster.endpoint import Endpoint
from ..cluster.process import Phase, process
from ..conversation.connector import WebSocketConnector
from ..conversation.conversation import Conversation
from ..conversation.handlers import Handler, bind
from ..conversation.typed_messages import dispatching, message_annotation, message_type, typed
from ..errors import ConnectRefusedError, HandshakeRefusedError
from ..hub.threads import get_own_hub
from ..printable import printable
from ..protocol.encoding import Sendable
from ..protocol.frames import check_close
from ..protocol.typed import CODECS, CodecName, import_msgspec
from ..servers import gunicorn_start
from ..servers.upgrade import find_upgrade
from ..settings import SettingArguments, Settings, check_arguments, from_config, nearest
from .refusal import answer, answer_as_view, install
from .rule import check_rule

if TYPE_CHECKING:
    from typing_extensions import Unpack

logger = logging.getLogger("gws.application")

DEPENDENCIES: Final = "gws_dependencies"
"""The key in `app.extensions` of what an application gives all of its endpoints."""
EVENTS: Final = ("connect", "message", "close")

Function = TypeVar("Function", bound=Callable[..., object])


class WebSocket:
    """A WebSocket endpoint.

    Args:
        app: the Flask application, or a blueprint of it.
        endpoint: the URL rule, such as "/web_socket" or "/rooms/<name>"; a leading "/" may be left out.
        name: what other processes and a `Publisher` know the endpoint by, if not by its URL rule with the prefix of its
            blueprint: for the second of two applications in one process that have the same rule. A leading "/" may be
            left out.
        backplane: the URL of what carries messages between processes; else `GWS_BACKPLANE_URL` of the application's
            configuration, or of the environment, or what suits the server.
        codec: what values other than `str` and `bytes` are sent as, and typed messages received as: "json", or
            "msgpack" in binary messages.
        settings: those of `gws.settings.Settings`, by name; they win over the application's `GWS_…` settings.

    Raises:
        TypeError, ValueError: an unknown setting, or one that could not work; a name that the application has
            already; a URL rule with a variable of another framework's, such as "/rooms/:name" or "/rooms/{name}".
        ImportError: MessagePack needs a package that is not installed.
        BackplaneError: the URL is none of a backplane, or takes a package that is not installed.
    """

    _global_dependencies: ClassVar[dict[str, object]] = {}
    _connector: type[WebSocketConnector] = WebSocketConnector
    """What handlers get as `ws`."""

    def __init__(
        self,
        app: Flask | Blueprint,
        endpoint: str,
        *,
        name: str | None = None,
        backplane: str | None = None,
        codec: CodecName = "json",
        **settings: Unpack[SettingArguments],
    ) -> None:
        if not isinstance(app, Flask | Blueprint):
            raise TypeError(f"a WebSocket is of a Flask application or a Blueprint, not {app!r}")
        check_arguments(settings)
        check_rule(endpoint)
        if codec not in CODECS:
            raise ValueError(f"codec is one of {', '.join(CODECS)}, not {codec!r}")
        if codec == "msgpack":
            import_msgspec()
        self.endpoint = endpoint if endpoint.startswith("/") else f"/{endpoint}"
        self.handlers: dict[str, Handler] = {}
        """By event; called as `handler(ws, msg)`."""
        self._settings: weakref.WeakKeyDictionary[Flask, Settings] = weakref.WeakKeyDictionary()
        self._router_dependencies: dict[str, object] = {}
        prefix = (app.url_prefix or "") if isinstance(app, Blueprint) else ""
        self._functions: dict[str, Callable[..., object]] = {}
        """What `on` was given, by event."""
        self._types: dict[Any, Callable[..., object]] = {}
        """What `on("message", type=...)` was given, by type."""
        self._variables: Collection[str] | None = None
        """Of the URL rule, once it is registered: a blueprint is given its prefix then."""
        self._given_name = None if name is None else names.check_name(name)
        self._endpoint = Endpoint(
            self.endpoint,
            self._given_name or prefix + self.endpoint,
            self._dumps,
            None if backplane is None else urls.check(backplane),
            settings,
            codec,
        )
        self._app: Flask | None = None
        install(app)
        view = self.endpoint.replace(".", "%2E")
        try:
            app.add_url_rule(self.endpoint, endpoint=view, view_func=self._view, websocket=True)
        except AssertionError:
            raise ValueError(
                f"{app.name!r} has a WebSocket at {self.endpoint!r} already: one has all events, "
                'by websocket.on("connect"), on("message") and on("close")'
            ) from None
        if isinstance(app, Flask):
            self._bind_to(app, view)
            self._belong_to(app)
        else:
            app.record(functools.partial(self._register, view))
        process.declare(self._endpoint)
        # A gunicorn worker of another class says nowhere that it serves.
        gunicorn_start.await_worker()

    def __repr__(self) -> str:
        return repr(self._endpoint)

    @property
    def name(self) -> str:
        """What the endpoint is called on all nodes, and by a `Publisher`."""
        return self._endpoint.name

    def on(self, event: str, type: Any = None) -> Callable[[Function], Function]:
        """Register a handler, `def` or `async def`, for "connect", "message" or "close"; the last one wins.

        A handler takes, by name and in any order, any of `ws`, `msg`, `query_params`, `global_dependencies`,
        `router_dependencies` and the variables of the URL rule; any other with an annotation is a query parameter. What
        it returns is sent: `str` and `bytes` as they are, others as JSON, None not at all. What it yields is, too.

        A `msg` whose annotation is a type with fields is a value of it; a message that does not fit is answered with
        {"error": "invalid message", "detail": ...}, or closes the connection, as `invalid_messages` says.

        Args:
            event: which.
            type: of the messages that the handler is for, one of several that the endpoint has a handler for.

        Raises:
            ValueError: there is no such event.
            TypeError: the function has an unknown parameter without a default. That of a blueprint is refused where it
                is registered, since its prefix may have variables too. Or messages cannot be told apart by their type.
            ImportError: typed messages need a package that is not installed.
        """
        if event not in EVENTS:
            raise ValueError(
                f"there is no event {event!r}{nearest(event, EVENTS)}; events are {', '.join(EVENTS)}"
            )
        if type is not None and event != "message":
            raise TypeError(f'messages have a type: on("message", type=...), not on("{event}")')

        def register(function: Function) -> Function:
            before = self._types
            if event == "message":
                self._types = {} if type is None else {**before, type: function}
            try:
                self._register_handler(event, function)
            except BaseException:
                self._types = before
                raise
            return function

        return register

    def _register_handler(self, event: str, function: Callable[..., object]) -> None:
        """Have the function called for an event; at once, or where the blueprint is registered."""
        if self._variables is not None:
            self._bind(event, function, self._variables)
        self._functions[event] = function

    def functions(self) -> Iterator[tuple[str, Callable[..., object], Any]]:
        """Yield each handler as it was written, with its event and, where it has one, the type of its messages."""
        for event, function in self._functions.items():
            if event == "message" and self._types:
                yield from ((event, each, kind) for kind, each in self._types.items())
            else:
                yield event, function, message_annotation(function) if event == "message" else None

    @property
    def variables(self) -> Collection[str]:
        """The names of the URL rule's variables, those of a blueprint's prefix included, once it is registered."""
        return self._variables or ()

    @property
    def codec(self) -> CodecName:
        """How values are sent, and typed messages received."""
        return self._endpoint.codec

    def inject(self, **dependencies: object) -> None:
        """Give this endpoint's handlers something, as `router_dependencies`; at any time."""
        self._router_dependencies.update(dependencies)

    @classmethod
    def inject_global(cls, **dependencies: object) -> None:
        """Give the handlers of all endpoints something, as `global_dependencies`; at any time."""
        cls._global_dependencies.update(dependencies)

    def send_to(self, recipient_id: str, message: Sendable) -> bool:
        """Send to one connection. From anywhere: views, greenlets, native threads; never waits.

        Returns:
            Whether it was queued, or handed on to the node that the id names: False when the endpoint has no such
            connection here, and no such node lives.

        Raises:
            TypeError: the message is neither `str`, `bytes`, `dict` nor `list`.
        """
        return self._cluster().send_to(self._endpoint, recipient_id, self._endpoint.encode(message))

    def broadcast(self, message: Sendable, room: str | None = None, exclude: Collection[str] = ()) -> None:
        """Send to every connection, on all nodes. From anywhere: views, greenlets, native threads; never waits.

        Args:
            message: text, binary, or a dict or list that becomes JSON text.
            room: the room whose members get it, rather than everyone.
            exclude: ids of connections that do not get it; at most 255.

        Raises:
            TypeError: the message is neither `str`, `bytes`, `dict` nor `list`, the room no `str`, or `exclude` one id.
            ValueError: the room's name is longer than 1 KiB, or too many are to be left out.
        """
        frame = self._endpoint.encode(message)
        cluster = self._cluster()
        if process.phase is Phase.IDLE:
            _warn_of_early_broadcast(repr(self))
        cluster.broadcast(self._endpoint, frame, room, exclude)

    def close_connection(
        self, connection_id: str, code: int = 1000, reason: str = "Connection closed"
    ) -> bool:
        """Close a connection, as `ws.close` does. From anywhere; does not wait.

        Returns:
            Whether there is one, or the node that the id names was told.

        Raises:
            TypeError, ValueError: a code or reason that may not be sent (RFC 6455 §7.4).
        """
        return self._cluster().close_connection(self._endpoint, connection_id, check_close(code, reason))

    def connections(self, room: str | None = None) -> list[str]:
        """Return the ids of the connections, on all nodes. From anywhere but a coroutine; waits a second at most.

        Args:
            room: the room whose members are asked for, rather than everyone.

        Raises:
            TypeError, ValueError: the room's name is none.
            WouldBlockError: in a coroutine, also of the only process, write `await websocket.async_connections()`; a
                callback of gevent's hub may not wait either.
        """
        return self._cluster().connections(self._endpoint, room)

    async def async_connections(self, room: str | None = None) -> list[str]:
        """Return what `connections` does, for coroutines of any event loop.

        Raises:
            TypeError, ValueError: the room's name is none.
        """
        return await aio.in_greenlet(self._cluster().connections, self._endpoint, room)

    def count(self, room: str | None = None) -> int:
        """How many connections there are; as `connections` otherwise."""
        return self._cluster().count(self._endpoint, room)

    async def async_count(self, room: str | None = None) -> int:
        """`count` for coroutines; as `async_connections` otherwise."""
        return await aio.in_greenlet(self._cluster().count, self._endpoint, room)

    @property
    def is_ready(self) -> bool:
        """Whether the other nodes hear this one, and it hears them; for `/readyz`."""
        return self._cluster().is_ready

    def _cluster(self) -> Cluster:
        """Return what carries the endpoint's messages.

        Raises:
            BackplaneError: the configured URL is none of a backplane.
        """
        if process.phase is not Phase.RUNNING and has_request_context() and get_own_hub() is not None:
            # The first one, of a server that has not said so itself; or one that is still answered behind a stop.
            process.start(bool(request.environ.get("wsgi.multiprocess")))
        return process.cluster_of(self._endpoint)

    def _dumps(self, value: Any) -> str:
        return (flask if self._app is None else self._app).json.dumps(value)

    def _register(self, view: str, state: BlueprintSetupState) -> None:
        assert isinstance(state.app, Flask)
        self._bind_to(state.app, f"{state.name_prefix}.{state.name}.{view}".lstrip("."))
        if not state.first_registration:
            return
        if self._endpoint.cluster is None:
            # Else it is in use, in an application that has the blueprint already.
            self._endpoint.name = self._given_name or (state.url_prefix or "") + self.endpoint
        self._belong_to(state.app)

    def _bind_to(self, app: Flask, view: str) -> None:
        """Give the handlers the variables of the URL rule, those that it has wherever it is registered."""
        arguments = [rule.arguments for rule in app.url_map.iter_rules(view)]
        known = [] if self._variables is None else [set(self._variables)]
        variables = set.intersection(*arguments, *known)
        for event, function in self._functions.items():
            self._bind(event, function, variables)
        self._variables = variables

    def _bind(self, event: str, function: Callable[..., object], variables: Collection[str]) -> None:
        if event == "message" and self._types:
            several = {kind: bind(each, self._dependencies, variables) for kind, each in self._types.items()}
            self.handlers[event] = dispatching(several, self._endpoint.codec)
            return
        handler = bind(function, self._dependencies, variables, outlives=event == "close")
        kind = message_type(function) if event == "message" else None
        self.handlers[event] = handler if kind is None else typed(handler, kind, self._endpoint.codec)

    @property
    def _dependencies(self) -> dict[str, object]:
        """What handlers may ask for by name."""
        return {
            "global_dependencies": self._global_dependencies,
            "router_dependencies": self._router_dependencies,
        }

    def _belong_to(self, app: Flask) -> None:
        for name, value in app.extensions.get(DEPENDENCIES, {}).items():
            # In place: handlers are bound to this very dict.
            self._router_dependencies.setdefault(name, value)
        from_config(app.config, self._endpoint.settings)
        names.declare(app, self._endpoint)
        self._app = app
        self._endpoint.config = app.config

    def _view(self, **path_params: Any) -> Response:
        try:
            upgrade = find_upgrade(request.environ)
            upgrade.adopt_server()
            names.serve(upgrade.server, request_ctx.app, self._endpoint)
            # Before anybody is connected, so that nothing is missed.
            self._cluster()
            conversation = Conversation(
                self._endpoint,
                self.handlers,
                self.settings_in(request_ctx.app),
                upgrade,
                path_params,
                self._connector,
            )
            conversation.begin()
        except HandshakeRefusedError as refusal:
            logger.warning("%s refuses %s: %s", self, printable(request.remote_addr or "-"), refusal)
            return answer(refusal)
        except ConnectRefusedError as refusal:
            return answer_as_view(refusal.answer)
        return upgrade.schedule(conversation)

    def settings_in(self, app: Flask) -> Settings:
        """Return the limits of the endpoint in one application."""
        if app not in self._settings:
            self._settings[app] = from_config(app.config, self._endpoint.settings)
        return self._settings[app]


def websockets_of(app: Flask) -> Iterator[tuple[Rule, WebSocket]]:
    """Yield each WebSocket of an application with its URL rule, of which it has several if its blueprint has."""
    for rule in app.url_map.iter_rules():
        websocket = getattr(app.view_functions.get(rule.endpoint), "__self__", None)
        if rule.websocket and isinstance(websocket, WebSocket):
            yield rule, websocket


@functools.lru_cache(maxsize=64)
def _warn_of_early_broadcast(endpoint: str) -> None:
    logger.warning(
        "%s broadcasts before a server runs in this process, and nobody is connected: "
        "call it from a view or a handler, or use gws.Publisher in another program",
        endpoint,
    )
