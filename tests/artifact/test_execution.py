"""Files that compute with codes: what they hold, what they run, what they say of it."""

import re
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from compress.test_kinds import NETWORK, X, joint
from hypothesis import given, settings, strategies as st
from network.exact import compiled

import jaxcompress as jc
from jaxcompress.artifact import executable
from jaxcompress.codings.held import held
from jaxcompress.codings.tensor import Coding
from jaxcompress.inspect import described, lines
from jaxcompress.network import Codes
from jaxcompress.network.coded import dense


@settings(max_examples=20, deadline=None)
@given(
    st.integers(1, 8),
    st.lists(st.integers(1, 4), min_size=1, max_size=3),
    st.sampled_from(["grid", "codebook", "some of a codebook"]),
    st.integers(0, 99),
)
def test_codes_in_memory_are_the_values(
    bits: int, shape: list[int], table: str, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    if table == "grid":
        top = max(1, 2 ** (bits - 1) - 1)
        codes = rng.integers(-top, top + 1, shape)
        scale = rng.normal(size=[1] * (len(shape) - 1) + shape[-1:]).astype(np.float32)
        coding, wanted = Coding(bits, codes, scale), codes.astype(np.float32) * scale
    else:
        book = np.sort(rng.normal(size=2**bits)).astype(np.float32)
        codes = rng.integers(0, 2**bits, shape)
        kept = None if table == "codebook" else rng.random(shape) < 0.5
        coding = Coding(bits, codes, codebook=book, nonzero=kept)
        wanted = np.where(True if kept is None else kept, book[codes], 0)
    found = held(coding)
    if found is None:  # 256 values and a zero
        assert bits == 8 and coding.nonzero is not None
        return
    assert found.codes.nbytes == (wanted.size if found.bits > 4 else -(-wanted.size // 2))
    held_codes = Codes(
        jnp.asarray(found.codes),
        jnp.asarray(found.table),
        shape=tuple(shape),
        bits=found.bits,
        grid=found.grid,
        integer=False,
    )
    np.testing.assert_array_equal(dense(held_codes), wanted)


@pytest.fixture(scope="module")
def plan() -> jc.Plan:
    """All kinds, every input on a grid of 8 bits."""
    ranges = jc.calibrate(NETWORK, X)
    return joint(0).replace(
        ranks={},
        weight_bits={"a": np.int32(8), "b": np.int32(4), "e": np.int32(1)},
        sparsity={"a": np.float32(0.3), "c": np.float32(0.5)},
        activation_bits=dict.fromkeys(ranges, np.int32(8)),
        activation_ranges=ranges,
    )


def test_each_layer_says_what_it_runs(plan: jc.Plan, tmp_path: Path) -> None:
    small = jc.compact(NETWORK, plan)
    wanted = {"a": "int8", "b": "int8", "e": "int8"}
    wide = {path: f"float32 from {small.coding[path].bits}-bit codes" for path in "cd"}
    here = jax.jit(small.apply)(small.params, X)
    for execution in ("packed", "integer"):
        path = tmp_path / f"{execution}.jcz"
        jc.save(path, small, execution=execution)
        file = jc.load(path)
        said = {layer.weight: layer.executed for layer in file.layers}
        text = file.program.exported.mlir_module()
        # StableHLO's own words: operands of 8 bits, sums of 32.
        run = re.findall(r"stablehlo\.(?:convolution|dot_general).*xi8>.*xi8>.*xi32>", text)
        if execution == "packed":
            bits = {"a": 8, "b": 4, "e": small.coding["e"].bits}
            codes = {path: f"float32 from {bits[path]}-bit codes" for path in bits}
            assert said == wide | codes and not run
        else:
            assert said == wide | wanted
            assert len(run) == 3 * len(file.program.platforms)  # each has its own
        assert {argument.dtype.name for argument in file.arguments} == {"uint8", "float32"}
        # Rounding to a grid makes of a last bit a step.
        np.testing.assert_allclose(file(X), here, atol=0.02 * np.abs(here).max())
        for leaf, own in zip(file.leaves, jax.tree.leaves(small.params), strict=True):
            np.testing.assert_array_equal(leaf, own)
        page = "\n".join(lines(described(file)))
        assert f"executed in {said['a']}\n" in page and "4-bit codes" in page
    with pytest.raises(ValueError, match="execution is 'int4'; allowed"):
        jc.save(tmp_path / "never.jcz", small, execution="int4")


def test_factors_and_their_contraction_are_float32() -> None:
    plan = joint(0).replace(codebook_sizes={}, sparsity={}, kernel_sparsity={})
    small = jc.compact(NETWORK, plan)
    function = executable(small, "integer")
    got = compiled(function.apply)(function.params, X)
    wanted = compiled(small.apply)(small.params, X)
    np.testing.assert_allclose(got, wanted, atol=1e-5 * np.abs(wanted).max())
