"""Small networks of every structure, with random weights.

Each entry is a function (key) -> (apply, params, example inputs, prunable channels).
The last is counted by hand, so that nothing is frozen by laziness.
"""

from network.zoo import (  # noqa: F401
    attention,
    control,
    convolutional,
    dense,
    frameworks,
    grouped,
    layouts,
    operations,
    recurrent,
    residual,
)
from network.zoo.base import ZOO

__all__ = ["ZOO"]
