"""Threads: those that call the loop, those with loops of their own, and those of executors."""

from __future__ import annotations

import asyncio
import contextvars
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import gevent
import gevent.monkey
import pytest
from gevent import get_hub
from gevent.event import Event

from gws.aio import get_loop, run

from .conftest import native_start_thread

variable = contextvars.ContextVar("variable", default="unset")


def test_call_soon_threadsafe_wakes_the_hub_from_another_thread() -> None:
    loop, called = get_loop(), Event()
    native_start_thread(loop.call_soon_threadsafe, (called.set,))
    assert called.wait(timeout=5)


def test_run_coroutine_threadsafe_answers_another_thread() -> None:
    loop, answers = get_loop(), []
    done = get_hub().loop.async_()
    finished = Event()
    done.start(finished.set)

    async def answer() -> str:
        await asyncio.sleep(0.001)
        return "an answer"

    def ask() -> None:
        future = asyncio.run_coroutine_threadsafe(answer(), loop)
        future.add_done_callback(lambda future: answers.append(future.result()))
        future.add_done_callback(lambda _: done.send())

    native_start_thread(ask, ())
    assert finished.wait(timeout=5)
    assert answers == ["an answer"]
    done.close()


def test_each_thread_with_a_hub_has_its_own_loop() -> None:
    mine = get_loop()

    def call() -> str:
        assert get_loop() is not mine
        try:
            return run(asyncio.sleep(0.001, "ran"))
        finally:
            get_hub().destroy(destroy_loop=True)

    assert get_hub().threadpool.apply(call) == "ran"


def test_more_executor_calls_than_threads_run_in_native_threads_and_return() -> None:
    get_ident = gevent.monkey.get_original("threading", "get_ident")

    async def call() -> list[int]:
        loop = asyncio.get_running_loop()
        calls = [loop.run_in_executor(None, get_ident) for _ in range(50)]
        return [await call for call in calls]

    idents = run(call())
    assert len(idents) == 50
    assert get_ident() not in idents


def test_an_exception_in_the_executor_is_raised_and_not_printed(capfd: pytest.CaptureFixture[str]) -> None:
    async def call() -> None:
        await asyncio.to_thread(int, "not a number")

    with pytest.raises(ValueError, match="not a number"):
        run(call())
    assert capfd.readouterr().err == ""


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """Return what a native thread can wait for."""
    reading, writing = os.pipe()
    yield reading, writing
    os.close(reading)
    os.close(writing)


def test_to_thread_sees_context_variables_and_can_be_given_up(pipe: tuple[int, int]) -> None:
    reading, writing = pipe

    async def call() -> str:
        variable.set("the caller's")
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(asyncio.to_thread(os.read, reading, 1), 0.001)
        os.write(writing, b"x")
        return await asyncio.to_thread(variable.get)

    assert run(call()) == "the caller's"


def test_an_executor_call_that_is_given_up_before_a_thread_was_free_is_never_made(
    pipe: tuple[int, int],
) -> None:
    reading, writing = pipe
    # As many as there are threads, and the one call that the pool itself keeps ready.
    full = get_hub().threadpool_size + 1
    called: list[int] = []

    async def call() -> None:
        loop = asyncio.get_running_loop()
        busy = [loop.run_in_executor(None, os.read, reading, 1) for _ in range(full)]
        given_up = asyncio.wait_for(loop.run_in_executor(None, called.append, 1), 0.001)
        with pytest.raises(asyncio.TimeoutError):
            await given_up
        os.write(writing, bytes(full))
        await asyncio.wait(busy)
        await loop.run_in_executor(None, called.append, 2)

    run(call())
    assert called == [2]


def test_an_executor_of_ones_own_is_used() -> None:
    async def call(executor: ThreadPoolExecutor) -> list[int]:
        loop = asyncio.get_running_loop()
        return await asyncio.gather(*(loop.run_in_executor(executor, abs, -number) for number in range(5)))

    with ThreadPoolExecutor(2) as executor:
        assert run(call(executor)) == [0, 1, 2, 3, 4]
