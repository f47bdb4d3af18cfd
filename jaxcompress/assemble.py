"""What a configuration chooses: genes, objectives and algorithm of one network."""

import json
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int, PyTree

from jaxcompress.compress import calibrate
from jaxcompress.config import RATES, Config
from jaxcompress.data import Dataset
from jaxcompress.evolution import (
    MOEAD,
    NSGA2,
    NSGA3,
    Algorithm,
    Decomposed,
    Genetic,
    GeneticAlgorithm,
    RandomSearch,
    saving_score,
)
from jaxcompress.network import Network
from jaxcompress.objectives import (
    Bops,
    Constraint,
    Cost,
    Energy,
    Error,
    Latency,
    Macs,
    Parameters,
    Quality,
    Size,
    Values,
    measure_latency,
)
from jaxcompress.run_directory import RunDirectory
from jaxcompress.search import (
    Evaluator,
    boundary,
    ladder,
    mesh_for,
    probes,
)
from jaxcompress.space import Plan, Space, genes, importance
from jaxcompress.transforms import CODEBOOK_SIZES

ALGORITHMS: dict[str, Any] = {
    "nsga2": NSGA2,
    "nsga3": NSGA3,
    "moead": MOEAD,
    "decomposed": Decomposed,
    "random": RandomSearch,
    "genetic": GeneticAlgorithm,
}
CALIBRATION = 1024  # training examples that say in which range activations lie
SCORED = 4096  # training examples by which channels are ranked
LEVELS = 21  # choices at which a gene is tried alone: GeneCAI's steps of 0.05
Loss = Callable[[Any, Any], Any] | None


def measured(
    config: Config,
    network: Network,
    data: Dataset,
    loss: Loss = None,
    quality: Error | None = None,
) -> dict[str, dict[str, np.ndarray]]:
    """Returns what a space needs to know of the trained network.

    From training data, but for how many channels stay: validation decides that.

    Args:
        loss: by which channels are ranked, where that needs one; cross-entropy if None.
        quality: what a group may cost of; of classifiers if None.

    Returns:
        "scores": by group, of its channels, float32 [n]; "keep": by group, how many of
        them stay, int32, and "evaluations", how many "keep" took; "ranges": by layer, of
        its inputs, float32 [2]; each only where the configuration asks for it.

    Raises:
        ValueError: a choice does not fit the network.
    """
    found = {}
    if config.space.channels:
        found["scores"] = _scores(config, network, data, loss)
    if config.space.masks:
        quality = quality or Error()
        keep, evaluations = _keep(config, network, data, found["scores"], quality)
        found |= {"keep": keep, "evaluations": {"keep": np.int32(evaluations)}}
    if config.space.activation_bits:
        inputs = data.train.some(CALIBRATION, config.data.seed).inputs
        found["ranges"] = calibrate(network, data.normalize(inputs))
    return found


def space_of(
    config: Config,
    network: Network,
    known: Mapping[str, dict[str, np.ndarray]],
    fixed: Mapping[str, np.ndarray | None] | None = None,
    library: Plan | None = None,
) -> Space:
    """Returns the space in which a network is searched.

    Args:
        known: what was `measured`.
        fixed: by the name of a kind what it has chosen already; None: what compresses
            least.
        library: plans of the members of a library, every leaf [L, ...].

    Raises:
        ValueError: nothing may be chosen, or a choice does not fit the network.
    """
    kinds = kinds_of(config, network, known, library)
    for name, choices in (fixed or {}).items():
        kinds[name] = genes.Fixed(kinds[name], choices)
    return Space(network, list(kinds.values()))


def kinds_of(
    config: Config,
    network: Network,
    known: Mapping[str, dict[str, np.ndarray]],
    library: Plan | None = None,
) -> dict[str, genes.Gene]:
    """Returns the gene kinds of a space in its order, each by its option of `space`."""
    chosen = config.space
    kinds: dict[str, genes.Gene] = {}
    if library is not None:
        kinds["library"] = genes.Library(library)
    if chosen.blocks and network.blocks:
        kinds["blocks"] = genes.KeepBlock()
    if chosen.masks:
        keep = {name: int(count) for name, count in known.get("keep", {}).items()}
        kinds["channels"] = genes.ChannelMask(keep)
    elif chosen.channels:
        scores = known.get("scores", {})
        kinds["channels"] = genes.ChannelCount(scores, chosen.multiple_of, chosen.minimum)
    if chosen.ranks:
        kinds["ranks"] = genes.Rank(chosen.ranks)
    if chosen.kernel_sparsity:
        kinds["kernel_sparsity"] = genes.KernelMask(chosen.kernel_sparsity)
    if chosen.sparsity:
        kinds["sparsity"] = genes.Sparsity(chosen.sparsity, chosen.sparsity_scope)
    if chosen.codebook != "none":
        sizes, scope = chosen.codebook_sizes or CODEBOOK_SIZES, chosen.codebook_scope
        kinds["codebook"] = genes.Codebook(sizes, chosen.codebook, scope)
    if chosen.weight_bits:
        kinds["weight_bits"] = genes.WeightBits(
            chosen.weight_bits, chosen.granularity, chosen.scale_by
        )
    if chosen.activation_bits:
        ranges = known.get("ranges", {})
        kinds["activation_bits"] = genes.ActivationBits(ranges, chosen.activation_bits)
    missing = [name for name in config.first.kinds if name not in kinds]
    if missing or (config.first.kinds and len(config.first.kinds) == len(kinds)):
        raise ValueError(
            f"first.kinds = {list(config.first.kinds)}: the space has {list(kinds)}; name "
            "some of these, but not all"
        )
    return kinds


