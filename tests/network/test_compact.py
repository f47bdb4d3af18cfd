"""A compact network is a network: traced, transformed, exported, and really smaller."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import export
from network.exact import check_exact, close, compiled, random_inputs, random_plan
from network.zoo import ZOO

import jaxcompress as jc
from jaxcompress.network import Network


@pytest.fixture(scope="module", params=["resnet_padded", "grouped_queries", "lstm"])
def pair(request: pytest.FixtureRequest) -> tuple[Network, Network]:
    network = jc.trace(*ZOO[request.param](jax.random.key(2))[:3])
    return network, jc.compact(network, halves(network))


def halves(network: Network) -> jc.Plan:
    masks = {g.name: jnp.arange(g.size) < -(-g.size // 2) for g in network.prunable}
    return jc.Plan(channels=masks)


def test_it_is_compacted_again(pair: tuple[Network, Network]) -> None:
    _, small = pair
    again = jc.trace(small.apply, small.params, small.example)
    assert again.macs == small.macs and again.size == small.size
    assert [g.size for g in again.prunable] == [g.size for g in small.prunable]
    check_exact(small, random_inputs(small.example, 3), plans=1)
    smallest = jc.compact(small, random_plan(small, 1, fewest=True))
    assert smallest.macs <= small.macs


def test_any_batch_size_under_jit_and_vmap(pair: tuple[Network, Network]) -> None:
    _, small = pair
    x = random_inputs(small.example, 6)
    whole = compiled(small.apply)(small.params, x)
    close(whole[:1], compiled(small.apply)(small.params, x[:1]))
    pairs = x.reshape(3, 2, *x.shape[1:])
    mapped = compiled(jax.vmap(small.apply, (None, 0)))(small.params, pairs)
    close(whole, mapped.reshape(whole.shape))


def test_its_gradient_is_that_of_the_masked_network(pair: tuple[Network, Network]) -> None:
    network, small = pair
    plan, x = halves(network), random_inputs(network.example, 3)

    @compiled
    def gradients(wide: Any, thin: Any) -> Any:
        def masked(params: Any) -> jax.Array:
            return jnp.square(jc.forward(network, plan, x, params)).sum()

        def compact(params: Any) -> jax.Array:
            return jnp.square(small.apply(params, x)).sum()

        return jax.grad(masked)(wide), jax.grad(compact)(thin)

    wide, thin = gradients(network.params, small.params)
    alive = network.alive_on_host(plan.channels)
    for path, expected in network.narrowed(wide, alive).items():
        close(expected, small.leaves(thin)[path])
        assert np.abs(expected).max() > 0, path


def test_it_is_exported_for_any_batch_size(pair: tuple[Network, Network]) -> None:
    _, small = pair
    (batch,) = export.symbolic_shape("batch")
    symbolic = jax.ShapeDtypeStruct((batch, *small.example.shape[1:]), small.example.dtype)
    exported = export.export(jax.jit(lambda x: small.apply(small.params, x)))(symbolic)
    restored = export.deserialize(exported.serialize())
    for size in (1, 4):
        x = random_inputs(small.example, size)
        close(compiled(small.apply)(small.params, x), restored.call(x))


def test_its_cost_really_falls(pair: tuple[Network, Network]) -> None:
    """By XLA's count of everything, not only of convolutions and dots."""
    network, small = pair

    def flops(network: Network) -> float:
        lowered = jax.jit(network.apply).lower(network.params, network.example)
        analysis = lowered.compile().cost_analysis()
        assert analysis is not None
        return float(analysis["flops"])

    assert flops(small) < 0.8 * flops(network)
    assert small.macs < 0.8 * network.macs
