"""Multi-objective evolutionary compression of neural networks in JAX.

Trace a network, say what may be chosen and what counts, search, and save what you like:

    network = jaxcompress.trace(apply, params, example_input)
    space = jaxcompress.Space(network, (jaxcompress.genes.ChannelCount(),
                                        jaxcompress.genes.WeightBits((2, 4, 8))))

The README goes on from there.
"""

from jaxcompress import objectives
from jaxcompress.artifact import Artifact, ArtifactError, load, save
from jaxcompress.compress import calibrate, compact, compress, forward, reestimate
from jaxcompress.config import TrainConfig, TuneConfig
from jaxcompress.evolution import (
    MOEAD,
    NSGA2,
    NSGA3,
    Decomposed,
    Evaluation,
    GeneticAlgorithm,
    Grid,
    RandomSearch,
    evolve,
)
from jaxcompress.network import Network, trace
from jaxcompress.search import Evaluator, Measure, Result, search
from jaxcompress.space import Plan, Space, genes, importance
from jaxcompress.training import adapt, finetune

__all__ = [
    "MOEAD",
    "NSGA2",
    "NSGA3",
    "Artifact",
    "ArtifactError",
    "Decomposed",
    "Evaluation",
    "Evaluator",
    "GeneticAlgorithm",
    "Grid",
    "Measure",
    "Network",
    "Plan",
    "RandomSearch",
    "Result",
    "Space",
    "TrainConfig",
    "TuneConfig",
    "adapt",
    "calibrate",
    "compact",
    "compress",
    "evolve",
    "finetune",
    "forward",
    "genes",
    "importance",
    "load",
    "objectives",
    "reestimate",
    "save",
    "search",
    "trace",
]