def _keep(
    config: Config, network: Network, data: Dataset, scores: Any, quality: Error
) -> tuple[dict[str, np.ndarray], int]:
    """Returns how few channels each group alone may keep, and how many evaluations."""
    chosen = config.space
    counts = genes.ChannelCount(scores, chosen.multiple_of, chosen.minimum)
    space = Space(network, (counts,))
    count = len(probes(space, LEVELS))
    evaluate = Evaluator(
        network,
        space,
        (quality, Macs()),
        inputs=data.normalize(data.validation.inputs),
        targets=jnp.asarray(data.validation.targets),
        mesh=mesh_for(count),
        precision=config.search.precision,
    )
    found = boundary(evaluate, chosen.tolerance, cost="macs", levels=LEVELS)
    kept = space.decode(found).channels
    keep = {name: np.asarray(np.sum(mask), np.int32) for name, mask in kept.items()}
    return keep, count


def _scores(
    config: Config, network: Network, data: Dataset, loss: Loss
) -> dict[str, np.ndarray]:
    criterion = getattr(importance, config.space.importance)
    if config.space.importance in ("taylor", "gradient_at_mask"):
        split = data.train.some(SCORED, config.data.seed)
        inputs = data.normalize(split.inputs)
        return criterion(network, inputs, jnp.asarray(split.targets), loss=loss)
    if config.space.importance == "random":
        return criterion(network, jax.random.fold_in(jax.random.key(config.seed), 5))
    return criterion(network)


def objectives_of(
    config: Config, network: Network, params: PyTree, quality: Error, place: RunDirectory
) -> tuple[list[Cost | Quality], list[Constraint]]:
    """Returns what a search minimises, and the bounds that it keeps.

    Args:
        params: what is compressed; place: where a table of latencies is written, or
            read, if there is one.
    """
    chosen = config.search
    size = Size(chosen.coding, params)
    known: dict[str, Cost | Quality] = {
        "error": quality,
        "size": size,
        "macs": Macs(),
        "parameters": Parameters(),
        "bops": Bops(),
        "energy": Energy(chosen.dataflow, chosen.energy_table),
        "values": Values(params),
    }
    if "latency" in chosen.objectives:
        # Once: times differ from one measurement to the next.
        table = place.text("latency.json", lambda: json.dumps(measure_latency(network)))
        known["latency"] = Latency(json.loads(table))
    constraints = []
    if chosen.max_size is not None:
        constraints.append(size <= chosen.max_size)
    if chosen.max_macs is not None:
        constraints.append(Macs() <= chosen.max_macs)
    if chosen.max_energy is not None:
        constraints.append(known["energy"] <= chosen.max_energy)
    return [known[name] for name in chosen.objectives], constraints


def initial_of(config: Config, space: Space) -> Int[np.ndarray, "n genes"]:
    """Returns the genotypes with which the search and chance begin, even in every kind."""
    kinds, size = len(space.kinds), config.search.population
    heights = 3 if 3**kinds <= size else 2
    return ladder(space, (heights,) * kinds)[:size]


def algorithm_of(
    config: Config,
    space: Space,
    width: int,
    initial: Int[np.ndarray, "n genes"],
    evaluate: Evaluator | None = None,
) -> Algorithm:
    """Returns the algorithm that searches a space for `width` objectives.

    Args:
        evaluate: says what the dense network costs, where a score needs that.
    """
    chosen = config.search
    kind = ALGORITHMS[chosen.algorithm]
    options: dict[str, Any] = {}
    if issubclass(kind, Genetic):
        options = {"crossover": chosen.crossover, "mutation": chosen.mutation}
    if issubclass(kind, GeneticAlgorithm):
        options |= {"selection": chosen.selection, "elites": chosen.elites}
        options["score"] = _score(config, evaluate)
    return kind(chosen.population, space, width, initial=initial, **options)


def _score(config: Config, evaluate: Evaluator | None) -> Callable[[Array], Array]:
    chosen = config.search
    if chosen.score == "error" or evaluate is None:
        return lambda objectives: objectives[:, 0]
    place, threshold = chosen.objectives.index("macs"), chosen.error_threshold
    most = np.inf if threshold is None else threshold
    dense = np.asarray(evaluate(evaluate.space.dense[None]).objectives)[0]
    anchor = float(dense[0]), float(dense[place])
    return lambda f: saving_score(f[:, 0], f[:, place], anchor, most)


def rates_of(config: Config, algorithm: Algorithm) -> Any:
    """Returns the algorithm's rates, with those that the configuration gives."""
    given = {name: getattr(config.search, name) for name in RATES}
    given = {n: jnp.float32(rate) for n, rate in given.items() if rate is not None}
    rates = algorithm.default_params
    nested = hasattr(rates, "variation")
    own = rates.variation if nested else rates
    if not hasattr(own, "mutation_rate"):
        return rates
    # By default one gene in a child mutates.
    genes = config.search.mutated_genes
    often = jnp.minimum(jnp.float32(genes) * own.mutation_rate, 1.0)
    own = own.replace(**{"mutation_rate": often} | given)
    return rates.replace(variation=own) if nested else own
