"""`Runner`: coroutines one after the other in one task, which outlives what is done to it between them."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import gc

import gevent
import pytest

from gws.aio import Runner, get_loop

number = contextvars.ContextVar("number", default=0)


async def count(*, after_turns: int = 0) -> tuple[int, asyncio.Task[object] | None]:
    for _ in range(after_turns):
        await asyncio.sleep(0)
    number.set(number.get() + 1)
    return number.get(), asyncio.current_task()


async def fail() -> None:
    raise ZeroDivisionError


def pending() -> set[asyncio.Task[object]]:
    """Return the tasks that have not ended; of those that nobody has, a garbage collection would complain."""
    gc.collect()
    return {found for found in gc.get_objects() if type(found) is asyncio.Task and not found.done()}


@pytest.fixture
def runner() -> Runner:
    return Runner(contextvars.copy_context())


def test_all_coroutines_are_one_task_and_see_each_others_variables(runner: Runner) -> None:
    results = [runner.run(count(after_turns=turns)) for turns in (0, 0, 2, 1, 0)]
    assert [result for result, _ in results] == [1, 2, 3, 4, 5]
    assert len({task for _, task in results}) == 1
    assert number.get() == 0
    runner.close()


def test_a_closed_runner_leaves_no_task_and_may_run_again(runner: Runner) -> None:
    before = pending()
    for _ in range(2):
        runner.run(count())
        assert len(pending() - before) == 1
        runner.close()
        runner.close()
        assert pending() == before


@pytest.mark.parametrize("turns", [0, 1])
def test_after_an_error_there_is_a_new_task(runner: Runner, turns: int) -> None:
    async def fail_later() -> None:
        await count(after_turns=turns)
        await fail()

    before = pending()
    _, first = runner.run(count())
    with pytest.raises(ZeroDivisionError):
        runner.run(fail_later())
    _, second = runner.run(count(after_turns=turns))
    assert first is not second
    runner.close()
    assert pending() == before


def test_what_cancels_the_task_between_two_coroutines_comes_too_late(runner: Runner) -> None:
    _, task = runner.run(count())
    assert task is not None
    task.cancel()
    assert runner.run(count()) == (2, task)

    async def cancel_and_return() -> str:
        task.cancel()
        return "done"

    assert runner.run(cancel_and_return()) == "done"
    assert runner.run(count(after_turns=1)) == (3, task)
    runner.close()


def test_cancelling_all_tasks_is_nothing_to_a_runner(runner: Runner) -> None:
    async def cancel_all() -> None:
        for task in asyncio.all_tasks():
            task.cancel()
        await asyncio.gather(*asyncio.all_tasks(), return_exceptions=True)

    runner.run(count())
    other = Runner()
    other.run(cancel_all())
    other.close()
    assert runner.run(count())[0] == 2
    runner.close()


def test_a_cancellation_that_was_swallowed_is_forgotten(runner: Runner) -> None:
    async def swallow() -> None:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(1)

    async def cancellations() -> int:
        # Python 3.10 counts none.
        return getattr(asyncio.current_task(), "cancelling", int)()

    runner.run(swallow())
    assert runner.run(cancellations()) == 0
    runner.close()


def test_a_finalizer_may_call_the_loop_at_any_time(runner: Runner) -> None:
    called: list[int] = []

    class Litter:
        """Like a client's connection that is left to the garbage collector."""

        def __init__(self) -> None:
            self.circle = self

        def __del__(self) -> None:
            get_loop().call_soon(called.append, 1)

    before = gc.get_threshold()
    gc.set_threshold(1)
    try:
        for number in range(300):
            Litter()
            assert runner.run(count())[0] == number + 1
            once = Runner()
            once.run(count())
            once.close()
    finally:
        gc.set_threshold(*before)
    runner.close()
    gc.collect()
    with gevent.Timeout(5):
        while len(called) < 300:
            gevent.sleep(0)


def test_who_stops_waiting_leaves_a_task_that_ends(runner: Runner) -> None:
    async def linger() -> str:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            await asyncio.sleep(0)
        return "nobody hears"

    before = pending()
    with pytest.raises(gevent.Timeout), gevent.Timeout(0.01):
        runner.run(linger())
    # Not in the task that has not ended yet.
    assert runner.run(count())[0] == 1
    runner.close()
    gevent.sleep(0.01)
    assert pending() == before
