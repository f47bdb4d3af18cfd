"""What a configuration chooses: the genes and the objectives of one network."""

import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PyTree

from jaxcompress.compress import calibrate
from jaxcompress.config import Config
from jaxcompress.data import Dataset
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
    measure_latency,
)
from jaxcompress.space import Space, genes, importance

CALIBRATION = 1024  # training images that say in which range activations lie


def space_of(config: Config, network: Network, data: Dataset) -> Space:
    """Returns the space in which a network is searched.

    Raises:
        ValueError: nothing may be chosen, or a choice does not fit the network.
    """
    chosen = config.space
    kinds: list[genes.Gene] = []
    if chosen.blocks and network.blocks:
        kinds.append(genes.KeepBlock())
    if chosen.channels:
        scores = _scores(config, network, data)
        kinds.append(genes.ChannelCount(scores, chosen.multiple_of, chosen.minimum))
    if chosen.ranks:
        kinds.append(genes.Rank(chosen.ranks))
    if chosen.kernel_sparsity:
        kinds.append(genes.KernelMask(chosen.kernel_sparsity))
    if chosen.sparsity:
        kinds.append(genes.Sparsity(chosen.sparsity, chosen.sparsity_scope))
    if chosen.codebook != "none":
        sizes, scope = chosen.codebook_sizes, chosen.codebook_scope
        kinds.append(genes.Codebook(sizes, chosen.codebook, scope))
    if chosen.weight_bits:
        kinds.append(
            genes.WeightBits(chosen.weight_bits, chosen.granularity, chosen.scale_by)
        )
    if chosen.activation_bits:
        order = np.random.default_rng(config.data.seed).permutation(len(data.train))
        images = np.asarray(data.train.inputs)[np.sort(order[:CALIBRATION])]
        ranges = calibrate(network, data.normalize(images))
        kinds.append(genes.ActivationBits(ranges, chosen.activation_bits))
    return Space(network, kinds)


def _scores(config: Config, network: Network, data: Dataset) -> dict[str, np.ndarray]:
    criterion = getattr(importance, config.space.importance)
    if config.space.importance in ("taylor", "gradient_at_mask"):
        inputs = data.normalize(data.train.inputs)
        return criterion(network, inputs, jnp.asarray(data.train.targets))
    if config.space.importance == "random":
        return criterion(network, jax.random.fold_in(jax.random.key(config.seed), 5))
    return criterion(network)


def objectives_of(
    config: Config, network: Network, params: PyTree, directory: Path
) -> tuple[list[Cost | Quality], list[Constraint]]:
    """Returns what a search minimises, and the bounds that it keeps.

    Args:
        params: what is compressed; directory: where a table of latencies is written.
    """
    chosen = config.search
    size = Size(chosen.coding, params)
    known: dict[str, Cost | Quality] = {
        "error": Error(),
        "size": size,
        "macs": Macs(),
        "parameters": Parameters(),
        "bops": Bops(),
        "energy": Energy(chosen.dataflow, chosen.energy_table),
    }
    if "latency" in chosen.objectives:
        table = measure_latency(network)
        (directory / "latency.json").write_text(json.dumps(table), encoding="utf-8")
        known["latency"] = Latency(table)
    constraints = []
    if chosen.max_size is not None:
        constraints.append(size <= chosen.max_size)
    if chosen.max_macs is not None:
        constraints.append(Macs() <= chosen.max_macs)
    return [known[name] for name in chosen.objectives], constraints
