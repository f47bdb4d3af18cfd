"""Members are trained side by side: they differ in nothing from members trained alone."""

import shutil
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from network.zoo.base import apply_unit, normal, unit

import jaxcompress as jc
from jaxcompress.data import Dataset, Split, load
from jaxcompress.training import Tuned, members_mesh, scaled_plans, tune
from jaxcompress.training.tuner import Tuner

SIZE, CLASSES = 6, 3


@pytest.fixture(scope="module")
def data() -> Dataset:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(48, SIZE)).astype(np.float32)
    y = np.argmax(x[:, :CLASSES], axis=1).astype(np.int32)
    split = Split(x, y)
    return Dataset("points", split, split, split, CLASSES, (), ())


@pytest.fixture(scope="module")
def network() -> jc.Network:
    rng = np.random.default_rng(1)
    shapes = {"a": (SIZE, 8), "b": (8, CLASSES)}
    params = {k: jnp.asarray(0.5 * rng.normal(size=s), "f4") for k, s in shapes.items()}
    return jc.trace(
        lambda p, x: jax.nn.relu(x @ p["a"]) @ p["b"], params, jnp.zeros((2, SIZE))
    )


@pytest.fixture(scope="module")
def plans(network: jc.Network, data: Dataset) -> jc.Plan:
    kinds = (
        jc.genes.ChannelCount(),
        jc.genes.WeightBits((1, 2, 4, 32)),
        jc.genes.ActivationBits(jc.calibrate(network, data.train.inputs), (4, 8)),
    )
    space = jc.Space(network, kinds)
    return jax.device_get(jax.vmap(space.decode)(space.sample(jax.random.key(3), 3)))


def config(**chosen: Any) -> jc.TuneConfig:
    given = {"epochs": 2, "batch_size": 16, "learning_rate": 1e-2}
    return jc.TuneConfig(**{**given, **chosen})


def run(network: jc.Network, plans: jc.Plan, data: Dataset, **chosen: Any) -> Tuned:
    where = {k: chosen.pop(k) for k in ("mesh", "checkpoint_dir", "loss") if k in chosen}
    return tune(jax.random.key(0), network, plans, data, config(**chosen), **where)


def row(tree: Any, i: int) -> Any:
    return jax.tree.map(lambda leaf: leaf[i], tree)


def assert_same(left: Any, right: Any) -> None:
    assert jax.tree.structure(left) == jax.tree.structure(right)
    for a, b in zip(jax.tree.leaves(left), jax.tree.leaves(right), strict=True):
        np.testing.assert_array_equal(a, b)


def test_spread_over_devices_nothing_changes(network, plans, data):
    mesh = members_mesh(2)  # three members: the last is trained twice
    assert mesh is not None
    one, many = (run(network, plans, data, scales="learned", mesh=m) for m in (None, mesh))
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(many), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)
    assert len(one.steps) == 3


