"""What a run does, typed: read from a file, overridden on the command line."""

from typing import Literal

from pydantic import Field, model_validator

from jaxcompress.config.data import DataConfig
from jaxcompress.config.search import FirstConfig, SearchConfig
from jaxcompress.config.section import Section
from jaxcompress.config.space import SpaceConfig
from jaxcompress.config.training import (
    AdaptConfig,
    LibraryConfig,
    TrainConfig,
    TuneConfig,
)
from jaxcompress.user_code import is_function

QUALITIES = ("top1", "cross_entropy")
MergeOrder = Literal["none", "left_to_right", "centre_to_end"]


class ReportConfig(Section):
    """What is kept of the fronts, and how they are compared."""

    members: int = Field(default=10, ge=1, description="of each front, fine-tuned, >= 1")
    baselines: bool = Field(
        default=True, description="also uniform, magnitude, greedy and random search"
    )
    reference_error: float = Field(
        default=0.2,
        gt=0,
        description="hypervolume reference: validation error, in the unit of quality, > 0",
    )


class Config(Section):
    """A run of jaxcompress: train, search, fine-tune, compact, save, judge."""

    name: str = Field(
        default="run", pattern=r"^\w[\w.-]*$", description="of the run directory"
    )
    seed: int = Field(
        default=0, ge=0, description="of everything random but the data split"
    )
    model: str = Field(
        default="digits_cnn",
        description="digits_cnn, resnet20, ... (all: see jaxcompress.models.create), or "
        "module:function, which returns (apply, params) of a trained network",
    )
    weights: str | None = Field(
        default=None,
        description="safetensors file for the model, or the name of a published one in "
        "the directory JAXCOMPRESS_WEIGHTS; none: the model is trained",
    )
    loss: str | None = Field(
        default=None,
        description="module:function of (outputs, targets), what gradient steps minimise; "
        "none: the cross-entropy of logits and labels",
    )
    quality: str = Field(
        default="top1",
        description="what error is: top1, cross_entropy, or module:function of (outputs, "
        "targets); smaller is better",
    )
    data: DataConfig = DataConfig()
    train: TrainConfig = TrainConfig()
    space: SpaceConfig = SpaceConfig()
    library: LibraryConfig = Field(
        default=LibraryConfig(epochs=1, learning_rate=1e-3),
        description="members of a library of pruned networks, made before the search",
    )
    adapt: AdaptConfig = Field(
        default=AdaptConfig(epochs=16, learning_rate=5e-3),
        description="training of shared weights under random plans, before the search, and "
        "every few generations within it",
    )
    first: FirstConfig = FirstConfig()
    search: SearchConfig = SearchConfig()
    finetune: TuneConfig = TuneConfig()
    reestimate: int = Field(
        default=0,
        ge=0,
        description="training examples by which the batch norm of each member is estimated "
        "anew, where validation says that this helps, see search.reestimate; 0: not",
    )
    merge: MergeOrder = Field(
        default="none",
        description="of neighbouring values that the weights of a saved member share, in "
        "this order, as long as no validation quality is lost",
    )
    report: ReportConfig = ReportConfig()

    @model_validator(mode="after")
    def _fit(self) -> "Config":
        if is_function(self.model) and self.weights is not None:
            raise ValueError(
                f"weights = {self.weights!r}: {self.model} brings its own; leave one out"
            )
        if self.weights is None and (self.data.mean or self.data.std):
            raise ValueError(
                "data.mean and data.std: are those with which weights were trained; set "
                "weights, or leave both out"
            )
        if self.loss is not None and not is_function(self.loss):
            raise ValueError(f"loss = {self.loss!r}: allowed is module:function, or none")
        if self.quality not in QUALITIES and not is_function(self.quality):
            raise ValueError(
                f"quality = {self.quality!r}: allowed are {', '.join(QUALITIES)} and "
                "module:function"
            )
        if self.search.initial == "surrogate" and not self.space.masks:
            raise ValueError(
                "search.initial = 'surrogate': chooses masks; set space.masks to true"
            )
        if self.search.score == "saving" and self.quality != "top1":
            raise ValueError(
                f"search.score = 'saving': counts points of accuracy, and quality is "
                f"{self.quality!r}; take top1, or the score error"
            )
        if self.first.kinds and self.search.initial == "surrogate":
            raise ValueError(
                "first.kinds and search.initial = 'surrogate' exclude each other; leave "
                "one out"
            )
        space, library = self.space, self.library
        if space.codebook == "none" and "values" in self.search.objectives:
            raise ValueError(
                "search.objectives has values, and weights share none; set space.codebook"
            )
        one = space.codebook != "none" and space.codebook_scope == "network"
        if self.merge != "none" and not one:
            raise ValueError(
                f"merge = {self.merge!r}: is of the one codebook of a network; set "
                "space.codebook, and space.codebook_scope to network"
            )
        adapt = self.adapt.epochs or self.adapt.focus or self.adapt.every
        if library.members and adapt:
            raise ValueError(
                "library.members are trained already; set adapt.epochs, adapt.focus and "
                "adapt.every to 0"
            )
        if self.adapt.every and self.search.evaluations is not None:
            raise ValueError(
                "adapt.every and search.evaluations exclude each other: a pause evaluates "
                "the front anew, whatever its size; leave one out"
            )
        if self.adapt.every >= self.search.generations:
            raise ValueError(
                f"adapt.every = {self.adapt.every}: the search is over after "
                f"search.generations = {self.search.generations}; allowed is less, or 0"
            )
        if self.adapt.every and self.search.score == "saving":
            raise ValueError(
                "search.score = 'saving': counts from the dense network's error, which "
                "adapt.every changes within the search; leave one out"
            )
        if library.members and (self.first.kinds or self.search.initial == "surrogate"):
            raise ValueError(
                "library.members: set first.kinds to [] and search.initial to ladder, "
                "descent or boundary; there is no one network to decide about first"
            )
        if self.search.descent_examples is not None and self.quality != "top1":
            raise ValueError(
                f"quality = {self.quality!r}: it does not say which examples are wrong, as "
                "search.descent_examples needs; leave that out"
            )
        if self.adapt.scales == "learned":
            raise ValueError(
                "adapt.scales = 'learned': one set of weights serves all plans, and each "
                "has scales of its own; set it to fitted"
            )
        adapted = self.adapt.batch_norm == "trained" and adapt
        if adapted and not self.search.reestimate:
            raise ValueError(
                "adapt.batch_norm = 'trained': its averages are of no plan; set "
                "search.reestimate to some hundred, or adapt.batch_norm to fixed"
            )
        averaged = self.finetune.ema and self.finetune.batch_norm == "trained"
        if averaged and not max(self.reestimate, self.search.reestimate):
            raise ValueError(
                "finetune.ema: averaged weights have other statistics than those of the "
                "batches; set --reestimate (of members, no section) to some hundred, or "
                "finetune.batch_norm to fixed"
            )
        fixed = self.finetune.epochs and self.finetune.batch_norm == "fixed"
        if adapted and fixed:
            raise ValueError(
                "adapt.batch_norm = 'trained': its averages are of no plan; set "
                "finetune.batch_norm to trained, too"
            )
        if adapted and self.search.initial == "surrogate":
            raise ValueError(
                "adapt.batch_norm = 'trained': its averages are of no plan, and "
                "search.initial = 'surrogate' runs the weights as they are; set "
                "adapt.batch_norm to fixed"
            )
        costs = {"macs", "size"} & set(self.search.objectives)
        if not costs and (self.first.kinds or self.search.initial == "boundary"):
            raise ValueError(
                f"search.objectives = {self.search.objectives!r}: first.kinds and "
                "search.initial = boundary need macs or size among them"
            )
        if library.members and (
            space.sparsity if library.prune == "weights" else space.channels
        ):
            key = "sparsity to []" if library.prune == "weights" else "channels to false"
            raise ValueError(f"library.prune = {library.prune!r}: set space.{key}")
        if self.search.racing is not None and self.quality != "top1":
            raise ValueError(
                f"search.racing counts errors, and quality is {self.quality!r}: leave "
                "racing out, or take top1"
            )
        return self
