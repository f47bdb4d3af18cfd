"""The size on the device against the bytes that the real encoders make."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from network.exact import compiled

import jaxcompress as jc
from jaxcompress.artifact import parameter_bytes
from jaxcompress.artifact.tensors import decode, encode
from jaxcompress.codings import CODINGS
from jaxcompress.compress import coded_parameters
from jaxcompress.space.bases import bases

RNG = np.random.default_rng(0)
SHAPES = {"a": (3, 3, 3, 40), "b": (3, 3, 40, 100), "c": (100, 500), "d": (500, 300)}
NUMBERS = ("NHWC", "HWIO", "NHWC")


def weights() -> dict[str, jax.Array]:
    """Laplacian, and of every channel a scale of its own, as in a trained network.

    What makes a channel large makes its consumer's weights large, too: the channels that
    a rank prunes are those that hold the zeros.
    """
    values, inputs = {}, np.ones(3)
    for name, shape in SHAPES.items():
        outputs = np.exp(0.6 * RNG.normal(size=shape[-1]))
        spread = RNG.laplace(size=shape) / np.sqrt(np.prod(shape[:-1]))
        values[name] = jnp.asarray(spread * inputs[:, None] * outputs, jnp.float32)
        inputs = outputs
    return values


def apply(p: Any, x: Any) -> Any:
    for name in "ab":
        x = jax.lax.conv_general_dilated(
            x, p[name], (1, 1), "SAME", dimension_numbers=NUMBERS
        )
        x = jax.nn.relu(x)
    x = x.mean((1, 2))
    return jax.nn.relu(x @ p["c"]) @ p["d"]


NETWORK = jc.trace(apply, weights(), jnp.ones((2, 4, 4, 3)))
SPACE = jc.Space(NETWORK, (jc.genes.ChannelCount(),))


def channels_of(rng: np.random.Generator, ranked: bool = True) -> Any:
    """A quarter of the channels or more: the first ones by rank, or any."""
    if ranked:
        genotype = [int(rng.integers(n // 4, n)) for n in SPACE.cardinality]
        return SPACE.decode(np.asarray(genotype)).channels
    return {
        g.name: jnp.asarray(rng.permutation(g.size) < rng.integers(g.size // 4, g.size + 1))
        for g in NETWORK.prunable
    }


# Each kind is estimated in some codings (every one compiles for seconds), stored in all.
KINDS: dict[str, tuple[tuple[str, ...], dict[str, Any]]] = {
    "bits": (("range", "csr"), {}),
    "one scale": (("huffman",), {"granularity": "tensor", "scale_by": "max"}),
    "joint": (("csr",), {"granularity": "tensor", "scale_by": "percentile"}),
    "zeros": (("range", "csr"), {}),
    "zeros of one scale": (("huffman",), {"granularity": "tensor"}),
    "kernels": (("range",), {"scale_by": "max", "sparsity_scope": "network"}),
    "codebooks": (("coo",), {}),
    "one codebook": (("huffman",), {"codebook_scope": "network"}),
    "one codebook of factors": (("huffman",), {"codebook_scope": "network"}),
}
SLOW = ("zeros of one scale", "one codebook of factors")
SIZES = {
    how: compiled(lambda plan, how=how: jc.objectives.Size(how)(NETWORK, plan))
    for how in CODINGS
}


def plan_of(kind: str, seed: int) -> jc.Plan:
    rng = np.random.default_rng(seed)
    channels = channels_of(rng, ranked=seed != 1)
    bits: Any = {p: jnp.int32(rng.choice([1, 2, 3, 4, 5, 6, 7, 8, 16, 32])) for p in SHAPES}
    zeros: Any = {p: jnp.float32(rng.choice([0.0, 0.5, 0.9, 0.97])) for p in SHAPES}
    sizes: Any = {p: jnp.int32(rng.integers(2, 65)) for p in SHAPES}
    plan = jc.Plan(channels=channels, **KINDS[kind][1])
    ranks = {
        p: jnp.asarray([rng.integers(1, n + 1) for n in basis.full], jnp.int32)
        for p, basis in bases(NETWORK).items()
    }
    if kind == "joint":
        return plan.replace(weight_bits=bits, sparsity=zeros, ranks=ranks)
    if kind == "kernels":
        kernels = {p: jnp.float32(rng.choice([0.0, 0.4, 0.8])) for p in "ab"}
        zeros = dict.fromkeys(zeros, jnp.float32(rng.choice([0.5, 0.9])))
        return plan.replace(weight_bits=bits, kernel_sparsity=kernels, sparsity=zeros)
    if "codebook" in kind:
        if kind.startswith("one codebook"):
            sizes = dict.fromkeys(sizes, sizes["a"])
        if kind.endswith("of factors"):
            # The one table serves both factors of a weight, too, and is stored once.
            plan = plan.replace(ranks=ranks)
        return plan.replace(codebook_sizes=sizes, sparsity=zeros)
    return plan.replace(weight_bits=bits, sparsity=zeros if "zeros" in kind else {})


@pytest.mark.parametrize(
    "kind",
    [
        pytest.param(kind, marks=pytest.mark.slow) if kind in SLOW else kind
        for kind in KINDS
    ],
)
def test_every_coding_stores_what_is_there_and_is_estimated_within_2_percent(kind) -> None:
    for seed in range(2):
        plan = plan_of(kind, seed)
        values, coding = coded_parameters(NETWORK, plan)
        for how in CODINGS:
            header, payload = encode(values, coding, how)
            found = {path: (leaf, code) for path, leaf, code in decode(header, payload)}
            assert [*found] == [*values]
            for path, (leaf, code) in found.items():
                np.testing.assert_array_equal(leaf, values[path])
                assert code.bits == coding[path].bits
        for how in KINDS[kind][0]:
            real = parameter_bytes(values, coding, how)
            assert float(SIZES[how](plan)) == pytest.approx(real, rel=0.02), (how, seed)


def test_one_codebook_is_stored_once() -> None:
    plan = plan_of("one codebook", 0)
    header, _ = encode(*coded_parameters(NETWORK, plan))
    assert len(header["books"]) == 1
    assert header["books"][0] <= int(plan.codebook_sizes["a"])


@pytest.mark.parametrize("kind", ["bits", "one scale"])
def test_fewer_bits_never_cost_more_in_any_coding(kind: str) -> None:
    """From 2 bits on: a grid of 1 bit has no zero."""
    plan, before = plan_of(kind, 0), np.zeros(len(CODINGS))
    for bits in (2, 3, 4, 5, 6, 7, 8, 16):
        plan = plan.replace(weight_bits={p: jnp.int32(bits) for p in SHAPES})
        stored = coded_parameters(NETWORK, plan)
        real = np.asarray([parameter_bytes(*stored, how) for how in CODINGS])
        assert (real > before).all()
        for how in KINDS[kind][0]:
            found = parameter_bytes(*stored, how)
            assert float(SIZES[how](plan)) == pytest.approx(found, rel=0.02), (how, bits)
        before = real
    at_one = coded_parameters(
        NETWORK, plan.replace(weight_bits={p: jnp.int32(1) for p in SHAPES})
    )
    dense = parameter_bytes(*at_one, "dense")
    assert all(parameter_bytes(*at_one, how) <= dense + 16 for how in CODINGS)


def test_more_zeros_never_cost_more() -> None:
    before = np.inf
    for share in (0.0, 0.5, 0.75, 0.9, 0.97):
        plan = jc.Plan(
            weight_bits={p: jnp.int32(4) for p in SHAPES},
            sparsity={p: jnp.float32(share) for p in SHAPES},
        )
        after = float(SIZES["range"](plan))
        assert after < before
        before = after
