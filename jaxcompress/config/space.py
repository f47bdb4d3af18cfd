"""Of a configuration: what the search may choose."""

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from jaxcompress.config.section import Section

Bits = Literal[1, 2, 3, 4, 5, 6, 7, 8, 16, 32]
Share = Annotated[float, Field(ge=0, lt=1)]


class SpaceConfig(Section):
    """What the search may choose."""

    channels: bool = Field(default=True, description="search channel counts")
    blocks: bool = Field(default=True, description="search which residual blocks stay")
    importance: Literal[
        "l1", "l2", "batch_norm", "taylor", "gradient_at_mask", "random"
    ] = Field(default="taylor", description="by which scores channels are ranked")
    multiple_of: int = Field(default=1, ge=1, description="of channel counts, >= 1")
    minimum: int = Field(default=2, ge=1, description="least channels of a group, >= 1")
    masks: bool = Field(
        default=False,
        description="search which channels stay; how many is fixed in each group: as few "
        "as tolerance allows it alone",
    )
    tolerance: float = Field(
        default=0.01,
        ge=0,
        description="rise of the validation error, in the unit of quality, that a group "
        "(masks) or gene (search.initial boundary) may cause alone, >= 0",
    )
    weight_bits: tuple[Bits, ...] = Field(
        default=(2, 3, 4, 5, 6, 8),
        strict=False,
        description="allowed bits of weights: 1..8, 16, 32; none with a codebook",
    )
    granularity: Literal["tensor", "channel"] = Field(
        default="channel",
        description="what shares a scale: a tensor or an output channel",
    )
    scale_by: Literal["least_squares", "max", "percentile"] = Field(
        default="least_squares", description="how the scale of weights is found"
    )
    activation_bits: tuple[Bits, ...] = Field(
        default=(),
        strict=False,
        description="allowed bits of layers' inputs; none: they stay float32",
    )
    ranks: int = Field(
        default=0, ge=0, description="ranks a factor chooses from, >= 2; 0: none"
    )
    sparsity: tuple[Share, ...] = Field(
        default=(), strict=False, description="allowed shares of zero weights, [0, 1)"
    )
    sparsity_scope: Literal["layer", "network"] = Field(
        default="layer", description="of a share and threshold of zero weights"
    )
    kernel_sparsity: tuple[Share, ...] = Field(
        default=(), strict=False, description="allowed shares of zero kernels, [0, 1)"
    )
    codebook: Literal["none", "uniform", "kmeans", "kmeans_zero"] = Field(
        default="none", description="how weights share values, instead of bits"
    )
    codebook_sizes: tuple[Annotated[int, Field(ge=2, le=1024)], ...] = Field(
        default=(2, 4, 8, 16, 32, 64, 128, 256),
        strict=False,
        description="allowed numbers of shared values: 2..1024; none named: all of these",
    )
    codebook_scope: Literal["layer", "network"] = Field(
        default="layer", description="of a codebook"
    )

    @field_validator(
        "weight_bits", "activation_bits", "sparsity", "kernel_sparsity", "codebook_sizes"
    )
    @classmethod
    def _distinct(cls, value: tuple[Any, ...], info: Any) -> tuple[Any, ...]:
        if len(set(value)) < len(value):
            raise ValueError("must hold none twice")
        return value

    @field_validator("ranks")
    @classmethod
    def _more_than_one(cls, value: int) -> int:
        if value == 1:
            raise ValueError("must be 0, or 2 or more")
        return value

    @model_validator(mode="after")
    def _masks_of_channels(self) -> "SpaceConfig":
        if self.masks and not self.channels:
            raise ValueError(
                "masks are of channels; set channels to true, or masks to false"
            )
        return self

    @model_validator(mode="after")
    def _one_of_two(self) -> "SpaceConfig":
        if self.weight_bits and self.codebook != "none":
            raise ValueError(
                "space.weight_bits and space.codebook exclude each other; set "
                "weight_bits to [] or codebook to none"
            )
        if self.ranks and self.kernel_sparsity:
            raise ValueError(
                "space.ranks and space.kernel_sparsity exclude each other; set ranks to 0 "
                "or kernel_sparsity to []"
            )
        return self
