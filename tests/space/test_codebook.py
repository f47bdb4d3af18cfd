"""The gene of codebook sizes: its plan, its inverse, and what it refuses."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxcompress as jc

RNG = np.random.default_rng(0)
X = jnp.asarray(RNG.normal(size=(3, 4)), jnp.float32)
P = {
    name: jnp.asarray(RNG.normal(size=shape), dtype)
    for name, shape, dtype in (
        ("in", (4, 6), jnp.float32),
        ("half", (6, 6), jnp.float16),
        ("block", (6, 6), jnp.float32),
        ("out", (6, 2), jnp.float32),
    )
}


def apply(p: Any, x: Any) -> Any:
    x = jnp.tanh(x @ p["in"])
    x = jnp.tanh((x.astype(jnp.float16) @ p["half"]).astype(jnp.float32))
    return (x + jnp.tanh(x @ p["block"])) @ p["out"]


NETWORK = jc.trace(apply, P, X)
FLOATS = {"in", "block", "out"}


def sizes_of(plan: jc.Plan) -> dict[str, int]:
    return {path: int(size) for path, size in plan.codebook_sizes.items()}


def test_one_gene_for_the_network() -> None:
    space = jc.Space(NETWORK, (jc.genes.Codebook((9, 2, 4)),))
    assert space.names == ("codebook of the network",)
    assert space.cardinality.tolist() == [3] and space.ordered.all()
    for gene, size in enumerate((2, 4, 9)):
        plan = space.decode(jnp.asarray([gene]))
        assert sizes_of(plan) == dict.fromkeys(FLOATS, size)
        assert (plan.codebook_kind, plan.codebook_scope) == ("uniform", "network")
        assert space.encode(plan).tolist() == [gene]
    assert sizes_of(space.decode(space.dense)) == dict.fromkeys(FLOATS, 9)


def test_one_gene_for_each_weight() -> None:
    kind = jc.genes.Codebook(range(2, 8), kind="kmeans_zero", scope="layer")
    space = jc.Space(NETWORK, (kind,))
    assert set(space.names) == {f"codebook of {path}" for path in FLOATS}
    genotypes = space.sample(jax.random.key(0), 20)
    plans = jax.vmap(space.decode)(genotypes)
    assert plans.codebook_kind == "kmeans_zero" and plans.codebook_scope == "layer"
    for name, column in zip(space.names, np.asarray(genotypes).T, strict=True):
        sizes = plans.codebook_sizes[name.removeprefix("codebook of ")]
        np.testing.assert_array_equal(sizes, column + 2)
    np.testing.assert_array_equal(jax.vmap(space.encode)(plans), genotypes)


def test_only_some_layers() -> None:
    assert set(
        jc.Space(NETWORK, (jc.genes.Codebook((4,), layers="[bo]*"),))
        .decode(jnp.zeros(1, jnp.int32))
        .codebook_sizes
    ) == {"block", "out"}


def test_the_paper_has_every_size_from_2_to_1024() -> None:
    big = {"w": jnp.ones((40, 30))}
    network = jc.trace(lambda p, x: x @ p["w"], big, jnp.ones((2, 40)))
    space = jc.Space(network, (jc.genes.Codebook(),))
    assert space.cardinality.tolist() == [1023]
    assert sizes_of(space.decode(jnp.asarray([0]))) == {"w": 2}
    assert sizes_of(space.decode(space.dense)) == {"w": 1024}


def test_a_removed_block_leaves_its_codebook_without_effect() -> None:
    kinds = (jc.genes.KeepBlock(), jc.genes.Codebook((2, 4), scope="layer"))
    space = jc.Space(NETWORK, kinds)
    genotype = jnp.zeros(len(space), jnp.int32)
    canonical = dict(zip(space.names, space.canonical(genotype).tolist(), strict=True))
    assert canonical["codebook of block"] == 1 and sum(canonical.values()) == 1
    whole = jc.Space(NETWORK, (jc.genes.KeepBlock(), jc.genes.Codebook((2, 4))))
    assert whole.canonical(jnp.zeros(2, jnp.int32)).tolist() == [0, 0]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"sizes": ()}, "sizes is empty; give at least one in 2..1024"),
        ({"sizes": (4, 1)}, "sizes has 1; allowed: 2..1024"),
        ({"sizes": (4, 1025)}, "sizes has 1025; allowed: 2..1024"),
        ({"sizes": (4, 4)}, "duplicates"),
        ({"sizes": (4,), "kind": "kmedians"}, "kind is 'kmedians'; allowed"),
        ({"sizes": (4,), "scope": "block"}, "scope is 'block'; allowed"),
        ({"sizes": (4,), "layers": "conv*"}, "'conv.', which names none of"),
        ({"sizes": (4,), "layers": "half"}, "no gene fits the network"),
        ({"sizes": (4, 13), "scope": "layer"}, "13, more than the 12 weights of out"),
        ({"sizes": range(2, 74)}, "73, more than the 72 weights of the network"),
    ],
)
def test_bad_choices_are_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        jc.Space(NETWORK, (jc.genes.Codebook(**options),))


def test_two_kinds_of_codebook_in_one_plan_are_refused() -> None:
    kinds = [
        jc.genes.Codebook((4,), kind=kind, scope="layer", layers=layers)
        for kind, layers in (("uniform", "in"), ("kmeans", "out"))
    ]
    with pytest.raises(ValueError, match="say codebook_kind 'uniform' and 'kmeans'"):
        jc.Space(NETWORK, kinds)
