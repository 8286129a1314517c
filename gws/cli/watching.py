"""Notices that a Python file has changed: by the operating system, with watchfiles, or by looking again and again."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Final

POLL_INTERVAL: Final = 0.5
"""Seconds between two looks at all files, which take a millisecond for each hundred of them."""

_IGNORED: Final = {"__pycache__", "node_modules", "site-packages", "build", "dist", "venv"}
"""Folders with other people's files. Those that begin with a dot are too."""

Tell = Callable[[list[str]], object]


class Watcher:
    """A thread that watches the Python files below some folders.

    Args:
        folders: all that is watched.
        tell: called in the thread with the paths of files that have changed, come or gone.
    """

    def __init__(self, folders: list[str], tell: Tell) -> None:
        self.means = "watchfiles" if find_spec("watchfiles") else "polling"
        self._folders = folders
        self._tell = tell
        self._stop = threading.Event()
        self._thread = threading.Thread(target=getattr(self, f"_use_{self.means}"), daemon=True)
        self._begin = snapshot(folders) if self.means == "polling" else {}

    def start(self) -> None:
        """Watch from now on."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread."""
        self._stop.set()
        self._thread.join(1)

    def _use_watchfiles(self) -> None:
        # Not at the top: the package is optional.
        import watchfiles

        for changes in watchfiles.watch(
            *self._folders,
            watch_filter=lambda _, path: path.endswith(".py") and not self._is_foreign(path),
            # Milliseconds to wait for more: a log below the folders may never be still.
            debounce=400,
            stop_event=self._stop,
            rust_timeout=200,
            raise_interrupt=False,
        ):
            self._tell(sorted({path for _, path in changes}))

    def _use_polling(self) -> None:
        before = self._begin
        while not self._stop.wait(POLL_INTERVAL):
            now = snapshot(self._folders)
            changed = sorted(path for path, _ in before.items() ^ now.items())
            before = now
            if changed:
                self._tell(list(dict.fromkeys(changed)))

    def _is_foreign(self, path: str) -> bool:
        (folder,) = [folder for folder in self._folders if os.path.commonpath([folder, path]) == folder][:1]
        return any(map(_is_foreign, Path(os.path.relpath(path, folder)).parts[:-1]))


def snapshot(folders: list[str]) -> dict[str, tuple[int, int]]:
    """Return when each Python file below the folders was changed, and its size."""
    return {path: found for folder in folders for path in _python_files(folder) if (found := _look(path))}


def _python_files(folder: str) -> Iterator[str]:
    for parent, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not _is_foreign(name)]
        yield from (os.path.join(parent, name) for name in files if name.endswith(".py"))


def _look(path: str) -> tuple[int, int] | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size


def _is_foreign(name: str) -> bool:
    return name in _IGNORED or name.startswith(".")
