"""The work that a plan leaves; a weight stored as factors is two or three layers."""

from collections.abc import Mapping
from dataclasses import replace

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxcompress.compress.parts import factorised
from jaxcompress.compress.sparse import pooled
from jaxcompress.compress.work import FLOAT_BITS, Numbers, Work, work as whole_work
from jaxcompress.network import Network, Tucker
from jaxcompress.space import Plan, check_plan
from jaxcompress.space.bases import bases


def work(network: Network, plan: Plan) -> list[Work]:
    """Returns the work of all layers, like layers together (traceable).

    A layer that may be factorised is there both ways; only one of them runs. Between
    factors, activations are float32. What one threshold for all leaves of each tensor is
    counted in the network's own parameters.

    Raises:
        ValueError: the plan does not fit the network.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxcompress as jc
        >>> params = {"w": jnp.ones((4, 8)), "v": jnp.ones((8, 2))}
        >>> apply = lambda p, x: jnp.maximum(x @ p["w"], 0.0) @ p["v"]
        >>> network = jc.trace(apply, params, jnp.ones((2, 4)))
        >>> [dense] = work(network, jc.Plan())
        >>> dense.macs.tolist()
        [32.0, 16.0]
    """
    check_plan(network, plan)
    density = {
        name: kept / jnp.maximum(there, 1)
        for name, (kept, there) in pooled(network, plan).items()
    }
    works = whole_work(network, plan, density)
    if not plan.ranks:
        return works
    found = []
    for each in works:
        split = jnp.stack([factorised(network, plan, path) for path in each.paths])
        found.append(replace(each, runs=each.runs & ~split))
        for place, path in enumerate(each.paths):
            if path in plan.ranks:
                found += _factors(network, plan, each, place, path, density)
    return found


def _factors(
    network: Network,
    plan: Plan,
    works: Work,
    place: int,
    path: str,
    density: Mapping[str, Float[Array, ""]],
) -> list[Work]:
    def own(numbers: Numbers) -> Float[Array | np.ndarray, "1"]:
        return numbers[place : place + 1]

    basis = bases(network)[path]
    ranks = [
        jnp.asarray(rank, jnp.float32).reshape(1) for rank in jnp.asarray(plan.ranks[path])
    ]
    plain = np.full(1, FLOAT_BITS, np.float32)
    one = np.ones(1, np.float32)
    runs = works.runs[place : place + 1] & factorised(network, plan, path)

    def factor(
        name: str,
        inputs: Numbers,
        outputs: Numbers,
        positions: Numbers,
        *,
        first: bool,
        kind: str = "dense",
        kernel: tuple[int, ...] = (),
        weights: Float[Array, "1"] | None = None,
        entered: Numbers | None = None,
    ) -> Work:
        return Work(
            layers=(f"{works.layers[place]}/{name}",),
            paths=(path,),
            kind=kind,
            kernel=kernel,
            repeats=own(works.repeats),
            positions=positions,
            input_positions=positions if entered is None else entered,
            groups=one,
            inputs=inputs,
            outputs=outputs,
            weights=inputs * outputs if weights is None else weights,
            weight_bits=own(works.weight_bits),
            activation_bits=own(works.activation_bits) if first else plain,
            density=jnp.reshape(density.get(f"{path}/{name}", own(works.density)), 1),
            runs=runs,
        )

    inputs, outputs = own(works.inputs), own(works.outputs)
    after, before = own(works.positions), own(works.input_positions)
    if basis.form is Tucker:
        first, second = ranks
        area = jnp.asarray(works.area, jnp.float32)
        return [
            factor("inputs", inputs, first, before, first=True),
            factor(
                "core",
                first,
                second,
                after,
                first=False,
                kind=works.kind,
                kernel=works.kernel,
                weights=area * first * second,
                entered=before,
            ),
            factor("outputs", second, outputs, after, first=False),
        ]
    (rank,) = ranks
    return [
        factor(
            "left",
            inputs,
            rank,
            after,
            first=True,
            kind=works.kind,
            kernel=works.kernel,
            entered=before,
        ),
        factor("right", rank, outputs, after, first=False),
    ]
