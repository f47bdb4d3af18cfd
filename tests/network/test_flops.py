"""MACs are half of what XLA counts, where both count the padding."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax import lax

import jaxcompress as jc
from jaxcompress.data import Task
from jaxcompress.models import ResNet, as_function
from jaxcompress.network import Network


def he_initialised(depth: int) -> tuple[Any, Any]:
    """Weights from NumPy: JAX would compile a program for every shape."""
    rng = np.random.default_rng(0)
    abstract = nnx.eval_shape(
        lambda: ResNet(Task((32, 32, 3), 10), depth, rngs=nnx.Rngs(0))
    )
    graph, state = nnx.split(abstract)

    def draw(x: jax.ShapeDtypeStruct) -> jax.Array:
        if len(x.shape) < 2:  # biases, and statistics of every kind
            return jnp.ones(x.shape)
        fan_in = int(np.prod(x.shape[:-1]))
        return jnp.asarray(rng.normal(size=x.shape) * (2 / fan_in) ** 0.5, jnp.float32)

    return as_function(nnx.merge(graph, jax.tree.map(draw, state)))


def contractions(jaxpr: Any) -> list[Any]:
    """All convolutions and dots of a jaxpr, those of inner ones included."""
    found = []
    for eqn in jaxpr.eqns:
        if eqn.primitive.name in ("conv_general_dilated", "dot_general"):
            found.append(eqn)
        for value in eqn.params.values():
            inner = getattr(value, "jaxpr", value)
            if hasattr(inner, "eqns"):
                found += contractions(inner)
    return found


def flops_with_padding(network: Network) -> float:
    """XLA's count of what the function itself multiplies, on inputs that are padded."""
    example = jax.ShapeDtypeStruct((1, *network.example.shape[1:]), jnp.float32)
    closed = jax.make_jaxpr(network.apply)(network.params, example)
    total, known = 0.0, {}
    for eqn in contractions(closed.jaxpr):
        params, shapes = dict(eqn.params), [list(v.aval.shape) for v in eqn.invars]
        if eqn.primitive.name == "conv_general_dilated":
            spaces = params["dimension_numbers"].lhs_spec[2:]
            for d, (low, high) in zip(spaces, params["padding"], strict=True):
                shapes[0][d] += low + high
            params["padding"] = ((0, 0),) * len(spaces)
        key = (eqn.primitive.name, str(shapes), str(params))
        if key not in known:
            arrays = [jax.ShapeDtypeStruct(tuple(s), jnp.float32) for s in shapes]
            bind = jax.jit(lambda a, b, e=eqn, p=params: e.primitive.bind(a, b, **p))
            analysis = bind.lower(*arrays).compile().cost_analysis()
            assert analysis is not None
            known[key] = analysis["flops"]
        total += known[key]
    return total


@pytest.mark.parametrize("depth", [20, pytest.param(56, marks=pytest.mark.slow)])
def test_macs_of_a_compact_resnet_are_xlas(depth: int) -> None:
    apply, params = he_initialised(depth)
    network = jc.trace(apply, params, jnp.ones((2, 32, 32, 3)))
    halves = {g.name: jnp.arange(g.size) % 2 == 0 for g in network.prunable}
    small = jc.compact(network, jc.Plan(channels=halves))
    # Every convolution but the first loses half of both its sides.
    assert 0.24 * network.macs < small.macs < 0.27 * network.macs
    for each in (network, small):
        assert flops_with_padding(each) == pytest.approx(2 * each.macs, rel=0.05)


def test_xla_leaves_the_padding_out() -> None:
    """3x3 on 4x4 pixels: 16 positions of 9, of which the padding takes 44 of 144."""
    w, x = jnp.ones((3, 3, 2, 5)), jnp.ones((1, 4, 4, 2))

    def apply(w: jax.Array, x: jax.Array) -> jax.Array:
        numbers = ("NHWC", "HWIO", "NHWC")
        return lax.conv_general_dilated(x, w, (1, 1), "SAME", dimension_numbers=numbers)

    analysis = jax.jit(apply).lower(w, x).compile().cost_analysis()
    assert analysis is not None
    assert jc.trace(apply, w, x).macs == 144 * 2 * 5
    assert analysis["flops"] == 2 * 100 * 2 * 5
