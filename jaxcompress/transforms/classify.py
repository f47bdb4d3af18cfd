"""Logits and labels: the one loss of classifiers, and what labels may be."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float


def cross_entropy(
    outputs: Float[Array, "batch classes"], targets: Array
) -> Float[Array, ""]:
    """Returns the mean cross-entropy of logits [B, K] and labels int [B], in nats."""
    logits = jax.nn.log_softmax(outputs)
    return -jnp.take_along_axis(logits, targets[:, None], axis=1).mean()


def check_labels(targets: Array | np.ndarray, classes: int) -> None:
    """Checks labels on the host, once: an index out of range is silent on the device.

    Raises:
        ValueError: labels are no integers, or not in 0..classes-1.
    """
    labels = np.asarray(targets)
    if not np.issubdtype(labels.dtype, np.integer) or labels.ndim != 1:
        raise ValueError(
            f"labels are {labels.dtype}{list(labels.shape)}; wanted integers, one for "
            "each example"
        )
    if labels.size and not (labels.min() >= 0 and labels.max() < classes):
        raise ValueError(
            f"labels run from {labels.min()} to {labels.max()}; the network has "
            f"{classes} outputs, so allowed are 0..{classes - 1}"
        )
