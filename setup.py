"""What setup.cfg cannot say: what is compiled, what a wheel is tagged as, and the page of the package on an index."""

import os
import re
import sys
from glob import glob
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.bdist_wheel import bdist_wheel

REPOSITORY = os.environ.get("GWS_REPOSITORY", "").rstrip("/")
"""The address at which a release's sources can be read: `make package REPOSITORY=https://...`."""

TYPES = glob("gws/**/*.pxd", recursive=True)
"""The C types of the modules that every message passes, beside each of them; without Cython nothing reads these."""


def extension(types: str) -> Extension:
    """Return a module to compile. Optional: without a compiler the source does the same."""
    path = types.removesuffix(".pxd")
    found = Extension(
        path.replace("/", "."),
        [f"{path}.py"],
        depends=TYPES,
        optional=True,
        # Nobody debugs the C code, and with what that takes it is six times as large.
        extra_compile_args=["-g0"],
        extra_link_args=["-Wl,-s"] if sys.platform == "linux" else [],
    )
    # The annotations are for people and mypy; Cython would have them refuse subclasses.
    found.cython_directives = {"annotation_typing": False}
    return found


class Wheel(bdist_wheel):
    """A wheel that is tagged as what it holds: with one module not compiled it has none, and is for any machine."""

    def run(self) -> None:
        """Compile first, and see what has become of it."""
        if self.distribution.has_ext_modules():
            build = self.get_finalized_command("build_ext")
            build.run()
            outputs = [Path(output) for output in build.get_outputs()]
            if not all(output.exists() for output in outputs):
                for output in outputs:
                    output.unlink(missing_ok=True)
                self.distribution.ext_modules = []
                self.root_is_pure = True
        super().run()


def page() -> str:
    """Return the README without links that lead nowhere: an index has no files beside it."""
    target = rf"[\1]({REPOSITORY}/blob/main/\2)" if REPOSITORY else r"\1"
    return re.sub(r"\[([^]]+)\]\((?!https?:|#)([^)]+)\)", target, Path("README.md").read_text())


def project_urls() -> dict[str, str]:
    """Return the links that an index shows beside the page."""
    if not REPOSITORY:
        return {}
    paths = {"Source": "", "Documentation": "/tree/main/docs", "Changelog": "/blob/main/CHANGELOG.md"}
    return {name: REPOSITORY + path for name, path in {**paths, "Issues": "/issues"}.items()}


is_wanted = sys.implementation.name == "cpython" and not os.environ.get("GWS_PURE_PYTHON")

setup(
    ext_modules=[extension(types) for types in TYPES] if is_wanted else [],
    cmdclass={"bdist_wheel": Wheel},
    long_description=page(),
    long_description_content_type="text/markdown",
    project_urls=project_urls(),
)
