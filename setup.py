"""All metadata lives in setup.cfg; here is what Cython compiles, where it and a C compiler can be had."""

import os
import sys
from glob import glob

from setuptools import Extension, setup

TYPES = glob("gws/**/*.pxd", recursive=True)
"""The C types of the modules that every message passes, beside each of them; without Cython nothing reads these."""


def extension(types: str) -> Extension:
    """A module to compile. Optional: without a compiler the source does the same."""
    path = types.removesuffix(".pxd")
    found = Extension(path.replace("/", "."), [f"{path}.py"], depends=TYPES, optional=True)
    # The annotations are for people and mypy; Cython would have them refuse subclasses.
    found.cython_directives = {"annotation_typing": False}
    return found


is_wanted = sys.implementation.name == "cpython" and not os.environ.get("GWS_PURE_PYTHON")

setup(ext_modules=[extension(types) for types in TYPES] if is_wanted else [])
