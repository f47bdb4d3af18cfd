"""The gene of a library's member, and the parameters that go with it."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxcompress as jc
from jaxcompress import objectives
from jaxcompress.compress import compiled_forward, compress, reestimate

RNG = np.random.default_rng(0)
X = jnp.asarray(RNG.normal(size=(20, 4)), jnp.float32)
Y = jnp.asarray(RNG.integers(0, 3, 20), jnp.int32)
P = {
    name: jnp.asarray(RNG.normal(size=shape), jnp.float32)
    for name, shape in (("in", (4, 6)), ("bias", (6,)), ("out", (6, 3)))
}
# Three members, each with other weights; the first has the most zeros.
MEMBERS = jax.tree.map(lambda leaf: jnp.stack([leaf * f for f in (1.0, -2.0, 3.0)]), P)
SHARES = (0.75, 0.5, 0.25)
PLANS = jc.Plan(sparsity={path: jnp.asarray(SHARES) for path in ("in", "out")})
MASKS = {"in": jnp.asarray(np.tri(6, dtype=bool)[[1, 3, 5]])}


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
    for member, bits in ((0, 1), (2, 2)):
        genotype = jnp.asarray([member, bits, bits])
        plan = space.decode(genotype)
        assert space.encode(plan).tolist() == genotype.tolist()
        found = jax.jit(compress, static_argnums=0)(NETWORK, plan, MEMBERS)
        for path, weight in by_hand(member, (2, 4, 8)[bits]).items():
            np.testing.assert_allclose(found[path], weight, rtol=1e-6, atol=1e-7)
        small = jc.compact(NETWORK, plan, MEMBERS)
        outputs = compiled_forward(NETWORK)(plan, X, MEMBERS)
        np.testing.assert_allclose(small.apply(small.params, X), outputs, rtol=1e-5)
        own = jax.jit(lambda plan: reestimate(NETWORK, plan, X, MEMBERS))(plan)
        np.testing.assert_array_equal(own["bias"], MEMBERS["bias"][member])


def test_errors_and_sizes_are_those_of_the_members_alone() -> None:
    plans = PLANS.replace(channels=MASKS)
    space = jc.Space(NETWORK, (jc.genes.Library(plans), BITS))
    error = objectives.Error("cross_entropy")
    goals = (error, objectives.Size("csr", MEMBERS))
    rows = np.asarray([[0, 1, 2], [1, 0, 1], [2, 2, 0]], np.int32)
    evaluate = jc.Evaluator(NETWORK, space, goals, inputs=X, targets=Y, params=MEMBERS)
    found = np.asarray(evaluate(rows).objectives)

    @jax.jit
    def alone(plan: jc.Plan, own: Any) -> tuple[Any, Any]:
        outputs = jc.forward(NETWORK, plan, X, own)
        return error(outputs, Y), objectives.Size("csr", own)(NETWORK, plan)

    for row, values in zip(rows, found, strict=True):
        plan = space.decode(row).replace(member=None)
        own = jax.tree.map(lambda leaf, m=row[0]: leaf[m], MEMBERS)
        np.testing.assert_allclose(values, alone(plan, own), rtol=1e-6)


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
