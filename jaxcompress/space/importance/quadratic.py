"""The loss as a quadratic form in the gates of one group's channels."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from jaxcompress.network import Network
from jaxcompress.space.importance.gradients import Gated, Loss, batched, gated_loss

Masks = Int[Array | np.ndarray, "n channels"]


@dataclass(frozen=True, eq=False)
class Quadratic:
    """What removing channels of one group does to the loss, to second order.

    With v = mask - 1, the change of the gates: gradient . v + v . curvature . v / 2.

    Attributes:
        gradient: of the loss at the gates, float32 [n].
        curvature: its second derivatives, float32 [n, n].
    """

    gradient: Float[Array | np.ndarray, " channels"]
    curvature: Float[Array | np.ndarray, "channels channels"]

    def __call__(self, masks: Masks) -> Float[Array, " n"]:
        """Returns the change of the loss, for masks of 0 (removed) and 1 (kept)."""
        moved = jnp.asarray(masks, jnp.float32) - 1.0
        bent = jnp.einsum("ni,ij,nj->n", moved, jnp.asarray(self.curvature), moved)
        return moved @ jnp.asarray(self.gradient) + 0.5 * bent


class GatedLoss:
    """The mean loss of some examples, as a function of a gate on every channel.

    A gate of 1 keeps a channel and one of 0 removes it, exactly as a plan does.

    Example:
        >>> loss = GatedLoss(network, x, y)  # doctest: +SKIP
        >>> loss.expanded("conv1", loss.gates())(masks)  # doctest: +SKIP
    """

    def __init__(
        self,
        network: Network,
        inputs: Array,
        targets: Array,
        *,
        loss: Loss | None = None,
        batch_size: int = 256,
        params: Any = None,
    ) -> None:
        """Compiles nothing yet; arguments and errors are those of `taylor`.

        Args:
            params: the network's own if None.
        """
        self._units = {group.name: group.units for group in network.prunable}
        self._count = network.layout.count
        gated = gated_loss(network, inputs, targets, loss, params)
        self._batches = list(zip(*batched(inputs, targets, batch_size), strict=True))
        # Calls in a loop and no scan: see `training.finetune`.
        self._loss = jax.jit(gated)
        self._product = jax.jit(partial(_product, gated))

    def gates(
        self, kept: Mapping[str, Int[np.ndarray, " channels"]] | None = None
    ) -> Float[np.ndarray, " units"]:
        """Returns all gates, float32; open, but for groups of which a mask is given."""
        gates = np.ones(self._count, np.float32)
        for name, mask in (kept or {}).items():
            gates[self._units[name]] = mask
        return gates

    def expanded(self, group: str, gates: Float[np.ndarray, " units"]) -> Quadratic:
        """Returns the loss around gates, to second order in those of one group.

        As many products of the Hessian with a vector as the group has channels, each
        over all examples.

        Args:
            group: one that is open, for `Quadratic` counts from open gates.
        """
        units, count = self._units[group], len(self._batches)
        gradient, rows = np.zeros(len(units)), np.zeros((len(units), len(units)))
        for i, unit in enumerate(units):
            for batch in self._batches:
                first, second = self._product(gates, unit, *batch)
                gradient[i] += np.asarray(first)[unit] / count
                rows[i] += np.asarray(second)[units] / count
        return Quadratic(gradient.astype(np.float32), rows.astype(np.float32))

    def changes(
        self, group: str, gates: Float[np.ndarray, " units"], masks: Masks
    ) -> Float[np.ndarray, " n"]:
        """Returns what masks of a group really do to the loss at these gates."""
        before, found = self._mean(gates), []
        for mask in np.asarray(masks):
            moved = gates.copy()
            moved[self._units[group]] = mask
            found.append(self._mean(moved) - before)
        return np.asarray(found)

    def _mean(self, gates: Float[np.ndarray, " units"]) -> float:
        return float(np.mean([self._loss(gates, *batch) for batch in self._batches]))


def _product(
    gated: Gated, gates: Float[Array, " units"], unit: Int[Array, ""], x: Array, y: Array
) -> tuple[Float[Array, " units"], Float[Array, " units"]]:
    """Returns the gradient at the gates, and the Hessian times the vector of one gate."""
    along = jnp.zeros_like(gates).at[unit].set(1.0)
    return jax.jvp(lambda gates: jax.grad(gated)(gates, x, y), (gates,), (along,))


def rank_correlation(
    first: Float[np.ndarray, " n"], second: Float[np.ndarray, " n"]
) -> float:
    """Returns Spearman's coefficient of two rows of numbers, -1..1; equal ones share ranks.

    NaN where one of the rows is constant.
    """
    ranks = []
    for row in (first, second):
        values, place, count = np.unique(row, return_inverse=True, return_counts=True)
        if len(values) < 2:
            return float("nan")
        middle = np.cumsum(count) - (count - 1) / 2
        ranks.append(middle[place] - middle[place].mean())
    a, b = ranks
    return float(a @ b / np.sqrt((a @ a) * (b @ b)))
