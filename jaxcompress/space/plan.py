"""The plan: what is done to every layer and channel group of a network."""

from collections.abc import Mapping
from typing import no_type_check

import numpy as np
from flax import struct
from jaxtyping import Array, Bool, Float, Int


@no_type_check  # as a pytree it holds whatever it is mapped to
class Plan(struct.PyTreeNode):
    """What a genotype means for one network; a pytree, so it can be mapped over.

    Attributes:
        channels: by group name, the channels that are kept, bool [n]; a group that is
            not named is kept whole.
        blocks: by block name, whether the residual branch is kept, bool []; one that is
            not named is kept.
        ranks: by parameter path, how many columns its factors keep, int32 [1] (a product
            of two matrices) or [2] (Tucker-2: input, output); a parameter that is not
            named, or has its full ranks, is not factorised.
        kernel_sparsity: by parameter path, the share of its surviving kernels (a kernel
            is what one input channel adds to one output channel) that is zero, float32.
        sparsity: by parameter path, the share of its surviving entries that is zero, one
            by one, float32.
        codebook_sizes: by parameter path, how many values its entries share at most,
            int32.
        weight_bits: by parameter path, the bits of its weights, int32; a parameter that
            is not named stays float32.
        activation_bits: by layer name, the bits of its input, int32; a layer that is not
            named takes its input as it is.
        activation_ranges: by layer name, the least and the largest value of the grid of
            its input, float32 [2]; every layer in `activation_bits` has one.
        scales: by parameter path, what its codes are multiplied by, float32, broadcasting
            against the parameter; a parameter with bits that is not named gets a scale
            found by `scale_by`.
        member: whose parameters are compressed, where those of a library of networks are
            given, stacked, every leaf [L, ...]: one of 0..L - 1, int32 []. None: the
            parameters are those of one network.
        granularity: "tensor" or "channel": what shares one scale.
        codebook_kind: how shared values are found, out of `transforms.CODEBOOKS`.
        codebook_scope: "layer": each weight has a codebook; "network": all have one, and
            every size is the same.
        scale_by: how a scale is found, out of `transforms.SCALES`.
        sparsity_scope: "layer": each weight loses its share of entries; "network": the
            smallest of all together are zero, and every share is the same.
    """

    channels: Mapping[str, Bool[Array | np.ndarray, "..."]] = struct.field(
        default_factory=dict
    )
    blocks: Mapping[str, Bool[Array | np.ndarray, "..."]] = struct.field(
        default_factory=dict
    )
    ranks: Mapping[str, Int[Array | np.ndarray, "..."]] = struct.field(default_factory=dict)
    kernel_sparsity: Mapping[str, Float[Array | np.ndarray, "..."]] = struct.field(
        default_factory=dict
    )
    sparsity: Mapping[str, Float[Array | np.ndarray, "..."]] = struct.field(
        default_factory=dict
    )
    codebook_sizes: Mapping[str, Int[Array | np.ndarray, "..."]] = struct.field(
        default_factory=dict
    )
    weight_bits: Mapping[str, Int[Array | np.ndarray, "..."]] = struct.field(
        default_factory=dict
    )
    activation_bits: Mapping[str, Int[Array | np.ndarray, "..."]] = struct.field(
        default_factory=dict
    )
    activation_ranges: Mapping[str, Float[Array | np.ndarray, "..."]] = struct.field(
        default_factory=dict
    )
    scales: Mapping[str, Float[Array | np.ndarray, "..."]] = struct.field(
        default_factory=dict
    )
    member: Int[Array | np.ndarray, ""] | None = None
    granularity: str = struct.field(pytree_node=False, default="channel")
    codebook_kind: str = struct.field(pytree_node=False, default="uniform")
    codebook_scope: str = struct.field(pytree_node=False, default="layer")
    scale_by: str = struct.field(pytree_node=False, default="least_squares")
    sparsity_scope: str = struct.field(pytree_node=False, default="layer")


def coded_paths(plan: Plan) -> list[str]:
    """Returns the weights that a plan does something to, besides removing channels."""
    kinds = (
        plan.ranks,
        plan.kernel_sparsity,
        plan.sparsity,
        plan.codebook_sizes,
        plan.weight_bits,
    )
    return list(dict.fromkeys(path for kind in kinds for path in kind))
