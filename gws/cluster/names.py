"""The names of endpoints: to other processes, a name is one endpoint of one application."""

from __future__ import annotations

import contextlib
import functools
import gc
import types
import weakref
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final, NamedTuple, Protocol

from ..errors import BackplaneError
from .endpoint import Endpoint

MAX_SIZE: Final = 1024
"""Bytes of a name in UTF-8, as of a room's."""

_KEY: Final = "gws.endpoints"
"""In `Application.extensions`: its endpoints, by name."""


class Application(Protocol):
    """A Flask application, as far as it has endpoints."""

    import_name: str
    extensions: dict[str, Any]

    def __hash__(self) -> int:
        """As every object."""


_applications: weakref.WeakSet[Application] = weakref.WeakSet()
"""Those with endpoints."""
_served: weakref.WeakKeyDictionary[Any, dict[str, tuple[weakref.ref[Any], weakref.ref[Application]]]] = (
    weakref.WeakKeyDictionary()
)
"""By server and name, the endpoint and the application that a WebSocket has been opened to."""
_lasting: weakref.WeakSet[Application] = weakref.WeakSet()
"""Those that were in a conflict, and no garbage."""


class Party(NamedTuple):
    """An endpoint of an application, and its name there."""

    app: Application
    name: str
    endpoint: Endpoint


def check_name(name: object) -> str:
    """Return a name as `WebSocket` and `Publisher` take it; the leading "/" may be left out.

    Raises:
        TypeError: it is no `str`.
        ValueError: it is empty, has a NUL, or is longer than `MAX_SIZE`.
    """
    if not isinstance(name, str):
        raise TypeError(f"an endpoint's name is a str, not {name!r}")
    if not name or "\0" in name or len(name.encode()) > MAX_SIZE:
        raise ValueError(f"an endpoint's name has 1 to {MAX_SIZE} bytes of UTF-8 and no NUL")
    return name if name.startswith("/") else f"/{name}"


def declare(app: Application, endpoint: Endpoint) -> None:
    """Note that an application has an endpoint.

    Raises:
        ValueError: it has another one of the same name.
    """
    _applications.add(app)
    party = Party(app, endpoint.name, endpoint)
    other = app.extensions.setdefault(_KEY, {}).setdefault(endpoint.name, endpoint)
    if other is not endpoint:
        raise ValueError(_complaint(party, Party(app, endpoint.name, other)))


def declared(app: Application) -> dict[str, Endpoint]:
    """Return the endpoints of an application, by name."""
    return dict(app.extensions.get(_KEY, {}))


def everywhere() -> list[Party]:
    """All endpoints of this process whose applications have not been dropped; some of these may be garbage yet."""
    return _parties(tuple(_applications))


def behind(wsgi: object) -> list[Party]:
    """Return the endpoints that a WSGI application leads to, as far as middleware and dispatchers show it.

    Looked into are their attributes, lists and dicts, and the variables that they name where they are functions.
    """
    seen = {id(one) for one in reachable(wsgi)}
    return _parties(app for app in tuple(_applications) if id(app) in seen)


def reachable(wsgi: object) -> list[object]:
    """Return what a WSGI application may hand a request on to, itself first; as `behind` otherwise."""
    applications = {id(app) for app in tuple(_applications)}
    seen: dict[int, object] = {}
    todo = [wsgi]
    while todo:
        one = todo.pop()
        if id(one) not in seen:
            seen[id(one)] = one
            # `app.wsgi_app = Middleware(app.wsgi_app)`, as Flask has it.
            todo += [vars(one).get("wsgi_app")] if id(one) in applications else _parts(one)
    return list(seen.values())


def check(parties: Iterable[Party]) -> None:
    """Check that the connections of two applications are never taken for those of one.

    Raises:
        BackplaneError: two endpoints have one name, or one endpoint has two applications; it says what to do.
    """
    twins = _twins(parties)
    if twins is not None:
        raise BackplaneError(_complaint(*twins))


