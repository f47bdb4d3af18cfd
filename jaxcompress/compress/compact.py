"""The smaller network: channels physically gone, weights factorised and coded."""

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxcompress.codings.tensor import Coding
from jaxcompress.compress.activations import quantized_input
from jaxcompress.compress.code import Coded, code
from jaxcompress.compress.forward import compiled_forward
from jaxcompress.compress.parts import Part, leaves_of, parts_of
from jaxcompress.network import Network, Step, folded, trace
from jaxcompress.network.sizes import Sizes
from jaxcompress.space import Plan, check_plan
from jaxcompress.space.bases import bases


def compact(network: Network, plan: Plan, params: Any = None) -> Network:
    """Returns a smaller network: what the plan removes is gone, the rest is coded.

    Args:
        plan: one plan with concrete arrays.
        params: uncoded parameters (fine-tuned ones, say); the network's own if None.

    Returns:
        A traced network with narrower parameters (None where a removed block left none;
        factors in the place of a factorised weight), which can be compacted again; its
        `coding` tells how each parameter is coded.

    Raises:
        ValueError: the plan removes every channel of a group, or names what is not there.
    """
    check_plan(network, plan)
    alive = network.alive_on_host(plan.channels, plan.blocks)
    narrow, coding = _narrow(network, plan, params, alive)

    def before(step: Step, operands: list[Any]) -> list[Any]:
        return quantized_input(network, plan, step, operands)

    def apply(params: Any, x: Any) -> Any:
        return network.interpret(params, x, alive, before)

    tree: dict[str, Any] = {}
    for path in network.paths:
        if path in narrow:
            tree[path] = jnp.asarray(narrow[path])
        elif network.needs(path, alive):
            form = bases(network)[path].form
            factors = {name: jnp.asarray(narrow[f"{path}/{name}"]) for name in form._fields}
            tree[path] = form(**factors)
    small = trace(apply, network.unflatten(tree), network.example)
    return replace(small, coding=coding)


def coded_parameters(
    network: Network, plan: Plan, params: Any = None
) -> tuple[dict[str, np.ndarray], dict[str, Coding]]:
    """Returns what `save` stores of a network under a plan, by path in the compact network.

    Returns:
        The values, float32 in their narrow shapes, and how each tensor is coded.
    """
    alive = network.alive_on_host(plan.channels, plan.blocks)
    values, coding = _narrow(network, plan, params, alive)
    values = folded(network, values, alive)
    return values, {path: coding[path] for path in values}


def _narrow(
    network: Network, plan: Plan, params: Any, alive: np.ndarray
) -> tuple[dict[str, np.ndarray], dict[str, Coding]]:
    """Returns what is left of the parameters, and how each is coded, by path."""
    sizes = Sizes(network.layout, alive, batch=1)
    given = network.params if params is None else params
    coded = _coder(network)(plan, given)
    parts = {part.name: part for part in parts_of(network, plan)}
    plain = network.unflatten(leaves_of(network, plan, given))
    whole = network.narrowed(plain, alive)
    values: dict[str, np.ndarray] = {}
    coding: dict[str, Coding] = {}
    for path in whole:
        own = [part for part in parts.values() if part.path == path]
        if not own:
            values[path], coding[path] = np.asarray(whole[path]), Coding(32)
        for part in own:
            if _is_stored(network, plan, part):
                found = _cut(network, plan, part, coded[part.name], sizes)
                values[part.name], coding[part.name] = found
    return values, coding


def _is_stored(network: Network, plan: Plan, part: Part) -> bool:
    if part.path not in plan.ranks:
        return True
    full = np.asarray(bases(network)[part.path].full)
    factorised = bool((np.asarray(plan.ranks[part.path]) < full).any())
    return factorised == (part.factor is not None)


def _cut(
    network: Network, plan: Plan, part: Part, coded: Coded, sizes: Sizes
) -> tuple[np.ndarray, Coding]:
    axes = network.leaf_axes[network.paths.index(part.path)]
    kept = []
    for axis in part.axes:
        if axis >= 0:
            kept.append(sizes.kept(axes, axis))
        else:
            full = bases(network)[part.path].full[-1 - axis]
            kept.append(np.arange(full) < np.asarray(plan.ranks[part.path])[-1 - axis])

    def narrow(array: Any) -> np.ndarray:
        array = np.asarray(array)
        for dim, line in enumerate(kept):
            if line is not None and array.shape[dim] == len(line):
                array = array.compress(line, axis=dim)
        return array

    nonzero = narrow(coded.nonzero)
    mask = None if nonzero.all() else nonzero
    bits, codes = int(coded.bits), narrow(coded.codes)
    if coded.codebook is not None and coded.used is not None:
        book = np.asarray(coded.codebook)[: max(1, int(coded.used))]
        width = max(1, (len(book) - 1).bit_length())
        return narrow(coded.values), Coding(width, codes, codebook=book, nonzero=mask)
    if bits == 32:
        return narrow(coded.values), Coding(32, nonzero=mask)
    if bits == 1 and mask is not None:
        bits = 2  # one bit has no zero
    scale = narrow(coded.scale)
    return codes.astype(np.float32) * scale, Coding(bits, codes, scale, nonzero=mask)


@lru_cache(maxsize=4)
def _coder(network: Network) -> Callable[[Plan, Any], dict[str, Coded]]:
    """One compiled coder for all plans of a network."""
    return jax.jit(lambda plan, params: code(network, plan, params))


def verify(
    network: Network, plan: Plan, small: Network, inputs: Any, params: Any = None
) -> float:
    """Checks on real inputs that the compact network computes what was evaluated.

    Rounding a layer's input to a grid turns a difference in the last bit into a whole
    step. So a plan with activation bits is checked without them first, and with them the
    outputs may differ by a step of the coarsest grid on the mean.

    Returns:
        The largest difference of an output, relative to the largest output; with
        activation bits the mean difference.

    Raises:
        ValueError: the largest difference is above 1e-4, or the mean one above the step.
    """
    # Where a product of float32 is rounded more coarsely by default, widths show in it.
    with jax.default_matmul_precision("highest" if _coarse() else None):
        return _verified(network, plan, small, inputs, params)


def _coarse() -> bool:
    return jax.default_backend() != "cpu"


def _verified(
    network: Network, plan: Plan, small: Network, inputs: Any, params: Any
) -> float:
    given = network.params if params is None else params
    step = 0.0
    if plan.activation_bits:
        plain = plan.replace(activation_bits={}, activation_ranges={})
        verify(network, plain, compact(network, plain, given), inputs, given)
        step = 0.5 ** min(int(bits) for bits in plan.activation_bits.values())
    wide = compiled_forward(network)(plan, inputs, given)
    thin = jax.jit(small.apply)(small.params, inputs)
    worst, most = 0.0, max(1e-4, step)
    measure = np.mean if step > 1e-4 else np.max
    for a, b in zip(jax.tree.leaves(wide), jax.tree.leaves(thin), strict=True):
        a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
        difference = float(measure(np.abs(a - b)) / max(np.abs(a).max(), 1e-30))
        worst = difference if not difference <= worst else worst  # NaN stays
    if not worst <= most:
        raise ValueError(
            f"the compact network differs from the masked one by {worst:.2e} of the "
            "largest output; this is a defect of the channel graph, please report it"
        )
    return worst
