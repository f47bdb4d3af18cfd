"""Merging the values that a compact network shares: by hand, and what is written."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxcompress as jc
from jaxcompress.compress import merge
from jaxcompress.objectives import Values

pytestmark = pytest.mark.usefixtures("compiled_quickly")
# In bins of width 1 from 0 to 3; one value of bin 0 in the first weight, of two entries.
P = {
    "in": jnp.asarray([[0.0, 0.5], [1.0, 2.0]], jnp.float32),
    "out": jnp.asarray([[1.0, 2.0], [3.0, 3.0]], jnp.float32),
}


def apply(p: Any, x: Any) -> Any:
    return jnp.tanh(x @ p["in"]) @ p["out"]


NETWORK = jc.trace(apply, P, jnp.ones((2, 2)))
SPACE = jc.Space(NETWORK, (jc.genes.Codebook((2, 4)),))


def test_values_and_merges_by_hand() -> None:
    plan = SPACE.decode(SPACE.dense)
    assert float(jax.jit(Values(), static_argnums=0)(NETWORK, plan)) == 4
    small = jc.compact(NETWORK, plan)
    bars: list[float] = []

    def score(params: Any, at_least: float) -> float:
        """Nothing is lost as long as no weight is moved by more than a half."""
        bars.append(at_least)
        moved = [np.abs(params[path] - P[path]).max() for path in P]
        return float(max(moved) <= 0.5)

    # The codebook is 0.25 1 2 3, of 2 entries each. From the left: 0.25 and 1 become
    # 0.625, further than a half from 0, refused; 1 and 2 become 1.5; 3 cannot join it.
    merged, found = merge(small, score)
    assert found.codebook.tolist() == [0.25, 1.5, 3] and found.places.tolist() == [
        0,
        1,
        1,
        2,
    ]
    assert bars[0] == -np.inf and set(bars[1:]) == {1.0}
    expected = {"in": [[0.25, 0.25], [1.5, 1.5]], "out": [[1.5, 1.5], [3, 3]]}
    assert merged.coding is not None
    for path, values in expected.items():
        assert np.asarray(merged.params[path]).tolist() == values
        coding = merged.coding[path]
        assert coding.codebook is not None and coding.codes is not None
        assert coding.codebook[coding.codes].tolist() == values and coding.bits == 2
    # From the middle: 1 and 2 again, now first; then no value can join it on either side.
    assert merge(small, score, "centre_to_end")[1].codebook.tolist() == [0.25, 1.5, 3]


def test_zeros_stay_zeros() -> None:
    kinds = (jc.genes.Sparsity((0.25, 0.5)), jc.genes.Codebook((2, 4)))
    space = jc.Space(NETWORK, kinds)
    small = jc.compact(NETWORK, space.decode(jnp.asarray([0, 1, 1])))
    merged, found = merge(small, lambda params, at_least: 1.0)
    # Of "in" 1 and 2 stay, of "out" 2, 3 and 3: all one value, their mean.
    np.testing.assert_allclose(found.codebook, [11 / 5], rtol=1e-6)
    one = found.codebook[0]
    assert np.asarray(merged.params["in"]).tolist() == [[0, 0], [one, one]]
    assert np.asarray(merged.params["out"]).tolist() == [[0, one], [one, one]]


def test_without_one_codebook_it_says_so() -> None:
    with pytest.raises(ValueError, match="0 codebooks that are not one"):
        merge(NETWORK, lambda params, at_least: 1.0)
    bits = jc.Space(NETWORK, (jc.genes.WeightBits(),))
    with pytest.raises(ValueError, match="no codebook; add"):
        Values()(NETWORK, bits.decode(bits.dense))
