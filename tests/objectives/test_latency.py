"""The latency table: what it holds, and what is looked up in it. No test times anything."""

import json
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from network.exact import random_plan
from network.zoo import ZOO
from scipy.interpolate import RegularGridInterpolator

import jaxcompress as jc
from jaxcompress.objectives import Latency, measure_latency


def two_layers() -> tuple[jc.Network, dict[str, Any]]:
    params = {"a": jnp.ones((3, 8)), "b": jnp.ones((8, 8)), "c": jnp.ones((8, 2))}

    def apply(p: Any, x: Any) -> Any:
        return jax.nn.relu(jax.nn.relu(x @ p["a"]) @ p["b"]) @ p["c"]

    network = jc.trace(apply, params, jnp.ones((2, 3)))
    rng = np.random.default_rng(0)
    layers = {
        "a": {"inputs": [3], "outputs": [2, 4, 8], "ms": rng.random((1, 3)).tolist()},
        "b": {"inputs": [2, 8], "outputs": [2, 4, 8], "ms": rng.random((2, 3)).tolist()},
        "c": {"inputs": [2, 4, 8], "outputs": [2], "ms": rng.random((3, 1)).tolist()},
    }
    return network, {"device": "none", "batch_size": 1, "layers": layers}


def test_bilinear_between_the_points_and_constant_below_them() -> None:
    network, table = two_layers()
    find = jax.jit(jax.vmap(lambda plan: Latency(table)(network, plan)))
    widths = np.asarray([(a, b) for a in range(1, 9) for b in range(1, 9)])
    kept = {"a": np.arange(8) < widths[:, :1], "b": np.arange(8) < widths[:, 1:]}
    assert set(kept) == {group.name for group in network.prunable}
    expected = np.zeros(len(widths))
    for name, ins, outs in (("a", None, 0), ("b", 0, 1), ("c", 1, None)):
        layer = table["layers"][name]
        values = np.asarray(layer["ms"])
        grids, points = [], []
        for axis, which in ((0, ins), (1, outs)):
            if which is None:
                values = values[..., :1].squeeze(-1) if axis else values[0]
                continue
            grids.append(layer["outputs" if axis else "inputs"])
            points.append(np.clip(widths[:, which], 2, 8))
        expected += RegularGridInterpolator(grids, values)(np.stack(points, 1))
    found = find(jc.Plan(channels=kept))
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_a_table_without_layers_is_refused() -> None:
    with pytest.raises(ValueError, match=r"the table has \['device'\], but no 'layers'"):
        Latency({"device": "none"})


@pytest.mark.parametrize("name", ["mobilenet", "resnext", "gru"])
def test_every_layer_is_measured_at_widths_that_plans_can_have(name: str) -> None:
    network = jc.trace(*ZOO[name](jax.random.key(0))[:3])
    table = json.loads(json.dumps(measure_latency(network, widths=(0.5, 1.0))))
    assert list(table["layers"]) == [layer.name for layer in network.layers]
    for layer in network.layers:
        measured = table["layers"][layer.name]
        times = np.asarray(measured["ms"])
        assert times.shape == (len(measured["inputs"]), len(measured["outputs"]))
        assert np.isfinite(times).all() and (times > 0).all()
        assert len(measured["outputs"]) == 1 + bool(layer.groups_out)
        tied = set(layer.groups_in) & set(layer.groups_out)
        assert len(measured["inputs"]) == 1 + (bool(layer.groups_in) and not tied)
    dense = sum(np.asarray(layer["ms"])[-1, -1] for layer in table["layers"].values())
    found = jax.jit(lambda plan: Latency(table)(network, plan))
    repeats = 1 if name != "gru" else None  # its layers run at each time
    if repeats:
        assert float(found(jc.Plan())) == pytest.approx(dense, rel=1e-5)
    assert np.isfinite(float(found(random_plan(network, 0))))


def test_a_removed_block_takes_no_time() -> None:
    network = jc.trace(*ZOO["resnet_padded"](jax.random.key(0))[:3])
    layers = {
        layer.name: {"inputs": [1], "outputs": [1], "ms": [[1.0]]}
        for layer in network.layers
    }
    latency = Latency({"device": "none", "batch_size": 1, "layers": layers})
    assert float(latency(network, jc.Plan())) == len(layers)
    block = network.blocks[0]
    gone = jc.Plan(blocks={block.name: jnp.asarray(False)})
    assert float(latency(network, gone)) == len(layers) - len(block.layers)


def test_refusals() -> None:
    network, table = two_layers()
    del table["layers"]["b"]
    with pytest.raises(ValueError, match=r"no layer 'b', it has \['a', 'c'\]; measure"):
        Latency(table)(network, jc.Plan())
    with pytest.raises(ValueError, match="batch_size is 0; allowed: 1 or more"):
        measure_latency(network, batch_size=0)
    for widths in ((), (0.5,), (0.0, 1.0), (1.0, 0.5), (0.5, 0.5, 1.0), (0.5, 2.0)):
        with pytest.raises(ValueError, match="ascending shares"):
            measure_latency(network, widths=widths)
