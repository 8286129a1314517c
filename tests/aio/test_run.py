"""`gws.aio.run`: what a coroutine returns and raises, where it may be called, how its wait ends."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import socket
import threading
import time
import traceback
from collections.abc import Callable, Iterator

import gevent
import gevent.monkey
import pytest
from gevent import get_hub
from gevent.event import Event
from gevent.exceptions import BlockingSwitchOutError
from gevent.lock import Semaphore
from gevent.queue import Queue

from gws.aio import get_loop, run
from gws.errors import WouldBlockError

from ..support.program import python
from .conftest import PATCHED, wait_forever


def test_a_result_is_returned_whether_or_not_the_coroutine_suspends() -> None:
    async def at_once() -> int:
        return 1

    async def later() -> int:
        await asyncio.sleep(0)
        await asyncio.sleep(0.001)
        return 2

    assert (run(at_once()), run(later())) == (1, 2)


@pytest.mark.parametrize("suspend", [False, True])
def test_an_exception_has_the_traceback_of_the_coroutine(suspend: bool) -> None:
    async def fail() -> None:
        if suspend:
            await asyncio.sleep(0)
        raise ValueError("mine")

    with pytest.raises(ValueError, match="mine") as caught:
        run(fail())
    assert traceback.extract_tb(caught.tb)[-1].name == "fail"


def test_a_coroutine_that_never_suspends_takes_no_turn_of_the_hub() -> None:
    turns: list[str] = []

    async def at_once() -> None:
        pass

    get_hub().loop.run_callback(turns.append, "a turn")
    run(at_once())
    assert turns == []


def test_the_current_task_and_running_loop_are_known_from_the_first_step_on() -> None:
    async def look() -> list[object]:
        seen = [asyncio.current_task(), asyncio.get_running_loop()]
        await asyncio.sleep(0)
        return [*seen, asyncio.current_task(), asyncio.get_running_loop()]

    first_task, first_loop, task, loop = run(look())
    assert first_task is task is not None
    assert first_loop is loop is get_loop()


variable = contextvars.ContextVar("variable", default="unset")


def test_context_variables_of_the_greenlet_are_seen_and_not_changed() -> None:
    async def look() -> list[str]:
        seen = [variable.get()]
        variable.set("the coroutine's")
        await asyncio.sleep(0)
        return [*seen, variable.get()]

    def call(name: str) -> tuple[list[str], str]:
        variable.set(name)
        return run(look()), variable.get()

    greenlets = [gevent.spawn(call, name) for name in ("a", "b")]
    assert [greenlet.get() for greenlet in greenlets] == [
        (["a", "the coroutine's"], "a"),
        (["b", "the coroutine's"], "b"),
    ]


def test_coroutines_of_many_greenlets_run_side_by_side() -> None:
    meeting = asyncio.Event()
    arrived = []

    async def meet(number: int) -> int:
        arrived.append(number)
        if len(arrived) == 100:
            meeting.set()
        await meeting.wait()
        return number

    greenlets = [gevent.spawn(run, meet(number)) for number in range(100)]
    assert [greenlet.get() for greenlet in greenlets] == list(range(100))


# Where it may not be called


def test_run_in_a_coroutine_says_to_await() -> None:
    async def nested(suspend: bool) -> None:
        if suspend:
            await asyncio.sleep(0)
        run(wait_forever())

    for suspend in (False, True):
        with pytest.raises(RuntimeError, match="`await` the coroutine"):
            run(nested(suspend))


def test_run_in_a_callback_of_the_hub_is_refused() -> None:
    refusals: Queue[Exception] = Queue()

    def call() -> None:
        try:
            run(wait_forever())
        except RuntimeError as error:
            refusals.put(error)

    get_hub().loop.run_callback(call)
    assert "`await`" in str(refusals.get(timeout=5))


@pytest.fixture
def blocking_calls() -> Iterator[list[Callable[[], object]]]:
    ours, theirs = socket.socketpair()
    calls: list[Callable[[], object]] = [
        lambda: gevent.sleep(0),
        lambda: gevent.sleep(0.001),
        Event().wait,
        Semaphore(0).acquire,
        lambda: gevent.spawn(int).join(),
        lambda: get_hub().threadpool.apply(int),
    ]
    if PATCHED:
        calls += [
            lambda: time.sleep(0.001),
            lambda: ours.recv(1),
            lambda: threading.Thread(target=int).start(),
        ]
    with ours, theirs:
        yield calls


@pytest.mark.parametrize("suspend", [False, True])
def test_a_gevent_call_that_blocks_is_an_error_that_says_what_to_do(
    blocking_calls: list[Callable[[], object]], suspend: bool
) -> None:
    async def block(call: Callable[[], object]) -> None:
        if suspend:
            await asyncio.sleep(0)
        call()

    for call in blocking_calls:
        with pytest.raises(WouldBlockError, match=r"await asyncio.sleep\(...\).*plain `def`") as caught:
            run(block(call))
        assert isinstance(caught.value.__cause__, BlockingSwitchOutError)


def test_a_gevent_call_that_blocks_in_a_task_group_says_the_same() -> None:
    task_group = pytest.importorskip("asyncio.taskgroups").TaskGroup

    async def block() -> None:
        gevent.sleep(0)

    async def both() -> None:
        async with task_group() as group:
            group.create_task(block())
            group.create_task(wait_forever())

    with pytest.raises(WouldBlockError, match="plain `def`"):
        run(both())


def test_an_error_is_raised_as_it_is_whatever_it_has() -> None:
    class PeculiarError(Exception):
        subgroup = "not a method"
        exceptions = None

    async def fail() -> None:
        raise PeculiarError

    with pytest.raises(PeculiarError):
        run(fail())


def test_a_greenlet_may_block_again_after_its_coroutine() -> None:
    run(asyncio.sleep(0))
    gevent.sleep(0)

    def call() -> None:
        run(asyncio.sleep(0))
        gevent.sleep(0)

    gevent.spawn(call).get()


# Waiting


def test_a_switch_by_somebody_else_does_not_end_the_wait() -> None:
    go_on = asyncio.Event()

    async def wait() -> str:
        await go_on.wait()
        return "the result"

    waiting = gevent.spawn(run, wait())
    gevent.sleep(0)
    for _ in range(3):
        get_hub().loop.run_callback(waiting.switch, "not the result")
        gevent.sleep(0)
    assert not waiting.ready()
    go_on.set()
    assert waiting.get(timeout=5) == "the result"


class Watched:
    """A coroutine that waits, and says how it ended."""

    def __init__(self) -> None:
        self.ended: Queue[str] = Queue()
        self.go_on = asyncio.Event()

    async def wait(self) -> None:
        try:
            await self.go_on.wait()
            self.ended.put("finished")
        except asyncio.CancelledError:
            self.ended.put("cancelled")
            raise


def test_a_gevent_timeout_cancels_the_coroutine() -> None:
    watched = Watched()
    with pytest.raises(gevent.Timeout), gevent.Timeout(0.001):
        run(watched.wait())
    assert watched.ended.get(timeout=5) == "cancelled"


def test_killing_the_greenlet_cancels_the_coroutine() -> None:
    watched = Watched()
    greenlet = gevent.spawn(run, watched.wait())
    gevent.sleep(0)
    greenlet.kill()
    assert isinstance(greenlet.value, gevent.GreenletExit)
    assert watched.ended.get(timeout=5) == "cancelled"


@pytest.mark.parametrize("result_is_on_its_way", [False, True])
def test_a_result_does_not_switch_to_a_greenlet_that_has_gone_on(result_is_on_its_way: bool) -> None:
    go_on, gone_on, strays = asyncio.Event(), Event(), []

    def throw(_: object = None) -> None:
        get_hub().loop.run_callback(greenlet.throw, ZeroDivisionError())

    async def wait() -> None:
        await go_on.wait()
        if result_is_on_its_way:
            # Before the callback of `run`, which tells the greenlet.
            throw()

    def call() -> None:
        with pytest.raises(ZeroDivisionError):
            run(wait())
        gone_on.set()
        # Nobody should switch here.
        strays.append(get_hub().switch())

    greenlet = gevent.spawn(call)
    gevent.sleep(0)
    if not result_is_on_its_way:
        throw()
    go_on.set()
    assert gone_on.wait(timeout=5)
    for _ in range(5):
        gevent.sleep(0)
    assert strays == []
    greenlet.kill()


def test_waiting_for_what_nothing_can_bring_ends_with_loop_exit() -> None:
    script = """
        import asyncio
        from gevent.exceptions import LoopExit
        from gws.aio import run
        try:
            run(asyncio.Event().wait())
        except LoopExit:
            print("LoopExit")
    """
    assert python(script) == "LoopExit\n"


# SystemExit and other ends


@pytest.mark.parametrize("suspend", [False, True])
@pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt, gevent.GreenletExit, asyncio.CancelledError])
def test_what_is_not_an_exception_goes_to_the_caller_and_the_loop_goes_on(
    kind: type[BaseException], suspend: bool, caplog: pytest.LogCaptureFixture
) -> None:
    async def leave() -> None:
        if suspend:
            await asyncio.sleep(0)
        raise kind

    def call() -> None:
        with pytest.raises(kind):
            run(leave())

    # Were it to go to the main greenlet too, it would come here.
    gevent.spawn(call).get()
    gc.collect()
    assert caplog.records == []
    assert run(asyncio.sleep(0, "alive")) == "alive"


def test_system_exit_of_a_background_task_goes_to_the_main_greenlet_as_from_a_greenlet() -> None:
    async def leave() -> None:
        raise SystemExit(7)

    async def begin() -> None:
        task = asyncio.create_task(leave())
        task.add_done_callback(lambda task: task.exception())

    run(begin())
    with pytest.raises(SystemExit):
        gevent.sleep(5)
    assert run(asyncio.sleep(0, "alive")) == "alive"


def test_an_exception_in_a_callback_is_logged_by_asyncio_and_the_rest_runs(
    caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    done = Event()

    def fail() -> None:
        raise ValueError("in a callback")

    get_loop().call_soon(fail)
    get_loop().call_later(0, fail)
    get_loop().call_later(0.001, done.set)
    assert done.wait(timeout=5)
    assert [record.name for record in caplog.records] == ["asyncio", "asyncio"]
    assert "in a callback" in caplog.text
    assert "ValueError" not in capfd.readouterr().err
