"""asyncio's own on the hub: timers, queues and tasks; and the other loops of the process beside it."""

from __future__ import annotations

import asyncio
import gc
import socket
import sys
from collections.abc import AsyncIterator

import gevent
import gevent.monkey
import pytest
from gevent import get_hub
from gevent.event import Event
from gevent.queue import Queue

from gws.aio import get_loop, run

from ..support.program import python
from .conftest import native_sleep, wait_forever


def test_wait_for_and_shield_time_out() -> None:
    async def wait() -> bool:
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(wait_forever(), 0.001)
        go_on = asyncio.Event()
        inner = asyncio.ensure_future(go_on.wait())
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(asyncio.shield(inner), 0.001)
        go_on.set()
        return await inner

    assert run(wait())


if sys.version_info >= (3, 11):

    def test_timeout_and_task_group() -> None:
        async def wait() -> list[int]:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.001):
                    await wait_forever()
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(asyncio.sleep(0.001, number)) for number in range(3)]
            return [task.result() for task in tasks]

        async def fail() -> None:
            async with asyncio.TaskGroup() as group:
                group.create_task(wait_forever())
                group.create_task(asyncio.wait_for(wait_forever(), 0.001))

        assert run(wait()) == [0, 1, 2]
        with pytest.RaisesGroup(TimeoutError):
            run(fail())


def test_gather_runs_its_coroutines_at_once() -> None:
    async def both() -> tuple[int, int]:
        event = asyncio.Event()

        async def first() -> int:
            await event.wait()
            return 1

        async def second() -> int:
            event.set()
            return 2

        one, two = await asyncio.gather(first(), second())
        return one, two

    assert run(both()) == (1, 2)


def test_a_queue_joins_two_greenlets_and_a_background_task_outlives_its_run() -> None:
    async def begin() -> tuple[asyncio.Queue[int], asyncio.Queue[int], asyncio.Task[None]]:
        numbers: asyncio.Queue[int] = asyncio.Queue()
        squares: asyncio.Queue[int] = asyncio.Queue(1)

        async def square() -> None:
            while number := await numbers.get():
                await squares.put(number * number)

        return numbers, squares, asyncio.create_task(square())

    async def end() -> None:
        await numbers.put(0)
        await task

    numbers, squares, task = run(begin())
    reader = gevent.spawn(lambda: [run(squares.get()) for _ in range(3)])
    for number in (1, 2, 3):
        run(numbers.put(number))
    assert reader.get() == [1, 4, 9]
    run(end())


def test_timers_come_in_order_and_never_early() -> None:
    async def collect() -> list[int]:
        loop, done = asyncio.get_running_loop(), asyncio.Event()
        order: list[int] = []

        def note(number: int, due: float) -> None:
            order.append(number if loop.time() >= due else -number)

        # After work that took a while, the hub's clock is late.
        native_sleep(0.005)
        for number in (3, 1, 2):
            due = loop.time() + number / 500
            loop.call_at(due, note, number, due)
        loop.call_later(0.01, done.set)
        await done.wait()
        return order

    assert run(collect()) == [1, 2, 3]


def test_a_cancelled_timer_is_gone_at_once() -> None:
    before = get_hub().loop.activecnt
    timer = get_loop().call_later(60, print)
    assert get_hub().loop.activecnt == before + 1
    timer.cancel()
    timer.cancel()
    assert get_hub().loop.activecnt == before
    assert not get_loop()._timers


def test_a_chain_of_call_soon_does_not_keep_the_hub_from_its_sockets() -> None:
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    received = Event()
    loop = get_loop()

    def again() -> None:
        if not received.is_set():
            loop.call_soon(again)

    loop.call_soon(again)
    watcher = get_hub().loop.io(ours.fileno(), 1)
    watcher.start(received.set)
    theirs.send(b"x")
    assert received.wait(timeout=5)
    watcher.close()
    ours.close()
    theirs.close()


def test_a_dropped_async_generator_is_closed_in_a_task() -> None:
    closed: Queue[asyncio.AbstractEventLoop] = Queue()

    async def numbers() -> AsyncIterator[int]:
        try:
            yield 1
            yield 2
        finally:
            await asyncio.sleep(0)
            closed.put(asyncio.get_running_loop())

    async def first() -> int:
        async for number in numbers():
            return number
        return 0

    assert run(first()) == 1
    gc.collect()
    assert closed.get(timeout=5) is get_loop()


