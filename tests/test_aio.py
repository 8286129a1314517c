"""`gws.aio` against real sockets, servers, threads and processes; at the end all again, monkey patched."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import gc
import os
import socket
import ssl
import subprocess
import sys
import textwrap
import threading
import time
import traceback
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import aiohttp
import gevent
import gevent.monkey
import httpx
import pytest
import trustme
from gevent import get_hub
from gevent.event import Event
from gevent.exceptions import BlockingSwitchOutError
from gevent.lock import Semaphore
from gevent.queue import Queue

from gws.aio import get_loop, run
from gws.errors import WouldBlockError

PATCHED = gevent.monkey.is_module_patched("socket")
# Patched or not, these are the system's.
native_sleep = gevent.monkey.get_original("time", "sleep")
native_start_thread = gevent.monkey.get_original("_thread", "start_new_thread")


@pytest.fixture(autouse=True)
def _deadline() -> Iterator[None]:
    with gevent.Timeout(15):
        yield


@pytest.fixture(autouse=True)
def _nothing_is_left() -> Iterator[None]:
    """No test leaves a task, a timer or a descriptor on the loop, or the loop as the running one."""
    yield
    loop = get_loop()
    with gevent.Timeout(5):
        while asyncio.all_tasks(loop) or loop._timers or loop._descriptors.get_map():
            gevent.sleep(0.001)
    assert asyncio._get_running_loop() is None
    assert not loop.awaited


async def wait_forever() -> None:
    await asyncio.get_running_loop().create_future()


# Calling a coroutine


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
        task = asyncio.current_task()
        assert task is not None
        if result_is_on_its_way:
            # Before the callback of `run`, which tells the greenlet.
            task.add_done_callback(throw)
        await go_on.wait()

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


# asyncio's own


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


# Threads


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
    """What a native thread can wait for."""
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


# Sockets


def test_getaddrinfo_and_getnameinfo_resolve() -> None:
    async def resolve() -> tuple[Any, Any]:
        loop = asyncio.get_running_loop()
        addresses = await loop.getaddrinfo("localhost", 80, type=socket.SOCK_STREAM)
        return addresses, await loop.getnameinfo(
            ("127.0.0.1", 80), socket.NI_NUMERICHOST | socket.NI_NUMERICSERV
        )

    addresses, name = run(resolve())
    assert {address[4][0] for address in addresses} & {"127.0.0.1", "::1"}
    assert name == ("127.0.0.1", "80")


def test_add_reader_and_add_writer_take_a_socket_or_a_descriptor() -> None:
    async def watch(by_descriptor: bool) -> bytes:
        loop = asyncio.get_running_loop()
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        watched: Any = ours.fileno() if by_descriptor else ours
        with ours, theirs:
            writable, readable = asyncio.Event(), asyncio.Event()
            loop.add_writer(watched, writable.set)
            loop.add_reader(watched, readable.set)
            await writable.wait()
            assert loop.remove_writer(watched)
            theirs.send(b"x")
            await readable.wait()
            assert loop.remove_reader(watched)
            assert not loop.remove_reader(watched)
            return ours.recv(1)

    assert [run(watch(True)), run(watch(False))] == [b"x", b"x"]


def test_sock_calls_send_more_than_the_kernel_takes() -> None:
    async def send() -> int:
        loop = asyncio.get_running_loop()
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        theirs.setblocking(False)
        with ours, theirs:
            sending = asyncio.ensure_future(loop.sock_sendall(ours, bytes(4_000_000)))
            received = 0
            while received < 4_000_000:
                received += len(await loop.sock_recv(theirs, 100_000))
            await sending
            return received

    assert run(send()) == 4_000_000


async def echo_upper(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while line := await reader.readline():
        writer.write(line.upper())
        await writer.drain()
    writer.close()
    await writer.wait_closed()


async def ask_in_upper(line: bytes, **options: Any) -> bytes:
    reader, writer = await asyncio.open_connection(**options)
    writer.write(line + b"\n")
    answer = await reader.readline()
    writer.close()
    await writer.wait_closed()
    return answer.rstrip()


def test_streams_and_a_server_that_lives_across_runs() -> None:
    async def begin() -> tuple[asyncio.base_events.Server, int]:
        server = await asyncio.start_server(echo_upper, "127.0.0.1")
        return server, server.sockets[0].getsockname()[1]

    async def end() -> None:
        server.close()
        await server.wait_closed()

    server, port = run(begin())
    lines = [b"x" * size for size in (1, 1000, 60_000)]
    asking = [gevent.spawn(run, ask_in_upper(line, host="localhost", port=port)) for line in lines]
    assert [greenlet.get() for greenlet in asking] == [line.upper() for line in lines]
    run(end())


def test_streams_over_a_unix_socket(tmp_path: Path) -> None:
    path = str(tmp_path / "socket")

    async def ask() -> bytes:
        async with await asyncio.start_unix_server(echo_upper, path):
            reader, writer = await asyncio.open_unix_connection(path)
            writer.write(b"unix\n")
            answer = await reader.readline()
            writer.close()
            await writer.wait_closed()
            return answer

    assert run(ask()) == b"UNIX\n"


def test_datagrams() -> None:
    class Collect(asyncio.DatagramProtocol):
        def __init__(self) -> None:
            self.received: asyncio.Queue[bytes] = asyncio.Queue()

        def datagram_received(self, data: bytes, addr: object) -> None:
            self.received.put_nowait(data)

    async def send() -> bytes:
        loop = asyncio.get_running_loop()
        receiver, collect = await loop.create_datagram_endpoint(Collect, ("127.0.0.1", 0))
        sender, _ = await loop.create_datagram_endpoint(
            asyncio.DatagramProtocol, remote_addr=receiver.get_extra_info("sockname")
        )
        sender.sendto(b"datagram")
        data = await collect.received.get()
        sender.close()
        receiver.close()
        return data

    assert run(send()) == b"datagram"


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


def test_tls_streams(authority: trustme.CA) -> None:
    for_server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(for_server)
    for_client = ssl.create_default_context()
    authority.configure_trust(for_client)

    async def ask() -> bytes:
        server = await asyncio.start_server(echo_upper, "127.0.0.1", ssl=for_server)
        port = server.sockets[0].getsockname()[1]
        try:
            return await ask_in_upper(b"y" * 50_000, host="localhost", port=port, ssl=for_client)
        finally:
            server.close()
            await server.wait_closed()

    assert run(ask()) == b"Y" * 50_000


AIOHTTP_SERVER = """
    import asyncio, itertools
    from aiohttp import web

    async def answer(request):
        # The client's port tells its connections apart.
        return web.json_response({"port": request.transport.get_extra_info("peername")[1], **request.query})

    async def main():
        app = web.Application()
        app.router.add_get("/", answer)
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        print(runner.addresses[0][1], flush=True)
        await asyncio.Event().wait()

    asyncio.run(main())
