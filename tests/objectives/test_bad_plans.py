"""Plans that do not fit the network: every cost refuses them before it computes."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from network.zoo import ZOO

import jaxcompress as jc
from jaxcompress.objectives import (
    Bops,
    Constraint,
    Energy,
    Latency,
    Macs,
    Parameters,
    Size,
)

TABLE = {"device": "none", "batch_size": 1, "layers": {}}
COSTS = [
    Macs(),
    Parameters(),
    Bops(),
    Energy(),
    Latency(TABLE),
    Size("dense"),
    Size("range"),
    Macs() <= 1.0,
]
NETWORK = jc.trace(*ZOO["mlp"](jax.random.key(0))[:3])

# Visible while a plan is traced, too: names, shapes and types.
TRACED: list[Any] = [
    ({"channels": {"z": np.ones(6, bool)}}, "no channel group 'z'; there are"),
    ({"channels": {"a": [True] * 6}}, r"is a list; give an array, bool of shape \(6,"),
    ({"channels": {"a": np.ones(6, np.int32)}}, r"6 channels, its mask is int32 of"),
    ({"channels": {"a": np.ones((2, 6), bool)}}, r"its mask is bool of shape \(2, 6\)"),
    ({"blocks": {"z": np.asarray(True)}}, "no block 'z'"),
    ({"weight_bits": {"z": 4}}, "no layer's weight 'z'"),
    ({"weight_bits": {"a": np.float32(4)}}, "bits of 'a' are one integer; got float32"),
    ({"weight_bits": {"a": np.full(3, 4)}}, r"one integer; got int\d+ of shape \(3,\)"),
    ({"activation_bits": {"z": 4}}, "no layer 'z'"),
    ({"activation_bits": {"a": [4]}}, "bits of 'a' are one integer; got a list"),
    ({"codebook_sizes": {"a": [4]}}, "codebook of 'a' is one integer; got a list"),
    ({"sparsity": {"a": [0.5]}}, "share of 'a' .* is one number; got a list"),
    ({"ranks": {"a": np.ones(1)}}, r"has ranks, float\d+ of shape \(1,\); wanted 1 int"),
    ({"granularity": "row"}, "granularity is 'row'; allowed"),
]
# Values: what names a layer and its weight alike must not hide one from the other.
CONCRETE: list[Any] = [
    ({"channels": {"a": np.zeros(6, bool)}}, "no channel of group 'a' is left"),
    (
        {
            "weight_bits": {"a": 40},
            "activation_bits": {"a": 4},
            "activation_ranges": {"a": np.asarray([0.0, 1.0], np.float32)},
        },
        "'a' has 40 bits; allowed",
    ),
    ({"weight_bits": {"a": 0}}, "'a' has 0 bits; allowed"),
    ({"sparsity": {"a": jnp.float32(1.0)}}, r"allowed: \[0, 1\)"),
]


@pytest.mark.parametrize(("plan", "words"), TRACED + CONCRETE)
def test_every_cost_refuses_a_plan_that_does_not_fit(
    plan: dict[str, Any], words: str
) -> None:
    for cost in COSTS:
        call = cost.violation if isinstance(cost, Constraint) else cost
        with pytest.raises(ValueError, match=f"^plan: .*{words}"):
            call(NETWORK, jc.Plan(**plan))


@pytest.mark.parametrize(("plan", "words"), TRACED)
def test_a_traced_plan_is_refused_too(plan: dict[str, Any], words: str) -> None:
    for cost in COSTS[:-1]:
        with pytest.raises(ValueError, match=f"^plan: .*{words}"):
            jax.eval_shape(lambda plan, cost=cost: cost(NETWORK, plan), jc.Plan(**plan))
