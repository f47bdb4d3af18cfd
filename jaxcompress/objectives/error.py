"""Quality: how often, or by how much, the outputs are wrong."""

from collections.abc import Callable
from dataclasses import dataclass

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float

from jaxcompress.objectives.objective import Quality
from jaxcompress.transforms import cross_entropy

KINDS = ("top1", "cross_entropy")


@dataclass(frozen=True)
class Error(Quality):
    """The error of a classifier, or any measure of the outputs.

    Attributes:
        kind: "top1" (share of wrong labels, 0..1), "cross_entropy" (nats), or a
            function (outputs, targets) -> scalar to minimise.

    Example:
        >>> import jax.numpy as jnp
        >>> float(Error()(jnp.asarray([[2.0, 1.0], [0.0, 3.0]]), jnp.asarray([0, 0])))
        0.5
    """

    kind: str | Callable[[Array, Array], Float[Array, ""]] = "top1"
    name = "error"

    def __post_init__(self) -> None:
        if not callable(self.kind) and self.kind not in KINDS:
            raise ValueError(
                f"Error: kind is {self.kind!r}; allowed: {KINDS} or a function"
            )

    @property
    def unit(self) -> str:  # type: ignore[override]
        return {"top1": "share", "cross_entropy": "nats"}.get(str(self.kind), "")

    def __call__(self, outputs: Array, targets: Array) -> Float[Array, ""]:
        if callable(self.kind):
            return jnp.asarray(self.kind(outputs, targets), jnp.float32)
        if self.kind == "cross_entropy":
            return cross_entropy(outputs, targets)
        wrong = _differ(outputs, targets).sum(dtype=jnp.int32)
        # A constant divisor is compiled to a product with its reciprocal, which is not
        # rounded as a division is: 3 of 4 might not be 0.75.
        count = lax.optimization_barrier(jnp.float32(targets.size))
        error = wrong.astype(jnp.float32) / count
        # The argmax of NaN is a label like any other: say NaN instead.
        return jnp.where(jnp.isfinite(outputs).all(), error, jnp.nan)

    def each(self, outputs: Array, targets: Array) -> Float[Array, " n"] | None:
        """Returns the share of an example's labels that are wrong: 1 or 0 if it has one.

        NaN where outputs are not finite.
        """
        if self.kind != "top1":
            return None
        wrong = _differ(outputs, targets).astype(jnp.float32)
        finite = jnp.isfinite(outputs).all(-1)
        return jnp.where(finite, wrong, jnp.nan).reshape(targets.shape[0], -1).mean(-1)


def _differ(outputs: Array, targets: Array) -> Bool[Array, "..."]:
    """Returns which labels are not those of the largest outputs."""
    if outputs.shape[:-1] != targets.shape:
        raise ValueError(
            f"Error('top1'): outputs have shape {outputs.shape} and targets "
            f"{targets.shape}; wanted logits [..., K] and a label for each, [...]; for "
            "other outputs give a function (outputs, targets) -> scalar"
        )
    return jnp.argmax(outputs, axis=-1) != targets
