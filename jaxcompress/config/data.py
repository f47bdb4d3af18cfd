"""Of a configuration: which images."""

from typing import Annotated

from pydantic import Field, model_validator

from jaxcompress.config.section import Section

STREAM_ABOVE = 4 << 30


class DataConfig(Section):
    """Which images, and how they are split."""

    name: str = Field(
        default="digits",
        description="digits, mnist, cifar10, tfds:NAME, or module:function, which returns "
        "a jaxcompress.data.Dataset",
    )
    directory: str | None = Field(
        default=None,
        description="TFDS directory; default: TFDS_DATA_DIR, then TFDS' own",
    )
    seed: int = Field(default=0, ge=0, description="of the split into train and validation")
    train_examples: int | None = Field(
        default=None, ge=1, description="of the training split, drawn at random; none: all"
    )
    validation_examples: int | None = Field(
        default=None, ge=1, description="of the validation split, likewise"
    )
    validation_fraction: float | None = Field(
        default=None,
        gt=0,
        lt=1,
        description="of the images that are not in the test split, > 0 and < 1; none: 0.25 "
        "for digits, 0.1 for others",
    )
    mean: tuple[float, ...] = Field(
        default=(),
        strict=False,
        description="of each channel, pixels 0..255, with which `weights` were trained; "
        "none: of the training images, or as published",
    )
    std: tuple[Annotated[float, Field(gt=0)], ...] = Field(
        default=(), strict=False, description="likewise, > 0"
    )
    stream_above: int = Field(
        default=STREAM_ABOVE,
        ge=0,
        description="bytes, >= 0; training images that take more are not held on the "
        "device, but read while networks are trained (needs grain)",
    )

    @model_validator(mode="after")
    def _both_or_none(self) -> "DataConfig":
        if len(self.mean) != len(self.std):
            raise ValueError(
                f"mean has {len(self.mean)} entries and std {len(self.std)}; give both, "
                "one for each channel"
            )
        return self
