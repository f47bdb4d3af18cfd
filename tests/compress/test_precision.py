"""Products in bfloat16: what is rounded, and what stays as it is."""

from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest
from network.exact import random_inputs, random_plan
from network.zoo import ZOO

import jaxcompress as jc
from jaxcompress.compress import Products, kept_first, masked, narrow
from jaxcompress.compress.precision import PRODUCTS
from jaxcompress.network import normalisations

KEYS = jax.random.split(jax.random.key(0), 3)
WEIGHTS = {
    "w": jax.random.normal(KEYS[0], (12, 16)),
    "v": jax.random.normal(KEYS[1], (16, 5)),
}


def mlp(params: dict[str, Any], x: Any) -> Any:
    return jnp.tanh(x @ params["w"]) @ params["v"]


def of_bfloat16(x: Any) -> np.ndarray:
    return np.asarray(x, np.float32).astype(ml_dtypes.bfloat16).astype(np.float64)


def test_operands_of_dots_are_rounded_and_sums_are_not() -> None:
    x = jax.random.normal(KEYS[2], (7, 12))
    network = jc.trace(mlp, WEIGHTS, x)
    hidden = np.tanh(of_bfloat16(x) @ of_bfloat16(WEIGHTS["w"]))
    wanted = of_bfloat16(hidden) @ of_bfloat16(WEIGHTS["v"])
    found = masked(network, jc.Plan(), x, WEIGHTS, products=Products(precision="bfloat16"))
    assert found.dtype == jnp.float32
    # Not closer: what is halfway between two numbers may round to the other.
    np.testing.assert_allclose(found, wanted, rtol=0, atol=5e-3)
    plain = masked(network, jc.Plan(), x, WEIGHTS)
    apart = np.abs(np.asarray(plain, np.float64) - wanted).mean()
    assert np.abs(np.asarray(found, np.float64) - wanted).mean() < apart / 10


def products(jaxpr: Any) -> Iterator[Any]:
    """Walks a jaxpr and all that are in it."""
    for eqn in jaxpr.eqns:
        if eqn.primitive.name in PRODUCTS:
            yield eqn
        for inner in jax.tree.leaves(
            list(eqn.params.values()), is_leaf=lambda p: hasattr(p, "eqns")
        ):
            inner = getattr(inner, "jaxpr", inner)
            if hasattr(inner, "eqns"):
                yield from products(inner)


@pytest.mark.parametrize("thin", [False, True])
@pytest.mark.parametrize("name", ["vgg", "scanned_layers"])
def test_every_product_is_in_bfloat16(
    name: str, thin: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(narrow, "LEAST", 2)
    monkeypatch.setattr(narrow, "MULTIPLE", 1)
    apply, params, example, _ = ZOO[name](jax.random.key(1))
    network = jc.trace(apply, params, example)
    plan, x = random_plan(network, 1), random_inputs(example, 3)
    coded = jc.compress(network, plan)
    if thin:
        plan, coded = kept_first(network, plan, coded)

    def run(precision: str) -> Any:
        products = Products(narrow=thin, neighbours=thin, precision=precision)
        return lambda x: masked(network, plan, x, coded, products=products)

    types = {
        precision: {
            operand.aval.dtype
            for eqn in products(jax.make_jaxpr(run(precision))(x).jaxpr)
            for operand in eqn.invars
        }
        for precision in ("float32", "bfloat16")
    }
    assert types == {p: {jnp.dtype(p)} for p in types}
    plain, rounded = (np.asarray(jax.jit(run(precision))(x)) for precision in types)
    assert rounded.dtype == plain.dtype == np.float32
    apart = np.abs(rounded - plain).max() / np.abs(plain).max()
    assert 0 < apart < 0.05


def test_calibration_is_in_bfloat16_too() -> None:
    apply, params, example, _ = ZOO["resnet_projection"](jax.random.key(1))
    network = jc.trace(apply, params, example)
    assert normalisations(network)
    space = jc.Space(network, (jc.genes.WeightBits((4, 8)),))
    x = random_inputs(example, 6)
    labels = np.zeros(6, np.int32)
    count = {}
    for calibration in (None, x):
        evaluate = jc.Evaluator(
            network,
            space,
            (jc.objectives.Error(),),
            inputs=x,
            targets=labels,
            calibration=calibration,
            precision="bfloat16",
        )
        jaxpr = jax.make_jaxpr(evaluate.pure)(jnp.asarray(space.dense)[None]).jaxpr
        found = [operand for eqn in products(jaxpr) for operand in eqn.invars]
        assert {operand.aval.dtype for operand in found} == {jnp.dtype("bfloat16")}
        count[calibration is None] = len(found)
    assert count[False] == 2 * count[True]


def test_a_search_in_bfloat16_counts_the_same_costs() -> None:
    x = jax.random.normal(KEYS[2], (40, 12))
    network = jc.trace(mlp, WEIGHTS, x[:2])
    space = jc.Space(network, (jc.genes.ChannelCount(), jc.genes.WeightBits((2, 4, 8))))
    labels = np.asarray(mlp(WEIGHTS, x).argmax(1))
    goals = (jc.objectives.Error("cross_entropy"), jc.objectives.Size("dense"))

    def evaluated(precision: str) -> jc.Evaluator:
        given = {"inputs": x, "targets": labels}
        return jc.Evaluator(network, space, goals, precision=precision, **given)

    rows = np.asarray(space.sample(jax.random.key(3), 6))
    plain, rounded = (
        np.asarray(evaluated(p)(rows).objectives) for p in ("float32", "bfloat16")
    )
    np.testing.assert_array_equal(plain[:, 1], rounded[:, 1])
    assert (plain[:, 0] != rounded[:, 0]).any()
    np.testing.assert_allclose(plain[:, 0], rounded[:, 0], rtol=0.05)
    with pytest.raises(ValueError, match="precision is 'half'; allowed: float32, bfloat16"):
        evaluated("half")
