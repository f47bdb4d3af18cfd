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
SHAPES = {"a": (40, 150), "b": (150, 170), "c": (170, 10)}
PARAMS = {
    name: jnp.asarray(RNG.laplace(size=s) / np.sqrt(s[0]), jnp.float32)
    for name, s in SHAPES.items()
}
NETWORK = jc.trace(
    lambda p, x: jax.nn.relu(jax.nn.relu(x @ p["a"]) @ p["b"]) @ p["c"],
    PARAMS,
    jnp.ones((2, 40)),
)


def plan_of(kind: str, seed: int) -> jc.Plan:
    rng = np.random.default_rng(seed)
    channels = {
        g.name: jnp.asarray(rng.permutation(g.size) < rng.integers(g.size // 2, g.size + 1))
        for g in NETWORK.prunable
    }
    bits = {p: jnp.int32(rng.choice([1, 2, 4, 8, 16, 32])) for p in SHAPES}
    zeros = {p: jnp.float32(rng.choice([0.0, 0.5, 0.9])) for p in SHAPES}
    sizes: Any = {p: jnp.int32(rng.integers(2, 65)) for p in SHAPES}
    if kind == "bits":
        return jc.Plan(channels=channels, weight_bits=bits)
    if kind == "joint":
        ranks = {
            p: jnp.asarray([rng.integers(1, n + 1) for n in basis.full], jnp.int32)
            for p, basis in bases(NETWORK).items()
        }
        return jc.Plan(channels=channels, weight_bits=bits, sparsity=zeros, ranks=ranks)
    scope = "network" if kind == "one codebook" else "layer"
    if scope == "network":
        sizes = dict.fromkeys(sizes, sizes["a"])
    return jc.Plan(
        channels=channels, codebook_sizes=sizes, sparsity=zeros, codebook_scope=scope
    )


KINDS = ("bits", "joint", "codebooks", "one codebook")


@pytest.mark.parametrize("kind", KINDS)
def test_every_coding_stores_what_is_there_and_is_estimated_within_2_percent(kind) -> None:
    sizes = {
        how: compiled(lambda plan, how=how: jc.objectives.Size(how)(NETWORK, plan))
        for how in ("dense", "range", "csr")[: 3 if kind == "joint" else 2]
    }
    for seed in range(4):
        plan = plan_of(kind, seed)
        values, coding = coded_parameters(NETWORK, plan)
        for how in CODINGS:
            header, payload = encode(values, coding, how)
            found = {path: (leaf, code) for path, leaf, code in decode(header, payload)}
            assert [*found] == [*values]
            for path, (leaf, code) in found.items():
                np.testing.assert_array_equal(leaf, values[path])
                assert code.bits == coding[path].bits
            if how in sizes:
                real = parameter_bytes(values, coding, how)
                assert float(sizes[how](plan)) == pytest.approx(real, rel=0.02)


def test_one_codebook_is_stored_once() -> None:
    plan = plan_of("one codebook", 0)
    header, _ = encode(*coded_parameters(NETWORK, plan))
    assert len(header["books"]) == 1
    assert header["books"][0] <= int(plan.codebook_sizes["a"])


def test_fewer_bits_and_more_zeros_never_cost_more() -> None:
    size = compiled(lambda plan: jc.objectives.Size("dense")(NETWORK, plan))
    before = np.inf
    for bits in (32, 16, 8, 7, 6, 5, 4, 3, 2, 1):
        after = float(size(jc.Plan(weight_bits={p: jnp.int32(bits) for p in SHAPES})))
        assert after < before
        before = after
    entropy = compiled(lambda plan: jc.objectives.Size("range")(NETWORK, plan))
    before = np.inf
    for share in (0.0, 0.5, 0.75, 0.9, 0.97):
        plan = jc.Plan(
            weight_bits={p: jnp.int32(4) for p in SHAPES},
            sparsity={p: jnp.float32(share) for p in SHAPES},
        )
        after = float(entropy(plan))
        assert after < before
        before = after
