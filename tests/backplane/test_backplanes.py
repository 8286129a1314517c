"""Every engine keeps what `suite` promises, in a patched process for each."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import select
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
import trustme

from gws.backplane import urls
from gws.backplane.engines import make_backplane
from gws.backplane.memory import _listeners
from gws.cluster.cluster import Cluster
from gws.cluster.endpoint import Endpoint
from gws.connection.connection import Connection
from gws.settings import Settings

from ..support.client_frames import MIB
from ..support.program import DEADLINE, wait_for
from ..support.running_app import ROOT
from ..support.valkey import Valkey
from . import suite

PASSWORD: Final = "a secret of the test's"
REDIS_SERVER: Final = shutil.which("redis-server")
SERVERS: Final = ["redis", "unix", "valkey", "rediss", *(["redis-server"] if REDIS_SERVER else [])]
"""The engines that are a server which somebody else runs."""
ENGINES: Final = ["memory", "embedded", *SERVERS]


class EngineProcess:
    """A patched process in which one engine's tests run.

    Args:
        url: of the engine.
        folder: where its log goes.
        temporary: where its temporary files go.
    """

    def __init__(self, url: str, folder: Path, temporary: str) -> None:
        script = (
            "from gevent import monkey; monkey.patch_all()\nfrom tests.backplane.try_engine import run; run()"
        )
        self._log = folder / "log"
        with self._log.open("w") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-W", "error", "-c", script, url],
                cwd=ROOT,
                env=os.environ | {"TMPDIR": temporary},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )

    def run(self, name: str) -> None:
        """Run one test there."""
        stdin, stdout = self.process.stdin, self.process.stdout
        assert stdin
        assert stdout
        begin = len(self._log.read_text())
        stdin.write(f"{name}\n")
        stdin.flush()
        readable, _, _ = select.select([stdout], [], [], 3 * DEADLINE)
        said = stdout.readline() if readable else ""
        log = self._log.read_text()[begin:]
        assert said, f"no answer: {log}"
        if failure := json.loads(said):
            pytest.fail(f"{failure}\n{log}", pytrace=False)
        assert "Traceback" not in log, log
        assert "Warning" not in log, log

    def end(self) -> None:
        """Let it come to its end."""
        stdin, stdout = self.process.stdin, self.process.stdout
        assert stdin
        assert stdout
        stdin.close()
        assert self.process.wait(DEADLINE) == 0, self._log.read_text()
        stdout.close()


class TlsProxy:
    """Takes TLS, and passes on what is in it to a port that does not.

    Args:
        folder: where the certificate of who has issued its own goes.
        port: where to pass it on to.
    """

    def __init__(self, folder: Path, port: int) -> None:
        authority = trustme.CA()
        self.authority = folder / "authority.pem"
        authority.cert_pem.write_to_path(str(self.authority))
        self.port = 0
        self._issued = authority.issue_cert("127.0.0.1")
        self._to = port
        self._loop = asyncio.new_event_loop()
        self._told = asyncio.Event()
        self._listens = threading.Event()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._run(),))

    def __enter__(self) -> TlsProxy:
        self._thread.start()
        assert self._listens.wait(DEADLINE)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._told.set)
        self._thread.join(DEADLINE)
        self._loop.close()

    async def _run(self) -> None:
        import ssl

        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._issued.configure_cert(context)
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=context)
        self.port = server.sockets[0].getsockname()[1]
        self._listens.set()
        await self._told.wait()
        server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        from_server, to_server = await asyncio.open_connection("127.0.0.1", self._to)
        await asyncio.gather(_forward(reader, to_server), _forward(from_server, writer))


async def _forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(MIB):
            writer.write(data)
            await writer.drain()
    writer.close()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()


@pytest.fixture(scope="module")
def temporary() -> Iterator[Path]:
    """Where temporary files go, with a name that is short enough for a socket; at the end there are none."""
    folder = Path(tempfile.mkdtemp(prefix="gws"))
    yield folder
    wait_for(lambda: not list(folder.glob("gws-*/*")), "the private server to end")
    shutil.rmtree(folder)


@pytest.fixture(scope="module", params=ENGINES)
def url(request: pytest.FixtureRequest, temporary: Path) -> Iterator[str]:
    """Return the URL of each engine, which runs."""
    if request.param in ("memory", "embedded"):
        yield f"{request.param}://"
        return
    folder = temporary / str(request.param)
    folder.mkdir()
    binary = REDIS_SERVER if request.param == "redis-server" else None
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(Valkey(folder, "--requirepass", PASSWORD, binary=binary))
        quoted = PASSWORD.replace(" ", "%20")
        address = f":{quoted}@127.0.0.1"
        if request.param == "unix":
            yield f"unix://:{quoted}@{server.path}?db=1"
        elif request.param == "valkey":
            yield f"valkey://{address}:{server.port}?namespace=a.test"
        elif request.param == "rediss":
            proxy = stack.enter_context(TlsProxy(folder, server.port))
            yield f"rediss://{address}:{proxy.port}/2?ssl_ca_certs={proxy.authority}&namespace=tls"
        else:
            yield f"redis://{address}:{server.port}/3"


@pytest.fixture(scope="module")
def engine_process(
    url: str, temporary: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[EngineProcess]:
    """Return the process for the tests of one engine."""
    process = EngineProcess(url, tmp_path_factory.mktemp("engine"), str(temporary))
    try:
        yield process
        process.end()
    finally:
        process.process.kill()
        process.process.wait(DEADLINE)


@pytest.mark.parametrize("promise", suite.FOR_ANY)
def test_an_engine_keeps(engine_process: EngineProcess, promise: str) -> None:
    engine_process.run(promise)


@pytest.mark.parametrize("url", SERVERS, indirect=True)
@pytest.mark.parametrize("promise", suite.FOR_A_SERVER)
def test_a_server_of_others_keeps(engine_process: EngineProcess, promise: str) -> None:
    engine_process.run(promise)


@pytest.mark.parametrize("cluster", [False, True])
def test_memory_keeps_nothing_of_a_node_that_has_gone(cluster: bool) -> None:
    heard: list[Any] = []
    if cluster:
        node = Cluster(make_backplane(urls.MEMORY), 11)
        node.add(place := Endpoint("/chat"))
        node.start()
        node.join(place, "ops", "1", Connection(Settings(), lambda: None))
        assert len(_listeners) == 4
        node.leave(place, "ops", "1")
        assert len(_listeners) == 3
        node.close(0)
    else:
        backplane = make_backplane(urls.MEMORY)
        backplane.start(lambda *message: heard.append(message))
        backplane.subscribe("news")
        assert len(_listeners) == 1
        backplane.close(0)
    assert not _listeners
