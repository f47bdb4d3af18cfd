"""How much each channel matters: scores by which channels are ranked.

Every criterion returns, by group name, float64 [n] scores; larger matters more. What a
group ties together is summed. `GatedLoss` says what channels matter together.
"""

from jaxcompress.space.importance.gradients import gradient_at_mask, taylor
from jaxcompress.space.importance.quadratic import (
    GatedLoss,
    Quadratic,
    rank_correlation,
)
from jaxcompress.space.importance.weights import Scores, batch_norm, l1, l2, random

__all__ = [
    "GatedLoss",
    "Quadratic",
    "Scores",
    "batch_norm",
    "gradient_at_mask",
    "l1",
    "l2",
    "random",
    "rank_correlation",
    "taylor",
]
