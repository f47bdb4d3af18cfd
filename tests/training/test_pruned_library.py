"""Libraries of pruned networks: geometric steps, and what is cut, by hand."""

import shutil
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxcompress as jc
from jaxcompress.compress import compress
from jaxcompress.config import LibraryConfig
from jaxcompress.data import Dataset, Split
from jaxcompress.search import Checkpoints
from jaxcompress.training import pruned_library, tune
from jaxcompress.training.library import shares_kept

RNG = np.random.default_rng(0)
P = {
    name: jnp.asarray(RNG.normal(size=shape), jnp.float32)
    for name, shape in (("in", (6, 8)), ("out", (8, 3)))
}
SPLIT = Split(
    RNG.normal(size=(32, 6)).astype(np.float32), RNG.integers(0, 3, 32).astype(np.int32)
)
DATA = Dataset("toy", SPLIT, SPLIT, SPLIT, 3)


def apply(p: Any, x: Any) -> Any:
    return jnp.maximum(x @ p["in"], 0.0) @ p["out"]


NETWORK = jc.trace(apply, P, SPLIT.inputs[:2])


def test_steps_are_geometric() -> None:
    config = LibraryConfig(members=3, least=0.25, most=1.0, steps=2)
    expected = [[0.5, 0.25], [np.sqrt(0.625), 0.625], [1.0, 1.0]]
    np.testing.assert_allclose(shares_kept(config), expected, rtol=1e-12)
    many = shares_kept(LibraryConfig(members=5, least=0.05, most=0.9, steps=32))
    ratios = many[:, 1:] / many[:, :-1]
    np.testing.assert_allclose(ratios, ratios[:, :1].repeat(31, 1), rtol=1e-12)
    np.testing.assert_allclose(many[:, -1], np.linspace(0.05, 0.9, 5), rtol=1e-12)


def test_without_training_many_steps_are_one_cut() -> None:
    for prune in ("weights", "channels"):
        config = LibraryConfig(
            members=2, prune=prune, least=0.25, most=0.5, steps=3, epochs=0
        )
        plans, params = pruned_library(jax.random.key(0), NETWORK, DATA, config)
        for path in P:
            np.testing.assert_array_equal(params[path], np.stack([P[path]] * 2))
        for member, share in enumerate((0.25, 0.5)):
            own = jax.tree.map(lambda leaf, m=member: jnp.asarray(leaf[m]), params)
            plan = jax.tree.map(lambda leaf, m=member: leaf[m], plans)
            if prune == "channels":
                norm = np.abs(np.asarray(P["in"], np.float64)).sum(0)
                best = np.argsort(-norm)[: int(8 * share)]
                assert sorted(np.flatnonzero(plan.channels["in"])) == sorted(best)
                continue
            for path, found in compress(NETWORK, plan, own).items():
                size = np.abs(np.asarray(P[path]))
                cut = np.sort(size, axis=None)[round((1 - share) * size.size)]
                expected = np.where(size >= cut, P[path], 0)
                np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("prune", ["weights", "channels"])
def test_every_member_is_trained_at_its_own_share(prune: Any) -> None:
    config = LibraryConfig(
        members=2, prune=prune, least=0.5, most=1.0, steps=2, batch_size=32, epochs=3
    )
    plans, params = pruned_library(jax.random.key(0), NETWORK, DATA, config)
    assert not np.allclose(params["in"][0], params["in"][1])
    small, whole = (jax.tree.map(lambda leaf, m=m: leaf[m], plans) for m in (0, 1))
    if prune == "channels":
        assert small.channels["in"].sum() == 4 and whole.channels["in"].all()
        gone = ~small.channels["in"]
        # What is gone at the first step is trained no more, and goes on being gone.
        assert (np.asarray(params["in"][0] == P["in"]).all(0) <= gone).all()
    else:
        assert dict(small.sparsity) == {"in": 0.5, "out": 0.5}
        assert dict(whole.sparsity) == {"in": 0.0, "out": 0.0}


def test_from_a_checkpoint_pruning_ends_where_it_would_have(tmp_path: Path) -> None:
    config = LibraryConfig(members=2, prune="channels", least=0.4, steps=3, epochs=1)

    def run(key: int = 0, where: Path | None = tmp_path) -> tuple[jc.Plan, Any]:
        return pruned_library(
            jax.random.key(key), NETWORK, DATA, config, checkpoint_dir=where
        )

    plain = run(where=None)
    for begun in ("at the start", "at the third step", "at the end"):
        jax.tree.map(np.testing.assert_array_equal, run(), plain)
        assert sorted(p.name for p in tmp_path.iterdir()) == ["2", "3"]
        if begun == "at the start":
            shutil.rmtree(tmp_path / "3")
    with pytest.raises(ValueError, match="is of another training"):
        run(key=1)
    # It is what lies there that it goes on with: weights of zero have no gradient.
    with Checkpoints(tmp_path) as files:
        saved = files.latest()
    assert saved is not None
    for name in ("2", "3"):
        shutil.rmtree(tmp_path / name)
    zeros = [0 * leaf if leaf.ndim == 2 else leaf for leaf in saved.leaves]
    with Checkpoints(tmp_path) as files:
        files.save(2, zeros, saved.words)
    assert not any(leaf.any() for leaf in jax.tree.leaves(run()[1]))


def test_each_plan_is_tuned_from_the_parameters_of_its_member() -> None:
    """Also from its variances, which no gradient moves; not from the network's own."""

    def normalised(p: Any, x: Any) -> Any:
        hidden = (x @ p["in"]) * jax.lax.rsqrt(p["var"] + 1e-3)
        return jnp.maximum(hidden, 0.0) @ p["out"]

    own = {**P, "var": jnp.ones(8)}
    network = jc.trace(normalised, own, SPLIT.inputs[:2])
    members = {
        path: jnp.stack([leaf * f for f in (1.5, 2.5)]) for path, leaf in own.items()
    }
    library = jc.genes.Library(jc.Plan(sparsity={"in": jnp.asarray([0.5, 0.25])}))
    space = jc.Space(network, (library, jc.genes.WeightBits((2, 8))))
    plans = jax.vmap(space.decode)(jnp.asarray([[1, 1, 1], [0, 0, 1], [1, 0, 0]]))
    taken = np.asarray(plans.member)
    assert taken.tolist() == [1, 0, 1]
    config = jc.TuneConfig(epochs=0, batch_size=16)
    key = jax.random.key(0)
    for path, leaf in jc.finetune(key, network, plans, DATA, config, members).items():
        np.testing.assert_array_equal(leaf, members[path][taken])
    config = config.model_copy(update={"epochs": 2, "scales": "learned"})
    found = tune(key, network, plans, DATA, config, members)
    assert found.plans.member is None and set(found.plans.scales) == {"in", "out"}
    np.testing.assert_array_equal(found.params["var"], members["var"][taken])
    for member in (0, 1):
        rows = taken == member
        some = jax.tree.map(lambda leaf, i=rows: leaf[i], plans.replace(member=None))
        alone = {path: leaf[member] for path, leaf in members.items()}
        expected = tune(key, network, some, DATA, config, alone)
        for path, leaf in expected.params.items():
            np.testing.assert_array_equal(found.params[path][rows], leaf)
            assert path == "var" or not np.allclose(leaf, alone[path], atol=1e-4)
        for path, scale in expected.plans.scales.items():
            np.testing.assert_array_equal(found.plans.scales[path][rows], scale)
    with pytest.raises(ValueError, match="give the parameters of all members, stacked"):
        tune(key, network, plans, DATA, config)
