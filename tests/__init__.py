"""Tests of gws; what fails in their helpers is explained like what fails in themselves.

They run gws's sources, as what was compiled of them may be older; `GWS_PURE_PYTHON= pytest` runs what was compiled.
"""

import os
import sys

os.environ.setdefault("GWS_PURE_PYTHON", "1")

# The applications in `tests.apps` run in processes without it.
if "pytest" in sys.modules:
    sys.modules["pytest"].register_assert_rewrite(f"{__name__}.support")
