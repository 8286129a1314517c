"""The private server of `embedded://`: one for all processes of an owner, for as long as that lives, and no longer."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gws.backplane.embedded.keeper import Owner, start_time
from gws.backplane.embedded.private_server import (
    _check_private_folder,
    ensure_running,
    find_owner,
    socket_path,
)
from gws.errors import BackplaneError

from ..conftest import StartServer
from ..support.program import DEADLINE, python, wait_for

WORKER = """
import sys
from gws.backplane.embedded.keeper import Owner, start_time
from gws.backplane.embedded.private_server import ensure_running

pid = int(sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
print(ensure_running(Owner(pid, start_time(pid))), flush=True)
sys.stdin.read()
"""


@pytest.fixture
def temporary(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where temporary files go; pytest's own folder has too long a name. At the end no process uses it."""
    tmp_path_factory.getbasetemp()  # is where they went before
    folder = Path(tempfile.mkdtemp(prefix="gws"))
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    yield folder
    try:
        wait_for(lambda: not processes_of(folder), "every server to end")
    finally:
        for pid in processes_of(folder):
            os.kill(pid, signal.SIGKILL)
        shutil.rmtree(folder)


@pytest.fixture
def start_process(temporary: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start processes, each with a group of its own, that end with the test at the latest."""
    with contextlib.ExitStack() as stack:

        def start(script: str, *arguments: str) -> subprocess.Popen[str]:
            process = stack.enter_context(
                subprocess.Popen(
                    [sys.executable, "-c", textwrap.dedent(script), *arguments],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                    start_new_session=True,
                )
            )
            stack.callback(process.kill)
            return process

        yield start


@pytest.fixture
def master(start_process: Callable[..., subprocess.Popen[str]]) -> subprocess.Popen[str]:
    """Return a process that does nothing but live."""
    return start_process("input()")


@pytest.fixture
def owner(master: subprocess.Popen[str]) -> Owner:
    """Return the same, as the owner of a server."""
    return owner_of(master)


def owner_of(process: subprocess.Popen[str]) -> Owner:
    return Owner(process.pid, start_time(process.pid))


def status_of(pid: int) -> dict[str, str]:
    """Return what the kernel says of a process; {} if it has ended."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return {}
    status = {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}
    return {} if status["State"].startswith("Z") else status


def processes_of(folder: Path) -> list[int]:
    """Return the keepers and servers whose socket is in a folder or below."""
    found = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            if entry.name.isdecimal() and f"{folder}/gws-".encode() in (entry / "cmdline").read_bytes():
                found.append(int(entry.name))
    return found


def server_at(path: str) -> int:
    """Return the pid of the server that answers there; 0 if none does."""
    try:
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(DEADLINE)
            client.connect(path)
            client.sendall(b"INFO server\r\n")
            found = re.search(rb"process_id:(\d+)", client.recv(65536))
    except (FileNotFoundError, ConnectionError):
        return 0
    return int(found[1]) if found else 0


def server_after(server: int, path: str) -> int:
    """Wait for another to answer there."""
    return wait_for(lambda: {server_at(path)} - {0, server}, "another server").pop()


def keeper_of(server: int) -> int:
    return int(status_of(server)["PPid"])


def has_ended(pid: int) -> bool:
    return not status_of(pid)


def test_of_four_racing_processes_one_starts_the_server(
    temporary: Path, owner: Owner, start_process: Callable[..., subprocess.Popen[str]]
) -> None:
    workers = [start_process(WORKER, str(owner.pid)) for _ in range(4)]
    answers = []
    for worker in workers:
        assert worker.stdout
        assert worker.stdout.readline() == "ready\n"
    for worker in workers:
        assert worker.stdin
        worker.stdin.write("go\n")
        worker.stdin.flush()
    for worker in workers:
        assert worker.stdout
        answers.append(worker.stdout.readline().strip())
    assert set(answers) == {socket_path(owner)}
    server = server_at(answers[0])
    assert sorted(processes_of(temporary)) == sorted([server, keeper_of(server)])


def test_nobody_else_may_look_at_it(temporary: Path, owner: Owner) -> None:
    path = Path(ensure_running(owner))
    assert path.parent.parent == temporary / f"gws-{os.geteuid()}"
    modes = [stat.filemode(one.stat().st_mode) for one in (path, path.parent, path.parent.parent)]
    assert modes == ["srw-------", "drwx------", "drwx------"]


def test_it_listens_nowhere_else(owner: Owner) -> None:
    server = server_at(ensure_running(owner))
    tables = "".join(Path(f"/proc/{server}/net/{name}").read_text() for name in ("tcp", "tcp6"))
    sockets = {os.readlink(f"/proc/{server}/fd/{fd}") for fd in os.listdir(f"/proc/{server}/fd")}
    inodes = {found[1] for found in (re.fullmatch(r"socket:\[(\d+)\]", one) for one in sockets) if found}
    assert inodes
    assert not [line for line in tables.splitlines() if line.split()[9] in inodes]


def test_it_is_found_by_whoever_comes_later(owner: Owner) -> None:
    server = server_at(ensure_running(owner))
    assert server_at(ensure_running(owner)) == server


def test_each_owner_has_its_own(owner: Owner, start_process: Callable[..., subprocess.Popen[str]]) -> None:
    other = owner_of(start_process("input()"))
    assert server_at(ensure_running(owner)) != server_at(ensure_running(other))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL], ids=["Ctrl-C", "SIGKILL"])
