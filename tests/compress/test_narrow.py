"""Run as narrow as its plan allows, a network computes what the masked one does."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from network.exact import close, compiled, random_inputs, random_plan
from network.random_graphs import Recipe, build, recipes
from network.zoo import ZOO

import jaxcompress as jc
from jaxcompress.compress import (
    Products,
    kept_first,
    masked,
    narrow,
    share_of_macs,
    with_batch_statistics,
)

# A chain and a flattened image, sums, shared inputs, a scan, channels in another order.
QUICK = ("vgg", "resnet_projection", "densenet", "scanned_layers", "channel_shuffle")


@pytest.fixture
def any_width(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(narrow, "LEAST", 2)
    monkeypatch.setattr(narrow, "MULTIPLE", 1)


def check(network: jc.Network, x: Any, tolerance: float = 1e-5) -> None:
    @compiled
    def both(plan: jc.Plan, x: Any) -> Any:
        params = jc.compress(network, plan)
        moved = kept_first(network, plan, params)
        return (
            masked(network, plan, x, params),
            masked(network, moved[0], x, moved[1]),
            masked(network, moved[0], x, moved[1], products=Products(narrow=True)),
        )

    for seed in range(3):
        wide, ordered, thin = both(random_plan(network, seed, fewest=seed == 0), x)
        close(wide, ordered, tolerance)
        close(wide, thin, tolerance)


def of_zoo(name: str) -> jc.Network:
    apply, params, example, _ = ZOO[name](jax.random.key(1))
    return jc.trace(apply, params, example)


def few(name: str) -> Any:
    return name if name in QUICK else pytest.param(name, marks=pytest.mark.slow)


@pytest.mark.parametrize("name", [few(name) for name in ZOO])
def test_narrow_equals_masked(name: str, any_width: None) -> None:
    network = of_zoo(name)
    check(network, random_inputs(network.example, batch=3))


@pytest.mark.slow
def test_narrow_equals_masked_on_random_networks(any_width: None) -> None:
    narrower = []

    @settings(
        max_examples=100,
        deadline=None,
        database=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
    @given(recipes())
    def every(recipe: Recipe) -> None:
        with jax.enable_x64(True):
            network = jc.trace(*build(recipe))
            batch = 2 if network.batch_reason else 3
            check(network, random_inputs(network.example, batch), 1e-9)
            narrower.append(bool(narrow.cuts_of(network)))

    every()
    assert np.mean(narrower) > 0.3


def chain() -> jc.Network:
    """Two convolutions and a dot; 40 channels between the first two, 8 after them."""
    rng = np.random.default_rng(0)
    shapes = {"a": (3, 3, 2, 40), "b": (3, 3, 40, 8), "c": (8, 3)}
    params = {k: jnp.asarray(rng.normal(size=s), "f4") for k, s in shapes.items()}

    def convolved(x: jax.Array, w: jax.Array) -> jax.Array:
        dimensions = ("NHWC", "HWIO", "NHWC")
        return jax.lax.conv_general_dilated(x, w, (1, 1), "SAME", None, None, dimensions)

    def apply(p: Any, x: jax.Array) -> jax.Array:
        x = jax.nn.relu(convolved(jax.nn.relu(convolved(x, p["a"])), p["b"]))
        return x.mean((1, 2)) @ p["c"]

    return jc.trace(apply, params, jnp.zeros((2, 6, 6, 2)))


@pytest.mark.parametrize(
    ("kept", "width"), [(1, 16), (16, 16), (17, 24), (25, 32), (33, 40)]
)
def test_the_first_width_that_holds_what_is_kept_runs(kept: int, width: int) -> None:
    """By XLA's own count of operations, once it knows the plan."""
    network = chain()
    (group,) = (g for g in network.prunable if g.size == 40)
    mask = np.random.default_rng(0).permutation(np.arange(40) < kept)
    plan = jc.Plan(channels={group.name: mask})
    given = jax.tree.map(jnp.asarray, kept_first(network, plan, network.params))

    def flops(run: Any) -> float:
        x = jnp.zeros((2, 6, 6, 2))
        counted = jax.jit(run).lower(x).compile().cost_analysis()
        assert counted is not None
        return counted["flops"]

    narrow_, wide = (
        flops(
            lambda x, n=n: masked(
                network, given[0], x, given[1], products=Products(narrow=n)
            )
        )
        for n in (True, False)
    )
    # At the border of the image a window has fewer neighbours.
    windows = sum(3 - (i in (0, 5)) for i in range(6)) ** 2
    saved = 2 * 2 * windows * (40 - width) * (2 + 8)
    assert wide - narrow_ == pytest.approx(saved, rel=0.1)


