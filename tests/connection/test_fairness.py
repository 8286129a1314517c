"""A client that floods, or a handler that only yields, leaves the others their turns."""

from __future__ import annotations

import itertools
import threading
import time

import pytest
from websockets.sync.client import connect

from ..conftest import StartServer
from ..support.client_frames import close, text
from ..support.harness import Server, unharmed
from ..support.program import DEADLINE, wait_for
from ..support.raw_client import RawClient


@pytest.fixture(scope="module")
def server(start_module_server: StartServer) -> Server:
    return start_module_server("fairness")


def test_a_client_that_floods_does_not_keep_another_from_its_echoes(server: Server) -> None:
    stop = threading.Event()
    with (
        unharmed(server),
        RawClient(server, "/flood") as flooder,
        RawClient(server, "/handled_so_far") as other,
    ):
        block = text("x" * 20) * 2000

        def flood() -> None:
            while not stop.is_set():
                flooder.send(block)

        thread = threading.Thread(target=flood)
        thread.start()
        try:
            wait_for(lambda: int(server.get("/handled")) > 10_000, "the flood to begin")
            counts = []
            for _ in range(100):
                other.send(text("?"))
                counts.append(int(other.read_text()))
        finally:
            stop.set()
            thread.join(DEADLINE)
            # What the kernel still holds of the flood is nobody's any more.
            flooder.reset()
    between = sorted(after - before for before, after in itertools.pairwise(counts))
    assert counts[-1] > counts[0]
    # A batch of the flood is 256 messages; the client needs its time too.
    assert between[len(between) // 2] < 20 * 256, between


@pytest.mark.parametrize("path", ["/spin", "/spin_greenlet"])
def test_a_handler_that_only_yields_does_not_starve_the_others(server: Server, path: str) -> None:
    with unharmed(server), RawClient(server, path) as spinner, RawClient(server, "/echo") as other:
        before = int(server.get("/turns"))
        spinner.send(text("spin"))
        wait_for(lambda: int(server.get("/turns")) > before + 100, "the handler to spin")
        began = time.monotonic()
        for number in range(100):
            other.send(text(str(number)))
            assert other.read_text() == str(number)
        assert time.monotonic() - began < DEADLINE / 2
        # The others include new clients, and the spinner's own pings.
        with connect(server.url("/echo")) as newcomer:
            newcomer.send("hello")
            assert newcomer.recv(timeout=DEADLINE) == "hello"
        spun = int(server.get("/turns"))
        wait_for(lambda: int(server.get("/turns")) > spun, "the handler to go on spinning")
        spinner.send(close(1000))
        assert spinner.read_close()[0] == 1000
