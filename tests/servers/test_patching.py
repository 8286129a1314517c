"""`monkey.patch_all()` behind imports that mattered: the start names module and function, and says nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from ..conftest import StartServer
from ..support.harness import Server
from ..support.program import python, wait_for

WARNING = "imported before monkey.patch_all()"

PROGRAM = """
from gevent import monkey; monkey.patch_all()
import gws, helper
app = gws.App(__file__)
websocket = gws.WebSocket(app, "/web_socket")
app.get("/hello")(lambda: "hello")
if __name__ == "__main__":
    app.start(port=0)
"""


def start(start_server: StartServer, way: str, source: str, tmp_path: Path, *arguments: str) -> Server:
    """Start a program, beside a module `helper` that has imported what waits; "/hello" tells that it serves."""
    (tmp_path / "helper.py").write_text(
        "from socket import getaddrinfo\nfrom threading import Lock as Guard\n"
    )
    source = f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n{source.lstrip()}"
    server = start_server(text=source, way=way, arguments=list(arguments))
    assert server.get("/hello") == "hello"
    return server


def test_what_was_imported_before_it_was_patched_is_named(
    start_server: StartServer, way: str, tmp_path: Path
) -> None:
    # Under gunicorn's gevent workers what is not loaded beforehand is always patched in time.
    source = "from time import sleep\nimport helper\n" + PROGRAM
    server = start(start_server, way, source, tmp_path, "--preload", "-w", "2")
    wait_for(lambda: WARNING in server.log(), "the warning")
    main = "app.py" if way == "python" else "app"
    for words in (
        f"time.sleep as sleep in {main}",
        "socket.getaddrinfo as getaddrinfo in helper",
        "threading.Lock as Guard in helper",
        "the first line of the program",
    ):
        assert words in server.log()
    assert server.log().count(WARNING) == 1


@pytest.mark.parametrize("arguments", [[], ["--preload"]], ids=["", "preloaded"])
def test_a_program_that_is_patched_in_time_is_not_warned(
    start_server: StartServer, way: str, tmp_path: Path, arguments: list[str]
) -> None:
    source = PROGRAM.replace(
        "import gws, helper", "import gws, helper, redis, httpx, aiohttp\nfrom time import sleep"
    )
    assert WARNING not in start(start_server, way, source, tmp_path, *arguments).log()


@pytest.mark.parametrize("gunicorn", ["worker", "geventwebsocket"])
def test_a_program_that_leaves_the_patching_to_gunicorn_is_not_warned(
    start_server: StartServer, gunicorn: str, tmp_path: Path
) -> None:
    source = PROGRAM.replace("from gevent import monkey; monkey.patch_all()", "from time import sleep")
    assert WARNING not in start(start_server, gunicorn, source, tmp_path).log()


def test_flask_and_what_gws_imports_may_come_before(start_server: StartServer, tmp_path: Path) -> None:
    source = "import flask, gws, redis\n" + PROGRAM.replace(", helper", "").replace("redis", "")
    log = start(start_server, "python", source.replace("redis", "click"), tmp_path).log()
    assert WARNING not in log


FOUND = """
{before}
from gevent import monkey
monkey.patch_all()
{after}
import sys, types
from gws.servers import patching
print(list(patching.find_unpatched(patching.TIME_LIMIT)))
"""


def found(before: str, after: str = "") -> list[str]:
    """Return what is found of a program."""
    return list(eval(python(FOUND.format(before=before, after=after))))


def test_what_is_kept_on_purpose_is_not_reported() -> None:
    assert found("import time\n_sleep = time.sleep") == []
    assert (
        found("", "from gevent.monkey import get_original\nnative_sleep = get_original('time', 'sleep')")
        == []
    )


def test_what_calls_what_is_patched_is_not_reported() -> None:
    harmless = (
        "from threading import Event, Thread, RLock\nfrom queue import Queue\nfrom subprocess import run\n"
    )
    assert found(harmless + "from socket import create_connection") == []


@pytest.mark.parametrize(
    ("statement", "name"),
    [
        ("from time import sleep", "time.sleep as sleep"),
        ("from time import sleep as pause", "time.sleep as pause"),
        ("from socket import socket", "socket.socket as socket"),
        ("from socket import gethostbyname", "socket.gethostbyname as gethostbyname"),
        ("from select import select", "select.select as select"),
        ("from subprocess import Popen", "subprocess.Popen as Popen"),
        ("from threading import Lock", "threading.Lock as Lock"),
        ("from threading import local", "threading.local as local"),
        ("from queue import SimpleQueue", "queue.SimpleQueue as SimpleQueue"),
    ],
)
def test_each_that_waits_is_found(statement: str, name: str) -> None:
    assert found(statement) == [f"{name} in __main__"]


def test_modules_that_are_none_or_lazy_are_passed_over_and_not_loaded() -> None:
    odd = """
import importlib.util
spec = importlib.util.find_spec("wave")
spec.loader = importlib.util.LazyLoader(spec.loader)
sys.modules["wave"] = lazy = importlib.util.module_from_spec(spec)
spec.loader.exec_module(lazy)
sys.modules["lazy_wave"] = lazy
sys.modules["none"] = None
class Strange:
    __class__ = types.ModuleType
    __slots__ = ()
sys.modules["strange"] = Strange()
"""
    program = FOUND.format(before="from time import sleep", after="import sys, types\n" + odd)
    assert (
        python(program + "print(type(lazy).__name__)") == "['time.sleep as sleep in __main__']\n_LazyModule\n"
    )


def test_a_program_of_many_modules_is_looked_through_in_milliseconds() -> None:
    many = """
import sys, time, types
for number in range(5000):
    module = sys.modules[f"made_up_{number}"] = types.ModuleType(f"made_up_{number}")
    vars(module).update({f"name_{each}": object() for each in range(200)})
from gws.servers import patching
began = time.process_time()
list(patching.find_unpatched(patching.TIME_LIMIT))
print(time.process_time() - began)
"""
    # A million names, which would take some tenths of a second.
    assert float(python("from gevent import monkey\nmonkey.patch_all()\n" + many)) < 0.08
