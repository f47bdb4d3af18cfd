"""What a configuration chooses: genes, objectives and algorithm of one network."""

import json
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Int, PyTree

from jaxcompress.compress import calibrate
from jaxcompress.config import Config
from jaxcompress.data import Dataset
from jaxcompress.evolution import (
    MOEAD,
    NSGA2,
    NSGA3,
    Algorithm,
    Decomposed,
    Genetic,
    RandomSearch,
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
from jaxcompress.search import ladder
from jaxcompress.space import Plan, Space, genes, importance
from jaxcompress.transforms import CODEBOOK_SIZES

ALGORITHMS: dict[str, Any] = {
    "nsga2": NSGA2,
    "nsga3": NSGA3,
    "moead": MOEAD,
    "decomposed": Decomposed,
    "random": RandomSearch,
}
CALIBRATION = 1024  # training examples that say in which range activations lie
SCORED = 4096  # training examples by which channels are ranked
Loss = Callable[[Any, Any], Any] | None


def measured(
    config: Config, network: Network, data: Dataset, loss: Loss = None
) -> dict[str, dict[str, np.ndarray]]:
    """Returns what a space needs to know of the trained network, from training data.

    Args:
        loss: by which channels are ranked, where that needs one; cross-entropy if None.

    Returns:
        "scores": by group, of its channels, float32 [n]; "ranges": by layer, of its
        inputs, float32 [2]; either only where the configuration asks for it.

    Raises:
        ValueError: a choice does not fit the network.
    """
    found = {}
    if config.space.channels:
        found["scores"] = _scores(config, network, data, loss)
    if config.space.activation_bits:
        inputs = data.train.some(CALIBRATION, config.data.seed).inputs
        found["ranges"] = calibrate(network, data.normalize(inputs))
    return found


def space_of(
    config: Config,
    network: Network,
    known: Mapping[str, dict[str, np.ndarray]],
    library: Plan | None = None,
) -> Space:
    """Returns the space in which a network is searched.

    Args:
        known: what was `measured`.
        library: plans of the members of a library, every leaf [L, ...].

    Raises:
        ValueError: nothing may be chosen, or a choice does not fit the network.
    """
    chosen = config.space
    kinds: list[genes.Gene] = []
    if library is not None:
        kinds.append(genes.Library(library))
    if chosen.blocks and network.blocks:
        kinds.append(genes.KeepBlock())
    if chosen.channels:
        scores = known.get("scores", {})
        kinds.append(genes.ChannelCount(scores, chosen.multiple_of, chosen.minimum))
    if chosen.ranks:
        kinds.append(genes.Rank(chosen.ranks))
    if chosen.kernel_sparsity:
        kinds.append(genes.KernelMask(chosen.kernel_sparsity))
    if chosen.sparsity:
        kinds.append(genes.Sparsity(chosen.sparsity, chosen.sparsity_scope))
    if chosen.codebook != "none":
        sizes, scope = chosen.codebook_sizes or CODEBOOK_SIZES, chosen.codebook_scope
        kinds.append(genes.Codebook(sizes, chosen.codebook, scope))
    if chosen.weight_bits:
        kinds.append(
            genes.WeightBits(chosen.weight_bits, chosen.granularity, chosen.scale_by)
        )
    if chosen.activation_bits:
        ranges = known.get("ranges", {})
        kinds.append(genes.ActivationBits(ranges, chosen.activation_bits))
    return Space(network, kinds)


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
    config: Config, space: Space, width: int, initial: Int[np.ndarray, "n genes"]
) -> Algorithm:
    """Returns the algorithm that searches a space for `width` objectives."""
    kind = ALGORITHMS[config.search.algorithm]
    options: dict[str, Any] = {}
    if issubclass(kind, Genetic):
        options["crossover"] = config.search.crossover
    return kind(config.search.population, space, width, initial=initial, **options)
