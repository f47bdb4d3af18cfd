"""Dataflows: how often a layer reads and writes the memory beside its multipliers.

Source: Z. Wang, T. Luo, M. Li, J. T. Zhou, R. S. M. Goh and L. Zhen, "Evolutionary
Multi-Objective Model Compression for Deep Neural Networks", IEEE Computational
Intelligence Magazine 16(3), 2021. A dataflow is named after the loops that it unrolls
over the multipliers: X, Y along the output, FX, FY along the kernel, CI, CO over the
channels.
"""

from dataclasses import dataclass

import jax.numpy as jnp

from jaxcompress.compress import Numbers, Work

DATAFLOWS = ("X:Y", "CI:CO", "FX:FY", "X:FX")
WIDE = 24  # channels in parallel from which on one of them hardly ever idles


@dataclass(frozen=True, eq=False)
class Accesses:
    """Words that a layer moves for one example.

    Attributes:
        inputs: reads of its input.
        weights: reads of weights, zeros included.
        outputs: writes of outputs and partial sums.
        sums: reads of partial sums.
    """

    inputs: Numbers
    weights: Numbers
    outputs: Numbers
    sums: Numbers


def accesses(work: Work, dataflow: str) -> Accesses:
    """Returns the accesses of a layer (traceable).

    With a density p, what only zeros would use is not moved: n multipliers that share a
    word all meet a zero with probability (1 - p)^n. A dense layer is output-stationary,
    "X:Y", under every dataflow. A kernel or an image that is not square counts as a
    square of the same area, and channels are those of one group.

    Args:
        dataflow: one of `DATAFLOWS`.
    """
    macs, zero, area = work.macs, 1.0 - work.density, work.area
    inputs, outputs = work.inputs, work.outputs / work.groups
    if dataflow == "X:Y" or work.kind == "dense":
        return Accesses(
            inputs=macs * work.density,
            weights=macs / work.positions,
            outputs=macs / (area * inputs),
            sums=jnp.zeros_like(macs),
        )
    if dataflow == "CI:CO":
        summed = macs / inputs * _used(zero, inputs)
        return Accesses(macs / outputs * _used(zero, outputs), macs, summed, summed)
    if dataflow == "FX:FY":
        summed = macs / area * (1.0 - zero**area)
        return Accesses(macs * work.density, macs / work.positions, summed, summed)
    root = 1.0 / len(work.kernel)
    side, line = area**root, work.positions**root
    shared = macs / side * (1.0 - zero**side)
    return Accesses(inputs=shared, weights=macs / line, outputs=shared, sums=shared)


def _used(zero: Numbers, channels: Numbers) -> Numbers:
    return jnp.where(channels <= WIDE, 1.0 - zero**channels, 1.0)
