"""Of a configuration: training from scratch, of shared weights, members, a library."""

from typing import Literal

from pydantic import Field, field_validator, model_validator

from jaxcompress.config.section import Section


class TrainConfig(Section):
    """How the dense network is trained: AdamW under a one-cycle schedule."""

    epochs: int = Field(
        default=60, ge=1, description="passes over the training split, >= 1"
    )
    batch_size: int = Field(default=64, ge=1, description="images a step, >= 1")
    learning_rate: float = Field(default=2e-2, gt=0, description="the peak, > 0")
    weight_decay: float = Field(
        default=1e-2, ge=0, description="decoupled, >= 0; weights only"
    )
    label_smoothing: float = Field(default=0.1, ge=0, lt=1, description="in [0, 1)")
    shift: int = Field(default=1, ge=0, description="random shift of images, pixels, >= 0")
    flip: bool = Field(default=False, description="mirror images at random, left to right")
    cutout: int = Field(
        default=0, ge=0, description="side of a random square of zeros, pixels, >= 0"
    )


class TuneConfig(Section):
    """How compressed networks are trained: AdamW, cosine schedule, straight through."""

    epochs: int = Field(default=6, ge=0, description="passes over the training split, >= 0")
    batch_size: int = Field(default=64, ge=1, description="images a step, >= 1")
    learning_rate: float = Field(default=3e-3, gt=0, description="at the start, > 0")
    weight_decay: float = Field(
        default=0.0, ge=0, description="decoupled, >= 0; weights only, no scales"
    )
    distillation: float = Field(
        default=0.5,
        ge=0,
        le=1,
        description="share of the loss against the dense network, 0..1",
    )
    temperature: float = Field(default=2.0, gt=0, description="of the distillation, > 0")
    label_smoothing: float = Field(default=0.0, ge=0, lt=1, description="in [0, 1)")
    ema: float = Field(
        default=0.0,
        ge=0,
        lt=1,
        description="share of the average of the weights that a step keeps, in [0, 1), "
        "such as 0.999, but at most (1 + t) / (10 + t) after t steps; 0: the last weights "
        "are taken",
    )
    batch_norm: Literal["fixed", "trained"] = Field(
        default="fixed",
        description="statistics of batch norm: fixed, or trained: those of the batch, and "
        "the averages follow; before a search, trained needs search.reestimate, and "
        "trained in finetune, too",
    )
    scales: Literal["fitted", "learned"] = Field(
        default="fitted",
        description="of weights and activations: fitted at every step, or learned with "
        "the weights (LSQ); only fitted before a search",
    )
    shift: int = Field(default=0, ge=0, description="random shift of images, pixels, >= 0")
    flip: bool = Field(default=False, description="mirror images at random, left to right")
    cutout: int = Field(
        default=0, ge=0, description="side of a random square of zeros, pixels, >= 0"
    )


class AdaptConfig(TuneConfig):
    """How shared weights are trained before the search, and perhaps within it."""

    focus: int = Field(
        default=0,
        ge=0,
        description="epochs after `epochs`, >= 0, under those uniform plans that no other "
        "beats and whose error is at most report.reference_error, each time with a quarter "
        "of its genes from a random one of them: of random plans almost all are far from "
        "any front; fine-tuning begins with the weights before it, unless they are trained "
        "within the search",
    )
    every: int = Field(
        default=0,
        ge=0,
        description="generations, >= 2, after which the search pauses, the weights are "
        "trained on under the plans of its front, and this is evaluated anew in the next "
        "generation; 0: never",
    )
    again: int = Field(
        default=1, ge=1, description="of `every`: epochs of each such training, >= 1"
    )

    @field_validator("every")
    @classmethod
    def _more_than_one(cls, value: int) -> int:
        if value == 1:
            raise ValueError(
                "must be 0, or 2 or more: the first generation after a training only "
                "evaluates anew"
            )
        return value

    @property
    def within(self) -> TuneConfig:
        """How they are trained within the search."""
        return self.model_copy(update={"epochs": self.again})

    @property
    def focused(self) -> TuneConfig:
        """How they are trained under the uniform plans on a front."""
        return self.model_copy(update={"epochs": self.focus})


class LibraryConfig(TuneConfig):
    """Pruned networks, one of which each genotype takes, and how each step trains them."""

    members: int = Field(
        default=0, ge=0, description="how many pruned networks, >= 2; 0: no library"
    )
    prune: Literal["weights", "channels"] = Field(
        default="weights", description="what is cut, in every layer the same share of it"
    )
    least: float = Field(
        default=0.2,
        gt=0,
        le=1,
        description="share that the most pruned member keeps, > 0 and <= 1",
    )
    most: float = Field(
        default=0.8,
        gt=0,
        le=1,
        description="share that the least pruned one keeps, > least and <= 1",
    )
    steps: int = Field(
        default=32,
        ge=1,
        description="cuts of a member, each to the same share of what was left, with "
        "`epochs` of training after each; >= 1",
    )

    @model_validator(mode="after")
    def _ascending(self) -> "LibraryConfig":
        if self.members == 1 or (self.members and not self.least < self.most):
            raise ValueError("members must be 0, or 2 or more with least below most")
        return self