def crossed(halves: bool) -> jc.Network:
    """Each channel meets the one at the other end; then slices of every second, or few."""
    rng = np.random.default_rng(0)
    shapes = {"w": (4, 8), "q": (8,), "v": (8 if halves else 6, 3)}
    params = {k: jnp.asarray(rng.normal(size=s), "f4") for k, s in shapes.items()}

    def apply(p: Any, x: jax.Array) -> jax.Array:
        h = x @ p["w"]
        h = h * p["q"] + h[:, ::-1]
        h = jnp.concatenate([h[:, ::2], h[:, 1::2]], 1) if halves else h[:, :6]
        return jax.nn.relu(h) @ p["v"]

    return jc.trace(apply, params, jnp.zeros((2, 4)))


@pytest.mark.parametrize("halves", [False, True])
def test_channels_that_lie_twice_on_an_axis_stay_where_they_are(
    halves: bool, any_width: None
) -> None:
    network = crossed(halves)
    assert network.prunable
    check(network, random_inputs(network.example, batch=3))


def test_what_is_small_or_everything_stays_whole() -> None:
    network = chain()
    cuts = narrow.cuts_of(network)
    sides = [[(p.group.size, p.result) for p in places] for places in cuts.values()]
    assert sides == [[(40, 3)], [(40, None)]]  # not the 8
    macs = [2 * 40 * 9 * 36, 40 * 8 * 9 * 36, 8 * 3]
    names = [group.name for group in network.prunable]
    assert share_of_macs(network, names) == pytest.approx(sum(macs[:2]) / sum(macs))
    assert share_of_macs(network, []) == 0
    plan = jc.Plan()
    same, params = kept_first(network, plan, network.params)
    assert narrow.narrowly(network, same) is None
    jax.tree.map(np.testing.assert_array_equal, params, network.params)


def test_statistics_of_the_batch_are_those_of_the_masked_network(any_width: None) -> None:
    network = of_zoo("resnet_projection")
    x = random_inputs(network.example, batch=16)
    plan = random_plan(network, 1)
    params = jc.compress(network, plan)
    moved, own = kept_first(network, plan, params)
    wide, _ = with_batch_statistics(network, plan, x, params)
    thin, found = with_batch_statistics(
        network, moved, x, own, products=Products(narrow=True)
    )
    close(wide, thin, 1e-4)
    assert found


@pytest.mark.parametrize("reestimated", [pytest.param(False, marks=pytest.mark.slow), True])
def test_an_evaluation_is_the_same(reestimated: bool, any_width: None) -> None:
    network = of_zoo("resnet_projection")
    x = random_inputs(network.example, batch=48)
    outputs = np.asarray(network.apply(network.params, x))
    labels = outputs.reshape(48, -1).argmax(1).astype(np.int32)
    kinds = (jc.genes.ChannelCount(jc.importance.l2(network)), jc.genes.WeightBits((4, 8)))
    space = jc.Space(network, kinds)
    genotypes = np.asarray(space.sample(jax.random.key(0), 12))
    told = [
        jc.Evaluator(
            network,
            space,
            (
                jc.objectives.Error("cross_entropy"),
                jc.objectives.Size(),
                jc.objectives.Macs(),
            ),
            inputs=x,
            targets=labels,
            calibration=x if reestimated else None,
            narrow=chosen,
        )(genotypes)
        for chosen in (False, True)
    ]
    wide, thin = (np.asarray(each.objectives) for each in told)
    np.testing.assert_allclose(thin[:, 0], wide[:, 0], rtol=1e-4)
    np.testing.assert_array_equal(thin[:, 1:], wide[:, 1:])


def test_a_cpu_runs_narrow_what_prunes_wide_layers() -> None:
    network = chain()

    x, y = np.zeros((4, 6, 6, 2), np.float32), np.zeros(4, np.int32)

    def chosen(*kinds: Any, measured: Any = jc.objectives.Error()) -> bool:  # noqa: B008
        space = jc.Space(network, kinds)
        return jc.Evaluator(
            network, space, (measured,), inputs=x, targets=y
        ).products.narrow

    assert chosen(jc.genes.ChannelCount())
    assert not chosen(jc.genes.WeightBits((2, 8)))
    assert not chosen(jc.genes.ChannelCount(), measured=jc.objectives.Macs())
