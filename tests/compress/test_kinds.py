"""Every kind of compression together: masked equals compact, and does what it says."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from network.exact import compiled

import jaxcompress as jc
from jaxcompress.compress import coded_parameters, verify
from jaxcompress.space.bases import bases

SHAPES = {"a": (3, 3, 3, 6), "b": (3, 3, 6, 8), "c": (1, 1, 8, 7), "d": (9, 7), "e": (9, 4)}
RNG = np.random.default_rng(0)
PARAMS = {
    name: jnp.asarray(RNG.normal(size=s) / np.sqrt(np.prod(s[:-1])), jnp.float32)
    for name, s in SHAPES.items()
}
X = jnp.asarray(RNG.normal(size=(4, 8, 8, 3)), jnp.float32)


def apply(p, x):
    """Convolutions with and without a window, and dense layers from either side."""

    def conv(x, w, stride=1):
        numbers = ("NHWC", "HWIO", "NHWC")
        return lax.conv_general_dilated(
            x, w, (stride, stride), "SAME", dimension_numbers=numbers
        )

    h = jax.nn.relu(conv(x, p["a"]))
    h = jax.nn.relu(conv(h, p["b"], 2))
    h = jax.nn.relu(conv(h, p["c"])).mean((1, 2))
    h = jax.nn.relu(p["d"] @ h[..., None])[..., 0]
    return h @ p["e"]


NETWORK = jc.trace(apply, PARAMS, X)
FULL = {path: basis.full for path, basis in bases(NETWORK).items()}


def joint(seed: int) -> jc.Plan:
    """A plan with every kind; ranks and zeros of every layer, some at their ends."""
    rng = np.random.default_rng(seed)
    return jc.Plan(
        channels={
            g.name: jnp.asarray(rng.permutation(g.size) < rng.integers(1, g.size + 1))
            for g in NETWORK.prunable
        },
        ranks={
            path: jnp.asarray([rng.integers(1, f + 1) for f in FULL[path]], jnp.int32)
            for path in ("a", "c", "d", "e")
        },
        kernel_sparsity={"b": jnp.float32(rng.choice([0.0, 0.5]))},
        sparsity={p: jnp.float32(rng.choice([0.0, 0.3, 0.8])) for p in ("a", "b", "e")},
        codebook_sizes={p: jnp.int32(rng.integers(2, 9)) for p in ("c", "d")},
        weight_bits={p: jnp.int32(rng.choice([1, 2, 4, 32])) for p in ("a", "b", "e")},
    )


FORWARD = compiled(lambda plan, x: jc.forward(NETWORK, plan, x))


@pytest.mark.parametrize("seed", range(3))
def test_masked_equals_compact(seed: int) -> None:
    plan = joint(seed)
    small = jc.compact(NETWORK, plan)
    assert verify(NETWORK, plan, small, X) <= 1e-5
    values, coding = coded_parameters(NETWORK, plan)
    assert list(values) == list(small.leaves())
    for path, leaf in small.leaves().items():
        assert (np.asarray(leaf) == values[path]).all()
        code = coding[path]
        if code.codebook is not None and code.codes is not None:
            shown = code.codebook[code.codes]
            kept = np.ones(leaf.shape, bool) if code.nonzero is None else code.nonzero
            assert (np.where(kept, shown, 0.0) == values[path]).all()
            name = path.split("/")[0]
            assert len(code.codebook) <= int(plan.codebook_sizes[name])
            assert len(np.unique(code.codes[kept])) == len(code.codebook)
        elif code.scale is not None and code.codes is not None:
            assert (code.codes.astype(np.float32) * code.scale == values[path]).all()
            assert np.abs(code.codes).max(initial=0) <= max(1, 2 ** (code.bits - 1) - 1)


@pytest.fixture(scope="module")
def halved() -> tuple[dict[str, list[int]], Any]:
    """Half of every rank, and the weights that they leave."""
    ranks = {p: [max(1, full // 2) for full in each] for p, each in FULL.items()}
    plan = jc.Plan(ranks={p: jnp.asarray(r, jnp.int32) for p, r in ranks.items()})
    return ranks, compiled(lambda plan: jc.compress(NETWORK, plan))(plan)


@pytest.mark.parametrize("path", list(FULL))
def test_low_rank_is_the_truncated_decomposition(
    path: str, halved: tuple[dict[str, list[int]], Any]
) -> None:
    weight = np.asarray(PARAMS[path], np.float64)
    ranks, found = halved[0][path], np.asarray(halved[1][path], np.float64)
    if len(ranks) == 1:
        out = {"c": 3, "d": 0, "e": 1}[path]
        unfolded = np.moveaxis(weight, out, -1).reshape(-1, weight.shape[out])
        u, s, vt = np.linalg.svd(unfolded, full_matrices=False)
        best = (u[:, : ranks[0]] * s[: ranks[0]]) @ vt[: ranks[0]]
        seen = np.moveaxis(found, out, -1).reshape(unfolded.shape)
        np.testing.assert_allclose(seen, best, atol=1e-5)
        assert np.linalg.matrix_rank(seen, tol=1e-4) == ranks[0]
        return
    wanted = weight
    for axis, rank in zip((2, 3), ranks, strict=True):
        unfolded = np.moveaxis(weight, axis, 0).reshape(weight.shape[axis], -1)
        u = np.linalg.svd(unfolded, full_matrices=False)[0][:, :rank]
        wanted = np.moveaxis(np.tensordot(u @ u.T, wanted, (1, axis)), 0, axis)
        seen = np.moveaxis(found, axis, 0).reshape(unfolded.shape)
        assert np.linalg.matrix_rank(seen, tol=1e-4) == rank
    np.testing.assert_allclose(found, wanted, atol=1e-5)


def test_full_ranks_change_nothing_and_low_ones_make_real_factors(
    halved: tuple[dict[str, list[int]], Any],
) -> None:
    full = {path: jnp.asarray(f, jnp.int32) for path, f in FULL.items()}
    small = jc.compact(NETWORK, jc.Plan(ranks=full))
    assert (small.size, small.macs) == (NETWORK.size, NETWORK.macs)
    low = {path: jnp.asarray(ranks) for path, ranks in halved[0].items()}
    small = jc.compact(NETWORK, jc.Plan(ranks=low))
    # By hand: 3x3x3x6 at ranks 1 and 3 on 8x8, 3x3x6x8 at 3 and 4 to 4x4, 8 to 7 at 3.
    macs = 64 * (3 + 9 * 3 + 18) + 64 * 6 * 3 + 16 * (9 * 12 + 4 * 8) + 16 * (8 + 7) * 3
    assert small.macs == macs + (7 + 9) * 3 + (9 + 4) * 2
    assert len(small.layers) == 3 + 3 + 2 + 2 + 2


def test_kernels_and_entries_fall_by_magnitude_among_survivors() -> None:
    kept = jnp.arange(6) != 2
    plan = jc.Plan(channels={"a": kept}, kernel_sparsity={"b": jnp.float32(0.5)})
    weight = np.asarray(PARAMS["b"])
    found = np.asarray(jc.compress(NETWORK, plan)["b"])[:, :, np.asarray(kept)]
    alive = weight[:, :, np.asarray(kept)]
    norms = np.abs(alive).sum((0, 1))
    threshold = np.sort(norms.ravel())[20]
    assert (found == np.where(norms >= threshold, alive, 0)).all()
    plan = jc.Plan(channels={"a": kept}, sparsity={"b": jnp.float32(0.25)})
    found = np.asarray(jc.compress(NETWORK, plan)["b"])[:, :, np.asarray(kept)]
    threshold = np.sort(np.abs(alive).ravel())[alive.size // 4]
    assert (found == np.where(np.abs(alive) >= threshold, alive, 0)).all()


def test_one_threshold_for_the_whole_network() -> None:
    share = jnp.float32(0.4)
    plan = jc.Plan(sparsity=dict.fromkeys(SHAPES, share), sparsity_scope="network")
    found = jc.compress(NETWORK, plan)
    line = np.concatenate([np.abs(np.asarray(w)).ravel() for w in PARAMS.values()])
    threshold = np.sort(line)[int(np.floor(0.4 * line.size + 0.5))]
    for path, weight in PARAMS.items():
        wanted = np.where(np.abs(weight) >= threshold, weight, 0)
        assert (np.asarray(found[path]) == wanted).all()


@pytest.mark.parametrize(
    ("plan", "words"),
    [
        ({"granularity": "chanel"}, r"'chanel'; allowed: .'tensor', 'channel'"),
        ({"codebook_kind": "median"}, "'median'; allowed: .'uniform'"),
        ({"ranks": {"b": [1, 1]}, "kernel_sparsity": {"b": 0.5}}, "choose one of the two"),
        ({"weight_bits": {"b": 4}, "codebook_sizes": {"b": 4}}, "choose one of the two"),
        ({"ranks": {"b": [1]}}, "wanted 2 integers"),
        ({"ranks": {"b": [7, 1]}}, r"from 1 to \(6, 8\)"),
        ({"ranks": {"c": [0]}}, r"from 1 to \(7,\)"),
        ({"sparsity": {"b": 1.0}}, r"allowed: \[0, 1\)"),
        ({"sparsity": {"z": 0.5}}, "no layer's weight 'z'"),
        ({"kernel_sparsity": {"c": 0.5}}, "no convolution with a window"),
        ({"codebook_sizes": {"c": 1}}, "allowed: 2 to 1024"),
        ({"codebook_sizes": {"c": 57}}, "57 values, more than the 56 weights"),
        (
            {"codebook_sizes": {"c": 120, "d": 120}, "codebook_scope": "network"},
            "120 values, more than the 119 weights",
        ),
        (
            {"codebook_sizes": {"c": 4, "d": 5}, "codebook_scope": "network"},
            r"codebook_sizes has \[4, 5\], but is one for the network",
        ),
        (
            {"sparsity": {"c": 0.5, "d": 0.25}, "sparsity_scope": "network"},
            r"sparsity has \[0.25, 0.5\], but is one for the network",
        ),
    ],
)
def test_bad_plans_are_refused(plan: dict, words: str) -> None:
    given: dict[str, Any] = {
        kind: part
        if isinstance(part, str)
        else {path: np.asarray(value) for path, value in part.items()}
        for kind, part in plan.items()
    }
    with pytest.raises(ValueError, match=words):
        jc.compact(NETWORK, jc.Plan(**given))
