"""What a run does, typed: read from a file, overridden on the command line.

Every section is frozen and refuses unknown keys, wrong types and values out of range.
"""

from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from jaxcompress.user_code import is_function

Bits = Literal[1, 2, 3, 4, 5, 6, 7, 8, 16, 32]
Share = Annotated[float, Field(ge=0, lt=1)]
QUALITIES = ("top1", "cross_entropy")
Rate = Annotated[float | None, Field(ge=0, le=1)]
RATES = ("crossover_rate", "swap_rate", "mutated_share", "mutation_rate")
Kind = Literal[
    "blocks",
    "channels",
    "ranks",
    "kernel_sparsity",
    "sparsity",
    "codebook",
    "weight_bits",
    "activation_bits",
]
Objective = Literal[
    "error", "size", "macs", "parameters", "bops", "energy", "latency", "values"
]
MergeOrder = Literal["none", "left_to_right", "centre_to_end"]


class Section(BaseModel):
    """A frozen part of a configuration."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    def __init__(self, **values: Any) -> None:
        try:
            super().__init__(**values)
        except ValidationError as error:
            raise ValueError(_explained(error, type(self))) from None


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
    codebook_sizes: tuple[int, ...] = Field(
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


class TuneConfig(Section):
    """How compressed networks are trained: Adam, cosine schedule, straight through."""

    epochs: int = Field(default=6, ge=0, description="passes over the training split, >= 0")
    batch_size: int = Field(default=64, ge=1, description="images a step, >= 1")
    learning_rate: float = Field(default=3e-3, gt=0, description="at the start, > 0")
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
        description="share of the average of the weights that a step keeps, such as 0.999; "
        "0: the last weights are taken",
    )
    batch_norm: Literal["fixed", "trained"] = Field(
        default="fixed",
        description="statistics of batch norm: fixed, or trained: those of the batch, and "
        "the averages follow; only fixed before a search",
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


class LibraryConfig(TuneConfig):
    """Pruned networks, one of which each genotype takes, and how each step trains them."""

    members: int = Field(
        default=0, ge=0, description="how many pruned networks, >= 2; 0: no library"
    )
    prune: Literal["weights", "channels"] = Field(
        default="weights", description="what is cut, in every layer the same share of it"
    )
    least: float = Field(
        default=0.2, gt=0, le=1, description="share that the most pruned member keeps"
    )
    most: float = Field(
        default=0.8, gt=0, le=1, description="share that the least pruned one keeps"
    )
    steps: int = Field(
        default=32,
        ge=1,
        description="cuts of a member, each to the same share of what was left, with "
        "`epochs` of training after each",
    )

    @model_validator(mode="after")
    def _ascending(self) -> "LibraryConfig":
        if self.members == 1 or (self.members and not self.least < self.most):
            raise ValueError("members must be 0, or 2 or more with least below most")
        return self


class SearchConfig(Section):
    """How the evolutionary search runs, and how long."""

    algorithm: Literal["nsga2", "nsga3", "moead", "decomposed", "random", "genetic"] = (
        Field(
            default="nsga2",
            description="nsga2, nsga3, moead, decomposed (CMA-ES for 8 weights), random, "
            "or genetic (for one score)",
        )
    )
    crossover: Literal["mixed", "uniform", "one_point", "two_point", "differential"] = (
        Field(
            default="mixed",
            description="of nsga2, nsga3, moead: mixed (simulated binary for genes of 32 "
            "values or more, else uniform), uniform, one_point, two_point, differential",
        )
    )
    population: int = Field(default=48, ge=4, description="genotypes of a generation, >= 4")
    generations: int = Field(
        default=40, ge=1, description=">= 1, the first population included"
    )
    objectives: tuple[Objective, ...] = Field(
        default=("error", "size", "macs"),
        strict=False,
        description="what is minimised: error, then size, macs, parameters, bops, energy, "
        "latency (measured at the start, on this device), values (that weights share); "
        "the hypervolume of the search is of the first two",
    )
    dataflow: Literal["X:Y", "CI:CO", "FX:FY", "X:FX"] = Field(
        default="X:Y", description="of energy: which loops are unrolled"
    )
    energy_table: Literal["emomc", "eyeriss", "tpu"] = Field(
        default="emomc", description="of energy: emomc, eyeriss or tpu"
    )
    coding: Literal["dense", "csr", "coo", "huffman", "range"] = Field(
        default="range", description="of the files, and of size as it is minimised"
    )
    max_size: float | None = Field(
        default=None, gt=0, description="bytes of parameters, at most"
    )
    max_macs: float | None = Field(default=None, gt=0, description="MACs an image, at most")
    max_energy: float | None = Field(default=None, gt=0, description="mJ an image, at most")
    reestimate: int = Field(
        default=0,
        ge=0,
        description="training examples by which the batch norm of every candidate is "
        "estimated anew before it is measured; 0: not",
    )
    racing: float | None = Field(
        default=None,
        gt=0,
        lt=1,
        description="confidence of each stop of racing, > 0 and < 1, such as 0.95; "
        "none: no racing",
    )
    mutation: Literal["polynomial", "gaussian", "step"] = Field(
        default="polynomial",
        description="of ordered genes, by nsga2, nsga3, moead, genetic: polynomial, "
        "gaussian (a fifth of the range) or step (to the next choice)",
    )
    crossover_rate: Rate = Field(
        default=None, description="share of pairs that are crossed; none: the algorithm's"
    )
    swap_rate: Rate = Field(
        default=None, description="share of genes that uniform crossover swaps; none: 0.5"
    )
    mutated_share: Rate = Field(
        default=None, description="share of children that are mutated at all; none: 1"
    )
    mutation_rate: Rate = Field(
        default=None, description="share of genes that mutate; none: one in a child"
    )
    score: Literal["error", "saving"] = Field(
        default="error",
        description="of genetic: error, or saving, exp(100 share of MACs saved) over lost "
        "points of accuracy (GeneCAI)",
    )
    selection: Literal["tournament", "roulette"] = Field(
        default="tournament", description="of parents, by genetic"
    )
    elites: int | None = Field(
        default=None,
        ge=0,
        description="of genetic: how many of the old may stay; none: all compete",
    )
    initial: Literal["ladder", "boundary", "surrogate"] = Field(
        default="ladder",
        description="where the search begins: ladder (uniform in each kind), boundary "
        "(between dense and what space.tolerance allows each gene alone), surrogate "
        "(space.masks by a genetic algorithm for each group, on a quadratic form)",
    )
    surrogate_generations: int = Field(
        default=40, ge=1, description="of initial surrogate, for each group, >= 1"
    )
    error_threshold: float | None = Field(
        default=None,
        gt=0,
        description="validation error above which initial boundary draws again and the "
        "score saving is cut; none: neither",
    )
    checkpoint_every: int = Field(
        default=5, ge=1, description="generations from one checkpoint to the next, >= 1"
    )
    checkpoints_kept: int = Field(
        default=3, ge=1, description="how many checkpoints of the search stay, >= 1"
    )

    @field_validator("objectives")
    @classmethod
    def _needed(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if value[:1] != ("error",) or len(value) < 2 or len(set(value)) < len(value):
            raise ValueError("must begin with error, go on with another, name none twice")
        return value

    @model_validator(mode="after")
    def _of_genetic(self) -> "SearchConfig":
        if self.elites is not None and self.elites > self.population:
            raise ValueError(
                f"elites = {self.elites}: allowed is 0 to population = {self.population}"
            )
        rates = [name for name in RATES if getattr(self, name) is not None]
        if rates and self.algorithm in ("decomposed", "random"):
            raise ValueError(f"{rates[0]}: {self.algorithm} has no such rate; leave it out")
        if self.score == "saving" and "macs" not in self.objectives:
            raise ValueError("score = 'saving': needs macs among the objectives")
        return self

    @field_validator("population")
    @classmethod
    def _shared(cls, value: int, info: Any) -> int:
        if info.data.get("algorithm") == "decomposed" and (value % 8 or value < 32):
            raise ValueError("must be a multiple of 8, 32 or more, for decomposed")
        return value


class FirstConfig(Section):
    """What is decided first: in a search of its own, with a fine-tuning after it.

    All else is that of the main search, which then goes on from the fine-tuned choice.
    """

    kinds: tuple[Kind, ...] = Field(
        default=(),
        strict=False,
        description="options of space searched first; none: all of them together",
    )
    generations: int = Field(default=40, ge=1, description=">= 1")
    mutation: Literal["polynomial", "gaussian", "step"] = Field(
        default="polynomial", description="see search"
    )
    error_threshold: float = Field(
        default=0.1,
        gt=0,
        description="see search; of what keeps it the choice with fewest MACs is taken "
        "(bytes, where macs is no objective)",
    )

    @field_validator("kinds")
    @classmethod
    def _distinct(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(value)) < len(value):
            raise ValueError("must name none twice")
        return value


class ReportConfig(Section):
    """What is kept of the fronts, and how they are compared."""

    members: int = Field(default=10, ge=1, description="of each front, fine-tuned, >= 1")
    baselines: bool = Field(
        default=True, description="also uniform, greedy and random search"
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
    adapt: TuneConfig = Field(
        default=TuneConfig(epochs=16, learning_rate=5e-3),
        description="training of shared weights under random plans, before the search",
    )
    first: FirstConfig = FirstConfig()
    search: SearchConfig = SearchConfig()
    finetune: TuneConfig = TuneConfig()
    reestimate: int = Field(
        default=0,
        ge=0,
        description="training examples by which the batch norm of each member is estimated "
        "anew, where validation says that this helps; 0: not",
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
        if library.members and (self.adapt.epochs or self.finetune.epochs):
            raise ValueError(
                "library.members are trained already; set adapt.epochs and "
                "finetune.epochs to 0"
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


def _explained(error: ValidationError, section: type[BaseModel]) -> str:
    """Returns every problem in one line: the key, the value, what is allowed."""
    parts = []
    for problem in error.errors():
        key = ".".join(str(part) for part in problem["loc"])
        message = problem["msg"].removeprefix("Value error, ")
        if problem["type"] == "extra_forbidden":
            parts.append(f"unknown key {key}; allowed: {', '.join(section.model_fields)}")
        elif isinstance(problem["input"], dict):  # a section that said what is wrong
            parts.append(f"{key}: {message.removeprefix(': ')}")
        else:
            parts.append(f"{key} = {problem['input']!r}: {message[0].lower()}{message[1:]}")
    return "; ".join(parts)