@pytest.mark.parametrize("devices", [1, 2])
def test_an_epoch_in_one_call_is_that_of_many_calls(network, plans, data, devices: int):
    scaled = scaled_plans(network, plans, network.params)
    scaled.scales["b"][1] = np.inf  # the second member stops at once
    key, how = jax.random.key(5), config(scales="learned", ema=0.9, weight_decay=0.1)
    found = []
    for at_once in (False, True):
        tuner = Tuner(network, data, how, mesh=members_mesh(devices), at_once=at_once)
        groups = tuner.groups(scaled)
        members = [tuner.start(group, network.params) for group in groups]
        counts: list[int] = []
        for epoch in range(2):
            members = tuner.epoch(key, epoch, groups, members, counts.append)
        assert counts == ([3, 3] if at_once else [1, 2, 3] * 2)
        found.append(jax.device_get(members))
    assert np.concatenate([m.steps for m in found[1]])[:3].tolist() == [6, 0, 6]
    many, one = map(jax.tree.leaves, found)
    for a, b in zip(many, one, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def test_images_are_augmented_and_normalised_in_one_call_as_in_many():
    rng = np.random.default_rng(4)
    params = {"a": unit(rng, 1, 6), "head": normal(rng, 6, 10)}

    def apply(p: Any, x: Any) -> Any:
        return jax.nn.relu(apply_unit(x, p["a"])).mean((1, 2)) @ p["head"]

    digits = load("digits").some(50, 8, 0)
    network = jc.trace(apply, params, jnp.zeros((2, 8, 8, 1)))
    space = jc.Space(network, (jc.genes.ChannelCount(), jc.genes.WeightBits((2, 4))))
    plans = jax.device_get(jax.vmap(space.decode)(space.sample(jax.random.key(0), 2)))
    how = config(batch_norm="trained", shift=1, flip=True, ema=0.5)
    found = []
    for at_once in (False, True):
        tuner = Tuner(network, digits, how, at_once=at_once)
        groups = tuner.groups(plans)
        members = [tuner.start(group, network.params) for group in groups]
        for epoch in range(2):
            members = tuner.epoch(jax.random.key(5), epoch, groups, members)
        found.append(jax.device_get(members))
    many, one = map(jax.tree.leaves, found)
    for a, b in zip(many, one, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)
    start = network.leaves()["a/n/mean"]
    assert not np.allclose(found[1][0].others["a/n/mean"], start, atol=1e-2)


def test_a_member_that_diverges_stops_and_the_others_go_on(network, plans, data):
    scaled = jax.tree.map(np.array, scaled_plans(network, plans, network.params))
    broken = jax.tree.map(np.array, scaled)
    broken.scales["b"][1] = np.inf
    with pytest.warns(RuntimeWarning, match=r"member 2 of 3 .* after 0 steps"):
        found = run(network, broken, data)
    whole = run(network, scaled, data)
    assert found.steps.tolist() == [6, 0, 6]
    assert_same(row(found.params, 1), jax.device_get(network.params))
    for i in (0, 2):
        assert_same(row(found.params, i), row(whole.params, i))


def test_weight_decay_shrinks_matrices_and_nothing_else(data):
    def apply(p: Any, x: Any) -> Any:
        hidden = jax.nn.relu(x @ p["a"] + p["shift"])
        return hidden * p["scale"] @ p["b"]

    rng = np.random.default_rng(2)
    shapes = {"a": (SIZE, 8), "b": (8, CLASSES), "shift": (8,), "scale": (8,)}
    params = {k: jnp.asarray(rng.normal(size=s), "f4") for k, s in shapes.items()}
    network = jc.trace(apply, params, jnp.zeros((2, SIZE)))
    space = jc.Space(network, (jc.genes.WeightBits((4,)),))
    plans = jax.device_get(jax.vmap(space.decode)(space.dense[None]))
    scaled = scaled_plans(network, plans, params)

    def stepped(**chosen: Any) -> Tuned:
        given = {"batch_size": 48, "epochs": 1, "learning_rate": 0.01}  # one step
        return run(network, scaled, data, scales="learned", **given, **chosen)

    without, decayed = stepped(), stepped(weight_decay=0.5)
    for path, began in params.items():
        share = 0.01 * 0.5 if began.ndim > 1 else 0.0
        moved = np.asarray(decayed.params[path] - without.params[path])
        np.testing.assert_allclose(moved[0], -share * began, rtol=1e-3, atol=1e-6)
        assert (moved != 0).any() == (began.ndim > 1)
    assert_same(decayed.plans, without.plans)


def test_average_is_that_of_the_steps(network, plans, data):
    own = jax.tree.map(lambda leaf: leaf[:1], plans)
    tuner = Tuner(network, data, config(ema=0.25))
    member = tuner.start(own, network.params)
    average = np.asarray(member.trained, np.float64)
    shares = []
    for number, batch in enumerate(tuner.batches(jax.random.key(0), 0)):
        member = tuner.step(own, member, batch)
        shares.append(min(0.25, (1 + number) / (10 + number)))
        now = np.asarray(member.trained, np.float64)
        average = shares[-1] * average + (1 - shares[-1]) * now
    assert shares[0] < shares[1] < shares[-1] == 0.25  # it forgets where it began
    assert not np.allclose(member.trained, member.average, atol=1e-3)
    np.testing.assert_allclose(member.average, average, rtol=1e-5, atol=1e-6)


def test_learned_scales_are_what_the_file_holds(network, plans, data, tmp_path: Path):
    found = run(network, plans, data, scales="learned")
    started = scaled_plans(network, plans, network.params)
    assert set(found.plans.scales) == set(plans.weight_bits)
    for path, scale in found.plans.scales.items():
        assert (scale > 0).all()
        assert not np.allclose(scale, started.scales[path], rtol=1e-4)
    plan = row(found.plans, 0)
    params = jax.tree.map(jnp.asarray, row(found.params, 0))
    small = jc.compact(network, plan, params)
    jc.save(tmp_path / "member.jcz", small)
    x = data.test.inputs
    np.testing.assert_allclose(
        jc.load(tmp_path / "member.jcz")(x),
        jc.forward(network, plan, x, params),
        rtol=1e-4,
        atol=1e-4,
    )


def test_from_a_checkpoint_training_ends_where_it_would_have(
    network, plans, data, tmp_path: Path
):
    how = {"scales": "learned", "ema": 0.9, "checkpoint_dir": tmp_path}
    whole = run(network, plans, data, **how)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["1", "2"]
    shutil.rmtree(tmp_path / "2")
    assert_same(run(network, plans, data, **how), whole)
    shutil.rmtree(tmp_path / "2")
    # On two devices it goes on all the same.
    spread = run(network, plans, data, mesh=members_mesh(2), **how)
    for a, b in zip(jax.tree.leaves(spread), jax.tree.leaves(whole), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)
    others = plans.replace(weight_bits=jax.tree.map(np.flip, plans.weight_bits))
    for wrong in (row_of_two(plans), others):
        with pytest.raises(ValueError, match="is of another training"):
            run(network, wrong, data, **how)
    x = data.train.inputs
    split = Split(x[::-1].copy(), data.train.targets)
    other = Dataset(data.name, split, data.validation, data.test, CLASSES, (), ())
    with pytest.raises(ValueError, match="is of another training"):
        run(network, plans, other, **how)
    with pytest.raises(ValueError, match="is of another training"):
        run(network, plans, data, loss=squared, **how)


def squared(outputs: jax.Array, targets: jax.Array) -> jax.Array:
    return jnp.square(outputs - jax.nn.one_hot(targets, CLASSES)).mean()


def row_of_two(plans: jc.Plan) -> jc.Plan:
    return jax.tree.map(lambda leaf: leaf[:2], plans)


def test_learned_scales_begin_where_they_are_found(network):
    """Also of a channel that is a thousand times smaller than another."""
    wide = np.array(network.params["a"]) * np.logspace(0, -4, 8, dtype=np.float32)
    params = {**network.params, "a": jnp.asarray(wide)}
    plan = jc.Plan(weight_bits={"a": np.full(1, 8, np.int32)})
    (scale,) = scaled_plans(network, plan, params).scales["a"]
    one = jax.tree.map(lambda leaf: leaf[0], plan)
    found = jc.compact(network, one, params).coding["a"].scale
    np.testing.assert_allclose(scale, found, rtol=1e-5)


def test_what_is_zero_is_trained_and_may_return(network, data):
    half = jc.Plan(
        weight_bits={"a": np.full(1, 4, np.int32)},
        sparsity={"a": np.full(1, 0.5, np.float32)},
    )
    before = np.asarray(jc.compress(network, row(half, 0))["a"]) == 0.0
    for scales in ("fitted", "learned"):
        found = run(network, half, data, scales=scales, learning_rate=0.3)
        params = jax.tree.map(jnp.asarray, row(found.params, 0))
        after = jc.compress(network, row(found.plans, 0), params)["a"]
        moved = np.asarray(params["a"]) != np.asarray(network.params["a"])
        assert moved[before].all() and (np.asarray(after)[before] != 0.0).any()


def test_what_does_not_fit_is_refused(network, plans, data):
    key = jax.random.key(0)
    with pytest.raises(ValueError, match=r"call jaxcompress\.tune"):
        jc.finetune(key, network, plans, data, config(scales="learned"))
    space = jc.Space(network, (jc.genes.WeightBits((2, 4)),))
    with pytest.raises(ValueError, match="one set of weights serves all plans"):
        jc.adapt(key, network, space, data, config(scales="learned"))
    plan = row(plans, 0)
    with pytest.raises(ValueError, match=r"not stacked: .* give genotypes\[None\]"):
        run(network, plan, data)
    path = next(iter(plan.weight_bits))
    bad = {
        "give floats of shape": np.float32(1.0),
        "must be finite and not negative": np.full((1, 8), -1.0, np.float32),
    }
    for message, scale in bad.items():
        with pytest.raises(ValueError, match=message):
            jc.compact(network, plan.replace(scales={path: scale}))
    with pytest.raises(ValueError, match="to what has bits and no ranks"):
        jc.compact(network, jc.Plan(scales={path: np.ones((1, 8), np.float32)}))


def test_adapted_averages_follow_the_statistics_of_the_batches(data):
    rng = np.random.default_rng(2)
    params = {
        "a": jnp.asarray(rng.normal(size=(SIZE, 8)), "f4"),
        "mean": jnp.zeros(8),
        "var": jnp.ones(8),
        "b": jnp.asarray(rng.normal(size=(8, CLASSES)), "f4"),
    }

    def apply(p: dict[str, jax.Array], x: jax.Array) -> jax.Array:
        h = (x @ p["a"] - p["mean"]) * jax.lax.rsqrt(p["var"] + 1e-5)
        return jax.nn.relu(h) @ p["b"]

    network = jc.trace(apply, params, jnp.zeros((2, SIZE)))
    space = jc.Space(network, (jc.genes.WeightBits((16, 32)),))
    # Every batch is the whole split, and the weights all but stand still.
    chosen = config(batch_norm="trained", batch_size=48, learning_rate=1e-9)
    found = jc.adapt(jax.random.key(0), network, space, data, chosen)
    before = data.train.inputs.astype(np.float64) @ np.asarray(params["a"], np.float64)
    kept = 0.9 ** (4 * chosen.epochs)  # four plans a batch
    mean = (1 - kept) * before.mean(axis=0)
    var = kept + (1 - kept) * before.var(axis=0)
    np.testing.assert_allclose(found["mean"], mean, atol=1e-3)
    np.testing.assert_allclose(found["var"], var, rtol=1e-3)
    # Fixed ones are moved by no batch and by no gradient, which both have one.
    chosen = config(batch_norm="fixed", learning_rate=1e-1)
    found = jc.adapt(jax.random.key(0), network, space, data, chosen)
    np.testing.assert_array_equal(found["mean"], params["mean"])
    np.testing.assert_array_equal(found["var"], params["var"])
    assert not np.allclose(found["a"], params["a"], atol=1e-2)
