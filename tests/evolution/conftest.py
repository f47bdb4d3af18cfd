"""All tests of this folder run under JAX's strict promotion rules."""

import jax
import pytest


# Module scope: hypothesis refuses fixtures that are set up once for many examples.
@pytest.fixture(autouse=True, scope="module")
def strict_promotion():
    with jax.numpy_dtype_promotion("strict"), jax.numpy_rank_promotion("raise"):
        yield
