"""Measures each layer of a network alone, at a grid of widths, on the present device."""

import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from math import ceil, inf
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxcompress.compress import work
from jaxcompress.network import Layer, Network
from jaxcompress.network.primitives import rule_of
from jaxcompress.network.sizes import Sizes
from jaxcompress.space import Plan

WIDTHS = (0.25, 0.5, 0.75, 1.0)
LEAST = 0.001  # seconds of a measurement; a long one seldom has a machine for itself
REPEATS = 100


def measure_latency(
    network: Network, *, batch_size: int = 1, widths: Sequence[float] = WIDTHS
) -> dict[str, Any]:
    """Returns the table that the objective `Latency` looks up.

    Each layer is compiled and run alone with a share of its input and a share of its
    output channels, for all pairs of shares; for equal shares only where some channels
    are both (in a depthwise convolution, say). Like layers are measured once.

    Args:
        batch_size: examples of a call.
        widths: shares of the channels of a group, ascending, in (0, 1], the last one 1.

    Returns:
        Plain JSON data: "device", "batch_size" and "layers", which has by layer name the
        "inputs" (channels of a group) and the "outputs" that were tried, and the "ms" of
        a call, one row for each of the inputs.

    Raises:
        ValueError: the batch size or the widths are not allowed.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxcompress as jc
        >>> network = jc.trace(lambda w, x: x @ w, jnp.ones((4, 8)), jnp.ones((2, 4)))
        >>> list(measure_latency(network)["layers"]) == [network.layers[0].name]
        True
    """
    if batch_size < 1:
        raise ValueError(f"measure_latency: batch_size is {batch_size}; allowed: 1 or more")
    rising = sorted({share for share in widths if 0.0 < share <= 1.0})
    if not rising or rising[-1] != 1.0 or rising != list(widths):
        raise ValueError(
            f"measure_latency: widths is {tuple(widths)}; give ascending shares in (0, 1] "
            "that end with 1"
        )
    groups = [group.name for group in network.prunable]
    counted = jax.jit(lambda plan: _channels(network, plan))
    plans = [Plan(channels=_kept(network, dict.fromkeys(groups, s))) for s in widths]
    channels = [counted(plan) for plan in plans]
    runs: dict[Any, Callable[[], Any]] = {}
    layers = {}
    for layer in network.layers:
        rows, inputs = _distinct([float(each[layer.name][0]) for each in channels])
        columns, outputs = _distinct([float(each[layer.name][1]) for each in channels])
        tied = not set(layer.groups_in).isdisjoint(layer.groups_out)
        if tied:
            rows, inputs = rows[-1:], inputs[-1:]

        def prepared(row: int, column: int, layer: Layer = layer, tied: bool = tied) -> Any:
            shares = dict.fromkeys(layer.groups_in, widths[column if tied else row])
            shares |= dict.fromkeys(layer.groups_out, widths[column])
            return _prepared(network, layer, shares, batch_size, runs)

        keys = [[prepared(row, column) for column in columns] for row in rows]
        layers[layer.name] = {"inputs": inputs, "outputs": outputs, "ms": keys}
    seconds = dict(zip(runs, fastest(list(runs.values())), strict=True))
    for each in layers.values():
        each["ms"] = [[1e3 * seconds[key] for key in row] for row in each["ms"]]
    device = jax.devices()[0].device_kind
    return {"device": device, "batch_size": batch_size, "layers": layers}


def fastest(calls: Sequence[Callable[[], Any]], repeats: int = REPEATS) -> list[float]:
    """Returns how long a call of each takes, seconds: the least of many measurements.

    They are short and go round all calls, so that a machine which is busy for a while
    disturbs none in particular.

    Args:
        repeats: how many measurements of each; fewer of calls that take seconds.
    """
    counts = []
    for call in calls:
        _timed(call, 1)  # compiles
        counts.append(ceil(LEAST / _timed(call, 1)))
    best = [inf] * len(calls)
    for _ in range(repeats):
        for i, call in enumerate(calls):
            best[i] = min(best[i], _timed(call, counts[i]) / counts[i])
    return best


def _timed(call: Callable[[], Any], count: int) -> float:
    began = time.perf_counter()
    results = [call() for _ in range(count)]
    jax.block_until_ready(results)
    return time.perf_counter() - began


def _prepared(
    network: Network,
    layer: Layer,
    shares: Mapping[str, float],
    batch_size: int,
    runs: dict[Any, Callable[[], Any]],
) -> Any:
    """Adds the call of a layer, unless a like one is there, and returns its key."""
    step = network.contraction_at[layer.step].step
    sizes = Sizes(network.layout, network.alive_on_host(_kept(network, shares)), batch_size)
    shapes = tuple(sizes.shape(axes) for axes in step.ins)
    dtype = network.leaves()[layer.weight].dtype
    key = (step.primitive.name, str(step.params), shapes, dtype)
    if key not in runs:
        rebuild = rule_of(step.primitive.name).rebuild
        run = jax.jit(lambda *operands: rebuild(sizes, step, list(operands)))
        runs[key] = partial(run, *(jnp.asarray(np.ones(shape), dtype) for shape in shapes))
    return key


def _kept(network: Network, shares: Mapping[str, float]) -> dict[str, np.ndarray]:
    """Returns masks that keep a share of the channels of each named group."""
    return {
        group.name: np.arange(group.size) < ceil(shares[group.name] * group.size)
        for group in network.prunable
        if group.name in shares
    }


def _channels(network: Network, plan: Plan) -> dict[str, tuple[Any, Any]]:
    """Returns by layer name how many input and output channels it has."""
    return {
        name: (each.inputs[i], each.outputs[i])
        for each in work(network, plan)
        for i, name in enumerate(each.layers)
    }


def _distinct(counts: list[float]) -> tuple[list[int], list[float]]:
    """Returns the distinct numbers, and for each the first share that gives it."""
    values, places = np.unique(counts, return_index=True)
    return places.tolist(), values.tolist()