def test_the_loop_cannot_be_started_stopped_or_closed_and_says_so() -> None:
    loop = get_loop()
    assert loop.is_running()
    coroutine = wait_forever()
    for call in (loop.run_forever, lambda: loop.run_until_complete(coroutine), loop.stop, loop.close):
        with pytest.raises(RuntimeError, match="gevent hub"):
            call()
    coroutine.close()
    with pytest.raises(NotImplementedError, match=r"gevent\.signal_handler"):
        loop.add_signal_handler(1, print)


# Beside the other asyncio loops of the process


def test_asyncio_run_in_another_greenlet_is_not_disturbed() -> None:
    # Only after monkey patching does asyncio's own loop let the other greenlets run.
    script = """
        import gevent.monkey; gevent.monkey.patch_all()
        import asyncio, gevent
        from gws.aio import get_loop, run

        async def meet(name):
            # Each goes on until it has seen the other often.
            while min(seen.values()) < 20:
                assert (asyncio.get_running_loop() is get_loop()) == (name == "ours")
                task = asyncio.create_task(name_after_a_while())
                assert task.get_name() == await task
                seen[name] += 1
            return name

        async def name_after_a_while():
            name = asyncio.current_task().get_name()
            await asyncio.sleep(0.001)
            assert asyncio.current_task().get_name() == name
            return name

        seen = {"ours": 0, "theirs": 0}
        other = gevent.spawn(lambda: asyncio.run(meet("theirs")))
        ours = [gevent.spawn(run, meet("ours")) for _ in range(3)]
        print(other.get(timeout=5), [greenlet.get(timeout=5) for greenlet in ours])
        print(run(asyncio.sleep(0.001, "again")), asyncio.run(asyncio.sleep(0.001, "again")))
    """
    assert python(script) == "theirs ['ours', 'ours', 'ours']\nagain again\n"


def test_flasks_own_async_views_are_not_disturbed() -> None:
    script = """
        import gevent.monkey; gevent.monkey.patch_all()
        import asyncio, gevent, urllib.request
        from flask import Flask, request
        from gevent.pywsgi import WSGIServer
        from gws.aio import get_loop, run

        app = Flask(__name__)

        @app.get("/theirs")
        async def theirs():
            await asyncio.sleep(0.002)
            assert asyncio.get_running_loop() is not get_loop()
            return "theirs " + request.args["n"]

        @app.get("/ours")
        def ours():
            async def answer():
                await asyncio.sleep(0.002)
                return "ours " + request.args["n"]
            return run(answer())

        server = WSGIServer(("127.0.0.1", 0), app, log=None)
        server.start()

        def get(path):
            url = f"http://127.0.0.1:{server.server_port}/{path}"
            with urllib.request.urlopen(url, timeout=5) as response:
                return response.read().decode()

        waiting = gevent.spawn(run, asyncio.sleep(0.2, "waited"))
        for number in range(5):
            greenlets = [gevent.spawn(get, f"ours?n={n}") for n in range(5)]
            assert get(f"theirs?n={number}") == f"theirs {number}"
            assert [greenlet.get(timeout=5) for greenlet in greenlets] == [f"ours {n}" for n in range(5)]
        print(waiting.get(timeout=5))
        server.stop()
    """
    assert python(script) == "waited\n"


def test_the_running_loop_of_others_is_put_back() -> None:
    # As when a greenlet runs asyncio's own loop, and gevent switches to the hub in the midst of it.
    other = asyncio.new_event_loop()
    hooks = (lambda _: None, lambda _: None)
    asyncio._set_running_loop(other)
    sys.set_asyncgen_hooks(*hooks)
    try:
        assert run(asyncio.sleep(0.001, "ours")) == "ours"
        assert asyncio._get_running_loop() is other
        assert sys.get_asyncgen_hooks() == hooks
    finally:
        sys.set_asyncgen_hooks(None, None)
        asyncio._set_running_loop(None)
        other.close()
