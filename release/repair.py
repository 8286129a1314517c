"""Tag the wheels of a folder as an index takes them: `python -m release.repair dist`.

A wheel for Linux is built with the tag `linux_x86_64`, which an index refuses. auditwheel looks up which C library the
modules need, and tags the wheel as manylinux or musllinux.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path


def main(folder: Path) -> None:
    """Show and repair each wheel that is for this machine; the others are as an index takes them."""
    for wheel in folder.glob("*-linux_*.whl"):
        missing = [program for program in ("auditwheel", "patchelf") if not shutil.which(program)]
        if missing:
            print(
                f"{wheel.name} keeps its tag, which an index refuses: {' and '.join(missing)} not found. "
                "Install the extra `release`, and build it again with `make wheel`."
            )
            return
        subprocess.run(["auditwheel", "show", str(wheel)], check=True)
        subprocess.run(["auditwheel", "repair", "--wheel-dir", str(folder), str(wheel)], check=True)
        wheel.unlink()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
