"""Layers that multiply codes, against sums of integers by NumPy."""

from collections.abc import Sequence
from itertools import product
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from network.exact import compiled

import jaxcompress as jc
from jaxcompress.artifact.execution import executable, executed

RNG = np.random.default_rng(0)
IMAGES, KERNELS = ("NHWC", "HWIO", "NHWC"), ("NCHW", "OIHW", "NCHW")


def convolved(
    x: np.ndarray,
    w: np.ndarray,
    strides: Sequence[int] = (1, 1),
    padding: Sequence[tuple[int, int]] = ((0, 0), (0, 0)),
    lhs_dilation: Sequence[int] = (1, 1),
    rhs_dilation: Sequence[int] = (1, 1),
    groups: int = 1,
) -> np.ndarray:
    """The sums of a convolution by their definition, NHWC and HWIO, in int64."""
    n, height, width, channels = x.shape
    wide = np.zeros((n, *((s - 1) * d + 1 for s, d in zip(x.shape[1:3], lhs_dilation))))
