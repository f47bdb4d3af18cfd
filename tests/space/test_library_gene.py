"""The gene of a library's member, and the parameters that go with it."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxcompress as jc
from jaxcompress import objectives
from jaxcompress.artifact import parameter_bytes
from jaxcompress.compress import (
    coded_parameters,
    compiled_forward,
    compress,
    reestimate,
)

RNG = np.random.default_rng(0)
X = jnp.asarray(RNG.normal(size=(20, 9)), jnp.float32)
Y = jnp.asarray(RNG.integers(0, 3, 20), jnp.int32)
P = {
    name: jnp.asarray(RNG.normal(size=shape), jnp.float32)
    for name, shape in (("in", (9, 12)), ("bias", (12,)), ("out", (12, 3)))
}
# Three members, each with other weights; the first has the most zeros.
MEMBERS = jax.tree.map(lambda leaf: jnp.stack([leaf * f for f in (1.0, -2.0, 3.0)]), P)
SHARES = (0.75, 0.5, 0.25)
PLANS = jc.Plan(sparsity={path: jnp.asarray(SHARES) for path in ("in", "out")})


pytestmark = pytest.mark.usefixtures("compiled_quickly")


def apply(p: Any, x: Any) -> Any:
    return jnp.maximum(x @ p["in"] + p["bias"], 0.0) @ p["out"]


NETWORK = jc.trace(apply, P, X[:2])
BITS = jc.genes.WeightBits((2, 4, 8), granularity="tensor", scale_by="max")


def by_hand(member: int, bits: int) -> dict[str, np.ndarray]:
    """The member's weights: magnitude pruned and on a grid of the largest, in float64."""
    found = {p: np.asarray(leaf[member], np.float64) for p, leaf in MEMBERS.items()}
    for path in ("in", "out"):
        weight = found[path]
        zeros = int(np.floor(SHARES[member] * weight.size + 0.5))
        cut = np.sort(np.abs(weight), axis=None)[zeros - 1]
        scale = np.abs(weight).max() / (2 ** (bits - 1) - 1)
        found[path] = np.where(np.abs(weight) > cut, scale * np.rint(weight / scale), 0.0)
    return found


def test_a_genotype_is_the_member_with_its_own_weights() -> None:
    space = jc.Space(NETWORK, (jc.genes.Library(PLANS), BITS))
    assert space.names[0] == "member of the library"
    assert space.cardinality.tolist() == [3, 3, 3] and space.dense.tolist() == [2, 2, 2]
    coder = jax.jit(lambda plan: compress(NETWORK, plan, MEMBERS))
    for member, bits in ((0, 1), (2, 2)):
        genotype = jnp.asarray([member, bits, bits])
        plan = space.decode(genotype)
        assert space.encode(plan).tolist() == genotype.tolist()
        found = coder(plan)
        for path, weight in by_hand(member, (2, 4, 8)[bits]).items():
            np.testing.assert_allclose(found[path], weight, rtol=1e-6, atol=1e-7)
        own = reestimate(NETWORK, plan, X, MEMBERS)
        np.testing.assert_array_equal(own["bias"], MEMBERS["bias"][member])


def test_errors_and_sizes_are_those_of_the_members_files() -> None:
    """In one member all entries are alike, in another all but one are zeros of the grid."""
    flat = {path: np.sign(leaf) + 0.0 for path, leaf in P.items()}
    spiked = {path: leaf * 0.01 for path, leaf in P.items()}
    for path in ("in", "out"):
        spiked[path] = spiked[path].at[-1, -1].set(9.0)
    members = jax.tree.map(lambda *x: jnp.stack(x), flat, spiked)
    plans = jc.Plan(channels={"in": jnp.asarray([[False] * 2 + [True] * 10] * 2)})
    space = jc.Space(NETWORK, (jc.genes.Library(plans), BITS))
    quality = objectives.Error("cross_entropy")
    goals = (quality, objectives.Size("csr", members))
    rows = np.asarray([[0, 1, 2], [1, 1, 2]], np.int32)
    evaluate = jc.Evaluator(NETWORK, space, goals, inputs=X, targets=Y, params=members)
    found = np.asarray(evaluate(rows).objectives)
    for row, (error, size) in zip(rows, found, strict=True):
        plan = space.decode(row)
        outputs = compiled_forward(NETWORK)(plan, X, members)
        np.testing.assert_allclose(error, quality(outputs, Y), rtol=1e-5)
        file = parameter_bytes(*coded_parameters(NETWORK, plan, members), "csr")
        assert abs(size - file) <= 16  # headers differ
    assert found[0, 1] - found[1, 1] > 60


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="give one axis of all members"):
        jc.genes.Library(jc.Plan())
    with pytest.raises(ValueError, match=r"channels, .* alone"):
        jc.genes.Library(jc.Plan(weight_bits={"in": jnp.asarray([4, 8])}))
    uneven = {"in": jnp.zeros(2), "out": jnp.zeros(3)}
    with pytest.raises(ValueError, match="leading axes"):
        jc.genes.Library(jc.Plan(sparsity=uneven))
    with pytest.raises(ValueError, match="two gene kinds decide about the sparsity"):
        jc.Space(NETWORK, (jc.genes.Library(PLANS), jc.genes.Sparsity()))
    with pytest.raises(ValueError, match="allowed"):
        jc.Space(NETWORK, (jc.genes.Library(jc.Plan(sparsity={"in": jnp.ones(2)})),))
    plan = jc.Space(NETWORK, (jc.genes.Library(PLANS),)).decode(jnp.asarray([1]))
    with pytest.raises(ValueError, match="give the parameters of all members, stacked"):
        compress(NETWORK, plan)
