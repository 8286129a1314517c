"""Whether the hot modules run compiled by Cython, where they were; `GWS_PURE_PYTHON=1` has Python run their sources."""

from __future__ import annotations

import logging
import os
import sys
from importlib.machinery import SOURCE_SUFFIXES, FileFinder, SourceFileLoader
from importlib.util import find_spec
from typing import Final


def _import_sources_only() -> None:
    """Python prefers an extension module to the source beside it, unless its finder knows of none."""
    (package,) = sys.modules["gws"].__path__
    for folder, _, _ in os.walk(package):
        sys.path_importer_cache[folder] = FileFinder(folder, (SourceFileLoader, SOURCE_SUFFIXES))


if os.environ.get("GWS_PURE_PYTHON"):
    _import_sources_only()

_spec = find_spec("gws.connection.transport")
is_compiled: Final[bool] = _spec is not None and not str(_spec.origin).endswith(".py")
"""Whether this process runs what was compiled."""


def why_not() -> str:
    """Return why the sources run, and how to have them compiled; "" if they are."""
    if is_compiled:
        return ""
    if os.environ.get("GWS_PURE_PYTHON"):
        return "GWS_PURE_PYTHON is set"
    return (
        "there was no C compiler, or no Python.h, when it was installed; when both are there, install it again "
        "with pip's --force-reinstall --no-deps --no-cache-dir"
    )


def log_why_not() -> None:
    """Say once, where a server begins, that the sources run."""
    if not is_compiled:
        logging.getLogger("gws").debug("gws runs its sources, which are slower: %s", why_not())