"""


@pytest.fixture(scope="module")
def server_url() -> Iterator[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(AIOHTTP_SERVER)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    yield f"http://localhost:{process.stdout.readline().strip()}/"
    process.kill()
    process.wait()
    process.stdout.close()


def test_an_aiohttp_session_keeps_its_connection_across_runs(server_url: str) -> None:
    async def begin() -> aiohttp.ClientSession:
        return aiohttp.ClientSession()

    async def ask(number: int) -> Any:
        async with session.get(
            server_url, params={"n": number}, timeout=aiohttp.ClientTimeout(5)
        ) as response:
            return await response.json()

    session = run(begin())
    first, second = run(ask(1)), run(ask(2))
    assert (first["n"], second["n"]) == ("1", "2")
    assert first["port"] == second["port"]
    many = [gevent.spawn(run, ask(number)) for number in range(20)]
    assert [greenlet.get()["n"] for greenlet in many] == [str(number) for number in range(20)]
    run(session.close())


def test_an_httpx_client_keeps_its_connection_across_runs(server_url: str) -> None:
    async def ask(number: int) -> Any:
        return (await client.get(server_url, params={"n": number}, timeout=5)).json()

    client = httpx.AsyncClient()
    first, second = run(ask(1)), run(ask(2))
    assert (first["n"], second["n"]) == ("1", "2")
    assert first["port"] == second["port"]
    many = [gevent.spawn(run, ask(number)) for number in range(20)]
    assert [greenlet.get()["n"] for greenlet in many] == [str(number) for number in range(20)]
    run(client.aclose())


# Processes


def test_a_child_process_is_written_to_read_from_and_waited_for() -> None:
    script = "import sys; print(sys.stdin.read().upper(), end=''); sys.exit(3)"

    async def call() -> tuple[bytes, int | None]:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", script, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        output, _ = await process.communicate(b"words")
        return output, process.returncode

    assert run(call()) == (b"WORDS", 3)


def test_a_child_process_is_killed_while_another_is_waited_for() -> None:
    async def call() -> tuple[int, int]:
        sleeping = await asyncio.create_subprocess_shell("exec sleep 60")
        quick = await asyncio.create_subprocess_shell("exit 4")
        code = await quick.wait()
        sleeping.kill()
        return code, await sleeping.wait()

    assert run(call()) == (4, -9)


def test_a_child_process_that_cannot_start_raises() -> None:
    async def call() -> None:
        await asyncio.create_subprocess_exec("/does/not/exist")

    with pytest.raises(FileNotFoundError):
        run(call())


def python(script: str, *arguments: str) -> str:
    """Runs a script in a new interpreter, and returns what it printed."""
    command = [sys.executable, "-W", "error", "-c", textwrap.dedent(script), *arguments]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=10)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_a_forked_child_has_a_loop_of_its_own_and_leaves_the_parents_alone() -> None:
    # As in gunicorn: the application ran coroutines before the fork, and the child then calls `hub.reinit()`.
    script = """
        import asyncio, gc, os, socket, gevent, gevent.event, gevent.hub
        from gws.aio import get_loop, run

        ours, theirs = socket.socketpair()
        ours.setblocking(False)

        async def timer():
            try:
                await asyncio.sleep(0.01)
            finally:
                print("timer", os.getpid() == parent, flush=True)
                timer_ended.set()

        async def begin():
            asyncio.create_task(timer())

        async def read():
            loop = asyncio.get_running_loop()
            print((await loop.sock_recv(ours, 1)).decode(), os.getpid() == parent, flush=True)

        async def nap():
            await asyncio.sleep(0.03)
            return (await asyncio.to_thread(str, "napped"))

        parent = os.getpid()
        timer_ended = gevent.event.Event()
        run(begin())
        reading = gevent.spawn(run, read())
        gevent.sleep(0)
        get_loop().call_soon(lambda: print("soon", flush=True))
        parents_loop = get_loop()
        theirs.send(b"r")
        child = os.fork()
        if child == 0:
            gevent.hub.reinit()
            assert get_loop() is not parents_loop
            assert parents_loop.is_closed() and not get_loop().is_closed()
            try:
                parents_loop.call_later(1, print)
            except RuntimeError as error:
                assert "parent" in str(error)
            print(run(nap()), flush=True)
            gc.collect()
            os._exit(0)
        assert os.waitpid(child, 0) == (child, 0)
        reading.get(timeout=5)
        assert timer_ended.wait(5)
        ours.close()
        theirs.close()
    """
    assert sorted(python(script).splitlines()) == ["napped", "r True", "soon", "timer True"]


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


# Leaks


def time_out_by_wait_for() -> None:
    async def call() -> None:
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(wait_forever(), 0.0005)

    run(call())


def time_out_by_gevent() -> None:
    with pytest.raises(gevent.Timeout), gevent.Timeout(0.0005):
        run(wait_forever())


def time_out_of_a_timer_by_gevent() -> None:
    with pytest.raises(gevent.Timeout), gevent.Timeout(0.0005):
        run(asyncio.sleep(60))


WAYS_TO_TIME_OUT = [time_out_by_wait_for, time_out_by_gevent, time_out_of_a_timer_by_gevent]

if sys.version_info >= (3, 11):

    def time_out_by_timeout() -> None:
        async def call() -> None:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.0005):
                    await wait_forever()

        run(call())

    WAYS_TO_TIME_OUT.append(time_out_by_timeout)


@pytest.mark.parametrize("time_out", WAYS_TO_TIME_OUT)
def test_ten_thousand_timeouts_leave_nothing(time_out: Callable[[], None]) -> None:
    def repeat(times: int) -> None:
        for _ in range(times):
            time_out()

    def left_after(times: int) -> tuple[int, int, int, int]:
        gevent.joinall([gevent.spawn(repeat, times // 100) for _ in range(100)], raise_error=True)
        gevent.sleep(0.001)
        gc.collect()
        objects = gc.get_objects()
        greenlets = sum(issubclass(type(thing), gevent.Greenlet) for thing in objects)
        tasks = len(asyncio.all_tasks(get_loop()))
        return tasks, greenlets, get_hub().loop.activecnt, sys.getallocatedblocks()

    # Once before, for the caches.
    *before, blocks_before = left_after(2000)
    *after, blocks_after = left_after(10_000)
    assert after == before
    # One object for each call would be ten thousand.
    assert blocks_after - blocks_before < 1000


def wait_a_little() -> None:
    run(asyncio.sleep(0.0001))


def fail_later() -> None:
    async def fail() -> None:
        await asyncio.sleep(0)
        raise ValueError

    with contextlib.suppress(ValueError):
        run(fail())


# From 3.12 on, any asyncio loop leaves the frames of a step that failed.
@pytest.mark.parametrize(
    "call", [wait_a_little, fail_later] if sys.version_info < (3, 12) else [wait_a_little]
)
def test_a_run_leaves_nothing_to_the_garbage_collector(call: Callable[[], None]) -> None:
    def garbage_after(times: int) -> int:
        for _ in range(times):
            call()
        return gc.collect()

    gc.collect()
    gc.disable()
    try:
        garbage_after(10)
        assert garbage_after(200) < 100
    finally:
        gc.enable()


def test_all_of_this_after_monkey_patching() -> None:
    script = """
        import gevent.monkey; gevent.monkey.patch_all()
        import pytest, sys
        leave_out = "not ten_thousand and not after_monkey_patching"
        sys.exit(pytest.main(["-q", "-p", "no:cacheprovider", "-W", "error", "-k", leave_out, sys.argv[1]]))
    """
    command = [sys.executable, "-W", "error", "-c", textwrap.dedent(script), __file__]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