def test_it_outlives_who_started_it(
    owner: Owner, start_process: Callable[..., subprocess.Popen[str]], number: signal.Signals
) -> None:
    worker = start_process(WORKER, str(owner.pid))
    assert worker.stdin
    assert worker.stdout
    worker.stdin.write("go\n")
    worker.stdin.flush()
    assert worker.stdout.readline() == "ready\n"
    path = worker.stdout.readline().strip()
    server = server_at(path)
    keeper = keeper_of(server)
    # No signal to the group of the worker, or from its terminal, can reach them.
    assert {os.getsid(server), os.getsid(keeper)}.isdisjoint({os.getsid(worker.pid), os.getsid(0)})
    assert os.getsid(keeper) != keeper, "it could come by a terminal"
    assert status_of(keeper)["PPid"] != str(worker.pid)
    os.killpg(worker.pid, number)
    assert worker.wait(DEADLINE) != 0
    assert server_at(path) == server


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL], ids=["SIGTERM", "SIGKILL"])
def test_it_ends_with_its_owner_and_leaves_nothing(
    master: subprocess.Popen[str], owner: Owner, number: signal.Signals
) -> None:
    path = ensure_running(owner)
    server = server_at(path)
    keeper = keeper_of(server)
    # Nobody collects the owner's exit status before the server has gone.
    master.send_signal(number)
    wait_for(lambda: not os.path.exists(os.path.dirname(path)), "the folder to go")
    wait_for(lambda: has_ended(server) and has_ended(keeper), "the server to end")


def test_one_that_is_frozen_ends_with_its_owner_too(master: subprocess.Popen[str], owner: Owner) -> None:
    path = ensure_running(owner)
    server = server_at(path)
    os.kill(server, signal.SIGSTOP)
    with pytest.raises(BackplaneError, match="did not answer within 5 s"):
        ensure_running(owner)
    master.kill()
    wait_for(lambda: has_ended(server), "the server to end")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL], ids=["SIGTERM", "SIGKILL"])
def test_one_that_is_killed_comes_back_by_itself(owner: Owner, number: signal.Signals) -> None:
    path = ensure_running(owner)
    server = server_at(path)
    keeper = keeper_of(server)
    for _ in range(2):
        os.kill(server, number)
        server = server_after(server, path)
    assert keeper_of(server) == keeper


def test_a_signal_to_all_that_runs_ends_nothing_before_the_owner(owner: Owner) -> None:
    path = ensure_running(owner)
    server = server_at(path)
    keeper = keeper_of(server)
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
        os.kill(keeper, number)
    os.kill(server, signal.SIGKILL)
    server = server_after(server, path)
    assert keeper_of(server) == keeper


def test_it_dies_with_its_keeper_and_another_is_started(owner: Owner) -> None:
    path = ensure_running(owner)
    server = server_at(path)
    keeper = keeper_of(server)
    os.kill(keeper, signal.SIGKILL)
    wait_for(lambda: has_ended(server), "the server to end")
    assert ensure_running(owner) == path
    assert server_at(path) not in (0, server)


@pytest.mark.parametrize("what", ["socket", "folder"])
def test_one_that_cannot_be_found_any_more_makes_way_for_another(owner: Owner, what: str) -> None:
    path = ensure_running(owner)
    server = server_at(path)
    if what == "folder":
        shutil.rmtree(os.path.dirname(path))
    else:
        os.unlink(path)
    assert ensure_running(owner) == path
    assert server_at(path) not in (0, server)
    wait_for(lambda: has_ended(server), "the server to end")


def test_the_owner_has_ended(temporary: Path, master: subprocess.Popen[str], owner: Owner) -> None:
    master.kill()
    master.wait(DEADLINE)
    with pytest.raises(BackplaneError, match=f"process {owner.pid}, and that has ended"):
        ensure_running(owner)
    assert os.listdir(temporary) == []


def test_a_later_process_of_the_owners_number_is_not_the_owner(owner: Owner) -> None:
    later = Owner(owner.pid, str(int(owner.started) - 1))
    with pytest.raises(BackplaneError, match="has ended"):
        ensure_running(later)


