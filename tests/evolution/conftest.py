"""All tests of this folder run under JAX's strict promotion rules, and optimised."""

from collections.abc import Iterator

import jax
import pytest


# Module scope: hypothesis refuses fixtures that are set up once for many examples.
@pytest.fixture(autouse=True, scope="module")
def strict_promotion() -> Iterator[None]:
    with jax.numpy_dtype_promotion("strict"), jax.numpy_rank_promotion("raise"):
        yield


@pytest.fixture(autouse=True, scope="module")
def optimised() -> Iterator[None]:
    """Hundreds of generations: what runs shortly is compiled by `quick`."""
    before = jax.config.read("jax_disable_most_optimizations")
    jax.config.update("jax_disable_most_optimizations", False)
    yield
    jax.config.update("jax_disable_most_optimizations", before)
