"""What `gws doctor` looks at in the server: gunicorn as it is configured here, the backplane, descriptors, versions."""

from __future__ import annotations

import os
import re
import resource
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping
from importlib import metadata
from importlib.util import find_spec
from typing import Final

from .. import compiled
from ..backplane import urls
from ..cluster.publisher import Publisher
from ..errors import GwsError
from ..printable import printable
from .findings import Finding, error, note, ok, warning
from .loading import Route
from .version import describe

WORKERS: Final = ("gws.worker.Worker", "geventwebsocket.gunicorn.workers.GeventWebSocketWorker")
"""The worker classes that serve WebSockets."""
SPARE: Final = 64
"""File descriptors of a process beside its connections."""
_GUNICORN_TIMEOUT: Final = 30.0
"""Seconds to read gunicorn's configuration, which is a program."""

Config = Mapping[str, str]
"""gunicorn's settings by name, as it prints them; empty where gunicorn is not configured."""


def check_server(routes: list[Route], arguments: str | None) -> Iterator[Finding]:
    """Yield what there is to say of how the application is served.

    Args:
        routes: the application's WebSockets.
        arguments: gunicorn's, as they are written behind `gunicorn`; None if there are none.
    """
    config: Config = {}
    if arguments is None and not _is_configured():
        yield note(
            "gunicorn",
            "not configured here: no gunicorn.conf.py, no GUNICORN_CMD_ARGS",
            "to check how it is started, give --gunicorn='-w 4 ...'; or start it as `gws run --workers 4`",
        )
    else:
        config, complaint = _read_config(arguments or "")
        if complaint:
            yield error(
                "gunicorn", f"its configuration cannot be read: {complaint}", "try gunicorn --check-config"
            )
        else:
            yield from _check_worker(config)
    yield from _check_backplanes(routes, int(config.get("workers", "1")))
    yield from _check_descriptors(config)
    yield from _check_versions()


def _is_configured() -> bool:
    return os.path.exists("gunicorn.conf.py") or bool(os.environ.get("GUNICORN_CMD_ARGS"))


def _read_config(arguments: str) -> tuple[Config, str]:
    """Return gunicorn's settings, read by itself; or why they cannot be."""
    if find_spec("gunicorn") is None:
        return {}, "gunicorn is not installed"
    # Any callable: only the configuration matters, and the application's own is loaded already.
    command = [sys.executable, "-m", "gunicorn", *shlex.split(arguments), "--print-config", "flask:Flask"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_GUNICORN_TIMEOUT, check=False)
    except subprocess.TimeoutExpired:
        return {}, f"it is not read after {_GUNICORN_TIMEOUT:g} s"
    if done.returncode:
        return {}, printable(
            (done.stderr.strip() or done.stdout.strip() or "no reason given").splitlines()[-1]
        )
    return dict(re.findall(r"(?m)^(\w+) += (.*)$", done.stdout)), ""


def _check_worker(config: Config) -> Iterator[Finding]:
    name, workers = config.get("worker_class", ""), int(config.get("workers", "1"))
    shown = printable(name)
    if name not in WORKERS:
        yield error(
            "worker",
            f"gunicorn's worker class is {shown}, which answers WebSockets with 501",
            "gunicorn -k gws.worker.Worker",
        )
    elif name != WORKERS[0]:
        yield warning("worker", f"{shown} bounds no request's head, and no time for it", f"use {WORKERS[0]}")
    else:
        yield ok("worker", f"{workers} of {shown}")
    cores = os.cpu_count() or 1
    if workers > 2 * cores:
        yield note(
            "worker", f"{workers} workers on {cores} cores", "one a core is as fast, and takes less memory"
        )
    if config.get("preload_app") == "True":
        yield warning(
            "worker",
            "with --preload an application that patches itself keeps gunicorn from noticing that a worker has died",
            "leave --preload out, or patch with monkey.patch_all(signal=False, os=False)",
        )


def _check_backplanes(routes: list[Route], workers: int) -> Iterator[Finding]:
    for url in sorted({route.endpoint.backplane_url or "" for route in routes}):
        yield from _check_backplane(url, workers)


def _check_backplane(url: str, workers: int) -> Iterator[Finding]:
    if url in ("", urls.EMBEDDED) and urls.has_embedded():
        yield ok("backplane", "embedded://, for the workers of one gunicorn")
    elif url == "" and workers == 1:
        yield ok("backplane", "none, and one process needs none")
    elif url in ("", urls.MEMORY):
        if workers > 1:
            yield error(
                "backplane",
                f"{workers} workers and no backplane: broadcasts and rooms reach the clients of one worker only",
                "pip install 'gevent-gws[embedded]', or set GWS_BACKPLANE_URL=redis://...",
            )
        else:
            yield ok("backplane", "memory://, for one process")
    else:
        yield _try_backplane(url)


def _try_backplane(url: str) -> Finding:
    shown = urls.redact(url)
    try:
        with Publisher(url) as publisher:
            count = len(publisher.endpoints())
    except (GwsError, ValueError) as refusal:
        return error(
            "backplane", printable(str(refusal), 600), "start the server, or change GWS_BACKPLANE_URL"
        )
    return ok("backplane", f"{shown} answers; endpoints of running processes: {count}")


def _check_descriptors(config: Config) -> Iterator[Finding]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = int(config.get("worker_connections", "0"))
    if soft != resource.RLIM_INFINITY and soft < max(most + SPARE, 1025):
        yield warning(
            "descriptors",
            f"a process may have {soft} files open, and so about {soft - SPARE} connections"
            + (f", and not the {most} of --worker-connections" if most > soft - SPARE else ""),
            f"ulimit -n {max(most + SPARE, 65536)}, or LimitNOFILE= in the systemd unit (the most is {hard})",
        )
    else:
        yield ok("descriptors", f"{soft} a process")


def _check_versions() -> Iterator[Finding]:
    unmet = list(_unmet_requirements())
    for requirement in unmet:
        yield error("versions", f"gws needs {requirement}", f"pip install '{requirement.partition(', ')[0]}'")
    if not unmet:
        yield ok("versions", ", ".join(describe()))
    if not compiled.is_compiled:
        yield note("versions", "gws's hot modules are not compiled", compiled.why_not())


def _unmet_requirements() -> Iterator[str]:
    """Yield what is installed in a version that gws does not run on; nothing where nobody can compare versions."""
    try:
        # Not at the top: gunicorn brings it, and nobody else needs it.
        from packaging.requirements import Requirement
    except ImportError:
        return
    for text in metadata.requires("gevent-gws") or []:
        requirement = Requirement(text)
        try:
            installed = metadata.version(requirement.name)
        except metadata.PackageNotFoundError:
            continue
        is_meant = requirement.marker is None or any(
            requirement.marker.evaluate({"extra": extra}) for extra in ("", "gunicorn", "redis", "cli")
        )
        if is_meant and not requirement.specifier.contains(installed, prereleases=True):
            yield f"{requirement.name}{requirement.specifier}, and {installed} is installed"
