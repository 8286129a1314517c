"""Child processes, started or forked."""

from __future__ import annotations

import asyncio
import subprocess
import sys

import pytest

from gws.aio import run

from ..support.program import python


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
