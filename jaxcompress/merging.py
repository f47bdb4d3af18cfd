"""Members of a front whose neighbouring shared values are merged before they are saved."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PyTree

from jaxcompress.compress import merge
from jaxcompress.data import Dataset
from jaxcompress.network import Network
from jaxcompress.objectives import Error
from jaxcompress.report import Member, error_of

BATCH = 250  # examples after which a merge that does harm may be given up


def merging(
    data: Dataset, quality: Error, order: str
) -> Callable[[Network, Member], tuple[Network, Member]]:
    """Returns what merges a member, for `save_and_judge`.

    A merge is accepted if the whole validation set, and no part of it, says that nothing
    is lost.

    Args:
        order: one of `transforms.MERGE_ORDERS`.
    """

    def merged(small: Network, member: Member) -> tuple[Network, Member]:
        if not np.isfinite(member.validation_error):
            return small, member
        found, how = merge(small, _score(small, data, quality), order)
        return found, replace(member, validation_error=-how.score)

    return merged


def _score(
    small: Network, data: Dataset, quality: Error
) -> Callable[[PyTree, float], float]:
    """Returns (parameters, at_least) -> less the validation error."""
    run = jax.jit(small.apply)
    inputs = np.asarray(data.normalize(data.validation.inputs))
    targets = np.asarray(data.validation.targets)
    if quality.kind != "top1":
        return lambda params, _: (
            -error_of(lambda x: run(params, x), quality, inputs, targets)
        )
    size = min(BATCH, len(targets))
    rows = np.arange(-(-len(targets) // size) * size)

    def wrong(params: PyTree, order: np.ndarray, at_most: float) -> float:
        """Stops above `at_most`: with hard examples first, and what is certain counts."""
        total = 0.0
        for part in rows.reshape(-1, size):
            own = order[part % len(order)]
            each = quality.each(run(params, inputs[own]), jnp.asarray(targets[own]))
            total += float(np.asarray(each)[part < len(order)].sum())
            if total / len(order) > at_most:
                break
        return total / len(order)

    order = _hardest_first(lambda x: run(small.params, x), inputs, targets, size)
    return lambda params, at_least: -wrong(params, order, -at_least)


def _hardest_first(
    run: Callable[[Any], Any], inputs: np.ndarray, targets: np.ndarray, size: int
) -> np.ndarray:
    """Returns the order of the examples, those of largest cross-entropy first."""
    rows = np.arange(-(-len(targets) // size) * size) % len(targets)
    outputs = np.concatenate([run(inputs[part]) for part in rows.reshape(-1, size)])
    logs = np.asarray(jax.nn.log_softmax(outputs[: len(targets)]))
    own = np.take_along_axis(logs, targets[..., None], -1)
    return np.argsort(own.reshape(len(targets), -1).mean(-1), kind="stable")