def a_link(folder: Path) -> None:
    folder.with_name("elsewhere").mkdir(mode=0o700)
    folder.symlink_to("elsewhere")


def a_file(folder: Path) -> None:
    folder.touch(0o700)


def open_to_others(folder: Path) -> None:
    folder.mkdir()
    folder.chmod(0o710)


@pytest.mark.parametrize("level", ["user's", "owner's"])
@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (a_link, "is not a folder"),
        (a_file, "is not a folder"),
        (open_to_others, "has the mode 710, not 700"),
    ],
)
def test_what_stands_in_its_way_is_refused(
    temporary: Path, owner: Owner, make: Callable[[Path], None], reason: str, level: str
) -> None:
    folder = Path(socket_path(owner)).parent
    if level == "user's":
        folder = folder.parent
    else:
        folder.parent.mkdir(mode=0o700)
    make(folder)
    with pytest.raises(BackplaneError, match=re.escape(f"{folder} {reason}")):
        ensure_running(owner)
    assert not processes_of(temporary)


def test_a_folder_of_somebody_else_is_refused(tmp_path: Path) -> None:
    folder = Path("/")
    if os.geteuid() == 0:
        folder = tmp_path / "a stranger's"
        folder.mkdir(mode=0o700)
        os.chown(folder, 1, -1)
    with pytest.raises(BackplaneError, match=re.escape(f"{folder} belongs to user ")):
        _check_private_folder(str(folder))


def test_a_server_that_cannot_start_says_why_at_once(temporary: Path, owner: Owner) -> None:
    script = """
        import os, resource, sys, time
        from gws.errors import BackplaneError
        from gws.backplane.embedded.keeper import Owner
        from gws.backplane.embedded.private_server import ensure_running
        # Valkey takes 32 files for itself.
        resource.setrlimit(resource.RLIMIT_NOFILE, (30, 30))
        began = time.monotonic()
        try:
            ensure_running(Owner(int(sys.argv[1]), sys.argv[2]))
        except BackplaneError as error:
            assert time.monotonic() - began < 5
            print(error)
    """
    said = python(script, str(owner.pid), owner.started)
    assert "embedded://: the private Valkey server could not be started" in said
    assert "Your current 'ulimit -n' of 30 is not enough for the server to start" in said
    assert "ended with exit status 1" in said
    # It was no fault of the folder's.
    assert server_at(ensure_running(owner))


def test_what_a_killed_keeper_left_is_removed_once_its_owner_has_ended(
    owner: Owner, start_process: Callable[..., subprocess.Popen[str]]
) -> None:
    another = start_process("input()")
    path = ensure_running(owner_of(another))
    server = server_at(path)
    os.kill(keeper_of(server), signal.SIGKILL)
    wait_for(lambda: has_ended(server), "the server to end")
    another.kill()
    another.wait(DEADLINE)
    assert os.path.exists(path)
    ensure_running(owner)
    assert not os.path.exists(os.path.dirname(path))


def test_the_folder_of_a_living_server_stays_though_its_owner_is_not_to_be_seen(
    temporary: Path, owner: Owner
) -> None:
    folder = Path(socket_path(Owner(owner.pid, "1"))).parent
    folder.parent.mkdir(mode=0o700)
    folder.mkdir(mode=0o700)
    in_another_container = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(in_another_container, fcntl.LOCK_EX)
        ensure_running(owner)
        assert folder.exists()
    finally:
        os.close(in_another_container)


def test_the_socket_is_in_tmp_where_the_name_of_the_folder_is_too_long(
    monkeypatch: pytest.MonkeyPatch, owner: Owner
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", "/" + "long" * 20)
    assert socket_path(owner).startswith("/tmp/gws-")
    monkeypatch.setattr(tempfile, "tempdir", "/short")
    assert socket_path(owner) == f"/short/gws-{os.geteuid()}/{owner.pid}-{owner.started}/socket"


def test_a_process_that_is_no_worker_is_its_own_owner() -> None:
    assert find_owner().pid == os.getpid()
    assert find_owner().is_alive()


def test_the_master_owns_the_server_of_its_workers_and_waiting_for_it_leaves_the_hub_running(
    temporary: Path, start_server: StartServer, way: str
) -> None:
    server = start_server("private_server", way)
    owner, path = json.loads(server.get("/start"))
    assert owner == server.process.pid
    # What a worker has open, its listening socket foremost, is not the keeper's.
    files = Path(f"/proc/{keeper_of(server_at(path))}/fd")
    assert not [fd for fd in files.iterdir() if os.readlink(fd).startswith("socket:")]
    with server.stopping():
        pass
    wait_for(lambda: not os.path.exists(os.path.dirname(path)), "the folder to go")
