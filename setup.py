"""All metadata lives in setup.cfg; here is what Cython compiles, where it and a C compiler can be had."""

import os
import sys
from glob import glob

from setuptools import Extension, setup

HOT = ("protocol.frames", "protocol.messages", "hub_io", "transport", "connection", "conversation")
"""Modules that every message passes. Beside each lies a `.pxd` with its C types; without Cython nothing reads that."""


def extension(module: str) -> Extension:
    """A module to compile. Optional: without a compiler the source does the same."""
    source = f"gws/{module.replace('.', '/')}.py"
    found = Extension(f"gws.{module}", [source], depends=glob("gws/**/*.pxd", recursive=True), optional=True)
    # The annotations are for people and mypy; Cython would have them refuse subclasses.
    found.cython_directives = {"annotation_typing": False}
    return found


is_wanted = sys.implementation.name == "cpython" and not os.environ.get("GWS_PURE_PYTHON")

setup(ext_modules=[extension(module) for module in HOT] if is_wanted else [])
