"""What the tests of this folder compile they run for milliseconds."""

import pytest


@pytest.fixture(autouse=True, scope="module")
def quickly(compiled_quickly: None) -> None:
    pass
