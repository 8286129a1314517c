"""Keeps a private Valkey server for as long as its owner lives: a program of its own, that imports next to nothing.

    python -I -S keeper.py OWNER-PID OWNER-STARTED FOLDER BINARY

`private_server` starts it. It runs in a session of its own and its parent is init, so neither Ctrl-C nor the end of the
process that started it reaches it. It is given the folder open and locked, and hands that on to the server: the lock is
held as long as either lives, so nobody starts another beside them. The server dies with its keeper (Linux only).
"""

from __future__ import annotations

import os
import select
import signal
import sys
import time

LOOK_INTERVAL = 0.5
"""Seconds between looks at the socket, and at the processes where no pidfd (Linux 5.3) tells at once."""
MISSING = 2.0
"""Seconds without a socket, which takes 0.05 to appear, after which somebody must have removed it. The server could go
on with whom it has, but the others would start a second: it ends, and everybody goes to the next."""
STEADY = 10.0
"""Seconds after which the end of a server has nothing to do with the one before."""
FIRST_DELAY = 0.05
"""Seconds before a server is started again: nobody waits long after one crash."""
LONGEST_DELAY = 2.0
"""Seconds: each crash doubles the delay up to this, shorter than the 5 that `ensure_running` waits."""
MAX_LOG = 1 << 20
"""Bytes of the log after which it begins anew: a server that crashes for days must not fill the disk."""

_SETTINGS = {
    "port": "0",
    "unixsocketperm": "600",
    # Messages pass through; there is nothing to keep.
    "save": "",
    "appendonly": "no",
    "daemonize": "no",
    "loglevel": "warning",
    # A worker has a few connections. With 32 files that the server takes for itself, these fit under the usual 1024.
    "maxclients": "960",
    # What is kept for a worker that does not read: 64 of the largest messages, so that a burst is no loss, or 16 MiB
    # for the 10 s after which the other nodes hold it dead. Then it is cut off, connects and counts what it missed.
    "client-output-buffer-limit": "pubsub 64mb 16mb 10",
}
_PR_SET_PDEATHSIG = 1


class Owner:
    """The process that a server belongs to.

    Args:
        pid: its number.
        started: when it began, as `start_time` has it, which tells it from a later process of that number.
    """

    def __init__(self, pid: int, started: str) -> None:
        self.pid = pid
        self.started = started

    def is_alive(self) -> bool:
        """Return whether it still runs."""
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return False
        except PermissionError:
            # The gunicorn master may be root, and its workers not.
            pass
        return start_time(self.pid) == self.started


def start_time(pid: int) -> str:
    """When a process began, in clock ticks since the machine did; "" if it has ended, or nothing says so.

    Field 22 of proc_pid_stat(5), of which the second may contain anything.
    """
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
    except OSError:
        return ""
    has_ended = fields[0] in (b"Z", b"X")
    return "" if has_ended else fields[19].decode()


def remove_folder(folder: str) -> None:
    """Remove a folder of files."""
    for name in os.listdir(folder):
        os.unlink(os.path.join(folder, name))
    os.rmdir(folder)


def keep(owner: Owner, folder: str, binary: str) -> None:
    """Run the server until its owner ends or its socket has gone, or its exit status says that it cannot run."""
    delay = FIRST_DELAY
    while True:
        began = time.monotonic()
        server = _start_server(folder, binary)
        status = _wait(server, owner)
        if status is None:
            # It has nothing to put in order.
            os.kill(server, signal.SIGKILL)
            os.waitpid(server, 0)
            return
        code = os.waitstatus_to_exitcode(status)
        if code > 0:
            _log(f"valkey-server ended with exit status {code}")
            return
        delay = FIRST_DELAY if time.monotonic() - began > STEADY else min(2 * delay, LONGEST_DELAY)
        how = f"was ended by signal {-code}" if code else "was told to end"
        _log(f"valkey-server {how}; another follows in {delay} s")
        time.sleep(delay)


def _start_server(folder: str, binary: str) -> int:
    """Start the server, and return its pid."""
    if os.fstat(sys.stderr.fileno()).st_size > MAX_LOG:
        os.ftruncate(sys.stderr.fileno(), 0)
    keeper = os.getpid()
    server = os.fork()
    if server:
        return server
    try:
        _end_with(keeper)
        command = [binary, "--unixsocket", os.path.join(folder, "socket")]
        for name, value in _SETTINGS.items():
            command += [f"--{name}", value]
        os.execv(binary, command)
    except OSError as error:
        _log(f"{binary}: {error.strerror}")
    finally:
        os._exit(127)


def _end_with(keeper: int) -> None:
    """Have the kernel kill this process as soon as the keeper ends, however that comes about."""
    try:
        import ctypes

        prctl = ctypes.CDLL(None).prctl
    except (ImportError, OSError, AttributeError):
        return
    prctl(_PR_SET_PDEATHSIG, ctypes.c_ulong(signal.SIGKILL))
    if os.getppid() != keeper:
        os._exit(1)


def _wait(server: int, owner: Owner) -> int | None:
    """Wait for the server to end, and return its status; None as soon as there is no use for it."""
    owner_fd, server_fd = _open_pidfd(owner.pid), _open_pidfd(server)
    poll = select.poll()
    for fd in (owner_fd, server_fd):
        if fd is not None:
            poll.register(fd, select.POLLIN)
    seen = time.monotonic()
    try:
        while owner.is_alive():
            now = time.monotonic()
            # In the folder that this process is in, even if there is another of its name by now.
            if os.path.exists("socket"):
                seen = now
            elif now - seen > MISSING:
                break
            readable = [fd for fd, _ in poll.poll(LOOK_INTERVAL * 1000)]
            if owner_fd in readable:
                break
            pid, status = os.waitpid(server, os.WNOHANG)
            if pid:
                return status
        return None
    finally:
        for fd in (owner_fd, server_fd):
            if fd is not None:
                os.close(fd)


def _open_pidfd(pid: int) -> int | None:
    """Return a descriptor that is readable once the process has ended, where there are such."""
    try:
        return os.pidfd_open(pid)
    except (AttributeError, OSError):
        return None


def _log(line: str) -> None:
    sys.stderr.write(f"keeper: {line}\n")
    sys.stderr.flush()


def main() -> None:
    """Leave the process that was started to its end, and keep the server in another."""
    if os.fork():
        os._exit(0)
    # Stopping a service may signal all its processes at once: the server is there until the last worker has gone.
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.umask(0o077)
    pid, started, folder, binary = sys.argv[1:]
    owner = Owner(int(pid), started)
    keep(owner, folder, binary)
    if not owner.is_alive():
        remove_folder(folder)


if __name__ == "__main__":
    main()