def check_living(find: Callable[[], Iterable[Party]]) -> None:
    """Return the same, but count no garbage: a test suite may make an application for each test.

    Args:
        find: says which endpoints there are.

    Raises:
        BackplaneError: as `check`.
    """
    twins = _twins(find())
    if twins is not None and not all(party.app in _lasting for party in twins):
        twins = None
        gc.collect()
        twins = _twins(find())
    if twins is not None:
        # The next one who asks is not made to wait for the garbage.
        _lasting.update(party.app for party in twins)
        raise BackplaneError(_complaint(*twins))


def serve(server: object, app: Application, endpoint: Endpoint) -> None:
    """Note that a WebSocket is opened to an endpoint of an application, by way of a server.

    Raises:
        BackplaneError: one was opened to another endpoint of this name by way of the same server.
    """
    owners = _served.setdefault(server, {})
    name = endpoint.name
    if name in owners:
        other, its_app = owners[name][0](), owners[name][1]()
        if other is endpoint and its_app is app:
            return
        if other is not None and its_app is not None:
            raise BackplaneError(_complaint(Party(its_app, name, other), Party(app, name, endpoint)))
    owners[name] = weakref.ref(endpoint), weakref.ref(app)


def _parties(apps: Iterable[Application]) -> list[Party]:
    return [
        Party(app, name, endpoint) for app in apps for name, endpoint in app.extensions.get(_KEY, {}).items()
    ]


def _twins(parties: Iterable[Party]) -> tuple[Party, Party] | None:
    """Two that other processes, or one another, could not be told apart from; None if there are none."""
    owners: dict[object, Party] = {}
    for party in parties:
        for key in (party.name, party.endpoint):
            other = owners.setdefault(key, party)
            if other.app is not party.app:
                return other, party
    return None


def _complaint(one: Party, another: Party) -> str:
    apps = f"{one.app.import_name!r} and {another.app.import_name!r}"
    if one.endpoint is another.endpoint:
        return (
            f"the blueprint of {one.endpoint!r} is registered on two Flask applications, {apps}, whose clients would "
            "get each other's messages: make a blueprint and a WebSocket for each of them, in a function, with "
            "WebSocket(blueprint, rule, name=...)"
        )
    both = f"{one.endpoint!r} and {another.endpoint!r}"
    if one.app is another.app:
        return (
            f"{both} of the Flask application {one.app.import_name!r} are both named {one.name!r}: give one another "
            "name, WebSocket(app, rule, name=...)"
        )
    return (
        f"{both} of the Flask applications {apps} are both named {one.name!r}: to other processes they are one, and "
        "their clients would get each other's messages. Give one another name, WebSocket(app, rule, name=...); or, if "
        "one application is left over, make it once only"
    )


def _parts(one: object) -> list[object]:
    """Return what a WSGI application may hand a request on to; nothing of an object that cannot be looked into."""
    try:
        return _look_into(one)
    except Exception:  # noqa: BLE001 - a stranger's object: a search in the dark ends no start
        return []


def _look_into(one: object) -> list[object]:
    # Not isinstance, here and below: a proxy such as `flask.current_app` would answer for what it stands for.
    kind = type(one)
    if hasattr(kind, "_get_current_object"):
        return []
    if issubclass(kind, dict):
        return list(one.values())  # type: ignore[attr-defined]
    if issubclass(kind, list | tuple):
        return [*one]  # type: ignore[misc]
    if isinstance(one, types.MethodType):
        return [one.__self__]
    if isinstance(one, functools.partial):
        return [one.func, *one.args, *one.keywords.values()]
    if isinstance(one, types.FunctionType):
        return [*_bound(one.__closure__ or ()), *filter(_is_object, _globals_of(one))]
    if callable(one) and _is_object(one) and hasattr(one, "__dict__"):
        return list(vars(one).values())
    return []


def _bound(cells: Iterable[types.CellType]) -> Iterator[object]:
    """Return what the variables of a closure hold, but for those that hold nothing yet."""
    for cell in cells:
        with contextlib.suppress(ValueError):
            yield cell.cell_contents


def _globals_of(function: types.FunctionType) -> list[object]:
    """Return what the global names that a function uses stand for."""
    names = function.__globals__
    return [names[name] for name in function.__code__.co_names if name in names]


def _is_object(one: object) -> bool:
    return not issubclass(type(one), type | types.FunctionType | types.ModuleType)
