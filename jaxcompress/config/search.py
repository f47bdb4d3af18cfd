"""Of a configuration: how the search runs, and what comes before it."""

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from jaxcompress.config.section import Section

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
        description="training examples, >= 0, by which the batch norm of every candidate "
        "is estimated anew before it is measured, augmented as in finetune; 0: not",
    )
    precision: Literal["float32", "bfloat16"] = Field(
        default="float32",
        description="of products while plans are measured in the search: float32, or "
        "bfloat16 for hardware that is faster by it; files are measured in float32",
    )
    racing: float | None = Field(
        default=None,
        gt=0,
        lt=1,
        description="confidence of each stop of racing, > 0 and < 1, such as 0.85; "
        "none: no racing",
    )
    screening: int = Field(
        default=1,
        ge=1,
        description="offspring drawn for each that is evaluated, >= 1; of several the best "
        "by their costs and by what a Gaussian process expects of their errors (nsga2, "
        "nsga3); 1: no screening",
    )
    screening_examples: int = Field(
        default=64,
        ge=0,
        description="of screening > 1: by how many validation examples each gene is tried "
        "alone before the search, >= 0 (whole batches are run; fewer choices of a gene, or "
        "none, where it would take longer than a generation), which tells much of the "
        "errors of all together (a descent by descent_examples tells it instead, one by "
        "all examples is enough without); 0: not guided by that",
    )
    mutation: Literal["polynomial", "gaussian", "step"] = Field(
        default="polynomial",
        description="of ordered genes, by nsga2, nsga3, moead, genetic: polynomial, "
        "gaussian (a fifth of the range) or step (to the next choice)",
    )
    crossover_rate: Rate = Field(
        default=None,
        description="share of pairs that are crossed, 0..1; none: the algorithm's",
    )
    swap_rate: Rate = Field(
        default=None,
        description="share of genes that uniform crossover swaps, 0..1; none: 0.5",
    )
    mutated_share: Rate = Field(
        default=None, description="share of children that are mutated at all, 0..1; none: 1"
    )
    mutation_rate: Rate = Field(
        default=None,
        description="share of genes that mutate, 0..1; none: mutated_genes in a child",
    )
    mutated_genes: float = Field(
        default=1.0,
        gt=0,
        description="how many genes of a child mutate on average, > 0, where mutation_rate "
        "is none",
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
        description="of genetic: how many of the old may stay, 0..population; none: all "
        "compete",
    )
    evaluations: int | None = Field(
        default=None,
        ge=1,
        description="of different genotypes in all, at most, >= population: the search "
        "ends after fewer generations, but not before one; what it takes to find where it "
        "begins counts (on some examples, by its work), and what is decided first, which "
        "ends at half of it; none: any",
    )
    initial: Literal["ladder", "descent", "boundary", "surrogate"] = Field(
        default="ladder",
        description="where the search begins: ladder (uniform in each kind), descent (best "
        "of a greedy descent by sensitivity and of a grid), boundary (between dense and "
        "what space.tolerance allows each gene alone), surrogate (space.masks by a "
        "genetic algorithm for each group, on a quadratic form)",
    )
    descent_examples: int | None = Field(
        default=None,
        ge=1,
        description="of initial descent: by how many validation examples each gene is "
        "tried alone, >= 1 (whole batches are run; all, if there are no more); the search "
        "begins on the way down that they tell; none: all, and what is on the way is "
        "evaluated too, and a grid",
    )
    surrogate_generations: int = Field(
        default=40, ge=1, description="of initial surrogate, for each group, >= 1"
    )
    error_threshold: float | None = Field(
        default=None,
        gt=0,
        description="validation error, > 0, above which initial boundary draws again and "
        "the score saving is cut; none: neither",
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
        if self.evaluations is not None and self.evaluations < self.population:
            raise ValueError(
                f"evaluations = {self.evaluations}: allowed is population = "
                f"{self.population} or more"
            )
        if self.elites is not None and self.elites > self.population:
            raise ValueError(
                f"elites = {self.elites}: allowed is 0 to population = {self.population}"
            )
        rates = [name for name in RATES if getattr(self, name) is not None]
        if rates and self.algorithm in ("decomposed", "random"):
            raise ValueError(f"{rates[0]}: {self.algorithm} has no such rate; leave it out")
        if self.screening > 1 and self.algorithm not in ("nsga2", "nsga3"):
            raise ValueError(
                f"screening = {self.screening}: {self.algorithm} takes no other offspring "
                "than its own; take nsga2 or nsga3, or screening 1"
            )
        if self.descent_examples is not None and self.initial != "descent":
            raise ValueError(
                f"descent_examples = {self.descent_examples}: initial is {self.initial}; "
                "take descent, or leave it out"
            )
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
        description="> 0, see search; of what keeps it the choice with fewest MACs is "
        "taken (bytes, where macs is no objective)",
    )

    @field_validator("kinds")
    @classmethod
    def _distinct(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(value)) < len(value):
            raise ValueError("must name none twice")
        return value
