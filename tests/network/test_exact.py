"""Masked equals compact, for every structure in the zoo."""

import jax
import pytest
from network.exact import check_exact, random_inputs
from network.zoo import ZOO

import jaxcompress as jc


@pytest.mark.parametrize("name", list(ZOO))
def test_masked_equals_compact(name: str, request: pytest.FixtureRequest) -> None:
    apply, params, example, prunable = ZOO[name](jax.random.key(1))
    network = jc.trace(apply, params, example)
    assert sum(group.size for group in network.prunable) == prunable, str(network)
    assert network.batch_reason is None
    x = random_inputs(network.example, batch=3)
    check_exact(network, x, plans=max(3, request.config.option.plans))
