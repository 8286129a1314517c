"""What `gws doctor` looks at in the application."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Final

from flask import Flask
from gevent import monkey
from werkzeug.middleware.proxy_fix import ProxyFix

from ..cluster.names import reachable
from ..errors import ConfigurationError
from ..printable import printable
from ..servers.patching import find_unpatched
from ..settings import Settings, from_final_config
from .findings import Finding, error, note, ok, warning
from .loading import Route, routes_of

PATCHING_LIMIT: Final = 5.0
"""Seconds of CPU to look for what was imported too early; all modules, where a server that starts stops sooner."""
_SHOWN: Final = 5

_WHOLE: Final = ("socket", "ssl", "select", "threading", "time", "subprocess", "queue")
"""What `monkey.patch_all()` patches, as far as handlers notice."""

BLOCKING: Final = {
    "MySQLdb": "use PyMySQL: pymysql.install_as_MySQLdb()",
    "cx_Oracle": "use oracledb in its thin mode",
    "pyodbc": "call it by gevent.get_hub().threadpool.apply",
    "pymssql": "use python-tds",
    "ibm_db": "call it by gevent.get_hub().threadpool.apply",
    "grpc": "call grpc.experimental.gevent.init_gevent() before the first channel",
    "zmq": "import zmq.green as zmq",
    "pycurl": "use requests or httpx",
    "pylibmc": "use pymemcache",
    "confluent_kafka": "use kafka-python, or poll(0) in a greenlet",
    "ldap": "use ldap3",
}
"""Libraries that wait in C, where gevent cannot switch: all connections of the process wait with them."""

PROXY_IDLE: Final = 60.0
"""Seconds after which nginx cuts a connection on which nothing is said (proxy_read_timeout)."""
LARGE_MESSAGE: Final = 64 * 1024 * 1024
SLOW_HANDSHAKE: Final = 60.0


def check_app(app: Flask) -> Iterator[Finding]:
    """Yield what there is to say of an application that has just been imported, by a program that patches nothing."""
    yield from _check_patching()
    yield from _check_libraries()
    routes = routes_of(app)
    if routes:
        yield ok("routes", f"{len(routes)} WebSocket{'s' * (len(routes) > 1)}: `gws routes` lists them")
    else:
        yield error("routes", "the application has no WebSocket", "make one with gws.WebSocket(app, rule)")
    for route in routes:
        yield from _check_route(route)
    if app.debug:
        yield warning(
            "debug", "app.debug is on: tracebacks are shown to strangers", "leave FLASK_DEBUG unset"
        )
    yield from _check_proxy(app)


def _check_patching() -> Iterator[Finding]:
    if not monkey.is_module_patched("socket"):
        yield note(
            "patching",
            "the program does not patch itself; `gws run` and gunicorn's gevent workers do it for you",
            "to run it as `python app.py`, begin with `from gevent import monkey; monkey.patch_all()`",
        )
        return
    missing = [name for name in _WHOLE if name in sys.modules and not monkey.is_module_patched(name)]
    if missing:
        yield warning(
            "patching",
            f"gevent has not patched {', '.join(missing)}: what waits there stops every connection",
            "call monkey.patch_all() without arguments",
        )
    found = list(find_unpatched(PATCHING_LIMIT))
    if found:
        rest = f", and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
        yield error(
            "patching",
            f"imported before monkey.patch_all(), so that waiting in it stops every connection: "
            f"{printable(', '.join(found[:_SHOWN]), 1000)}{rest}",
            "make `from gevent import monkey; monkey.patch_all()` the first line of the program",
        )
    elif not missing:
        yield ok("patching", "the program patches itself before it imports what waits")


def _check_libraries() -> Iterator[Finding]:
    found = [name for name in BLOCKING if name in sys.modules]
    for name in found:
        yield warning("libraries", f"{name} waits in C, and every connection with it", BLOCKING[name])
    if "psycopg2" in sys.modules and not _psycopg_yields():
        found.append("psycopg2")
        yield warning(
            "libraries",
            "psycopg2 waits in C, and every connection with it",
            "call psycogreen.gevent.patch_psycopg() once, or use psycopg 3",
        )
    if not found:
        yield ok("libraries", "none is imported that is known to wait where gevent cannot switch")


def _psycopg_yields() -> bool:
    return sys.modules["psycopg2"].extensions.get_wait_callback() is not None


def _check_route(route: Route) -> Iterator[Finding]:
    try:
        settings = from_final_config(route.endpoint.config, route.endpoint.settings)
    except ConfigurationError as refusal:
        yield error("limits", f"{printable(route.rule)}: {refusal}", "change the setting")
        return
    if not route.events:
        yield warning(
            "routes", f"{printable(route.rule)} has no handler", 'add one with @websocket.on("message")'
        )
    yield from _check_origins(printable(route.rule), settings)
    yield from _check_limits(printable(route.rule), settings)


def _check_origins(rule: str, settings: Settings) -> Iterator[Finding]:
    if "*" in settings.allowed_origins:
        yield warning(
            "origins",
            f"{rule} lets pages of every origin connect, with their visitors' cookies",
            'list your own: allowed_origins=["https://app.example"]',
        )
        return
    unsafe = [origin for origin in settings.allowed_origins if origin.startswith("http://")]
    if unsafe:
        yield note(
            "origins",
            f"{rule} lets in {', '.join(map(printable, unsafe))}, a page that anybody on its network can change",
            "list https:// origins only, but for development",
        )
    else:
        pages = ", ".join(map(printable, settings.allowed_origins)) or "none but of the same origin"
        yield ok("origins", f"{rule}: pages of other origins: {pages}")


def _check_limits(rule: str, settings: Settings) -> Iterator[Finding]:
    if settings.ping_interval is None or settings.ping_interval >= PROXY_IDLE:
        yield warning(
            "limits",
            f"{rule} pings {'never' if settings.ping_interval is None else f'every {settings.ping_interval:g} s'}: "
            f"a proxy cuts a silent connection after {PROXY_IDLE:g} s, and lost clients stay",
            "leave ping_interval at its 20 s",
        )
    largest = max(settings.max_message_size, settings.max_outbox_size)
    if largest > LARGE_MESSAGE:
        yield warning(
            "limits",
            f"{rule} lets each client fill {largest >> 20} MiB of memory",
            "send large things by HTTP, and their address by WebSocket",
        )
    if settings.handshake_timeout > SLOW_HANDSHAKE:
        yield warning(
            "limits",
            f"{rule} waits {settings.handshake_timeout:g} s for a handshake, as long as an attacker likes to wait",
            "leave handshake_timeout at its 10 s",
        )


def _check_proxy(app: Flask) -> Iterator[Finding]:
    if any(isinstance(part, ProxyFix) for part in reachable(app)):
        yield ok("proxy", "ProxyFix believes the proxy; gws must be reached by way of it only")
    else:
        yield note(
            "proxy",
            "no ProxyFix: behind nginx every client has its address, and pages over https:// are refused",
            "app.wsgi_app = ProxyFix(app.wsgi_app, x_for=1, x_proto=1, x_host=1), if there is a proxy",
        )
    if not app.config.get("TRUSTED_HOSTS"):
        yield note(
            "hosts",
            "any Host is believed, so a page of a stranger's name for your address is of the same origin",
            'app.config["TRUSTED_HOSTS"] = ["chat.example"], with Flask 3.1 and newer',
        )
