"""`Runner`: coroutines one after the other in one task, which outlives what is done to it between them."""

from __future__ import annotations

import asyncio
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
    """The tasks that have not ended; of those that nobody has, a garbage collection would complain."""
    gc.collect()
    return asyncio.all_tasks(get_loop())


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
