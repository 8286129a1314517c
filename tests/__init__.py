"""Tests of gws; what fails in their helpers is explained like what fails in themselves."""

import pytest

pytest.register_assert_rewrite(
    *(
        f"{__name__}.{name}"
        for name in ("case", "conversation", "harness", "program", "raw_client", "running_app")
    )
)
