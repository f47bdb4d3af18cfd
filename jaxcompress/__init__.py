"""Multi-objective evolutionary compression of neural networks in JAX.

Trace a network, say what may be chosen and what counts, search, and save what you like:

    network = jaxcompress.trace(apply, params, example_input)
    space = jaxcompress.Space(network, (jaxcompress.genes.ChannelCount(),
                                        jaxcompress.genes.WeightBits((2, 4, 8))))

The README goes on from there.
"""

from jaxcompress.artifact import Artifact, ArtifactError, as_nnx, export, load, save

try:
    from jaxcompress import objectives
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
    from jaxcompress.search import (
        Evaluator,
        Measure,
        Racing,
        Result,
        search,
        search_in_legs,
    )
    from jaxcompress.space import Plan, Space, genes, importance
    from jaxcompress.training import Adapter, adapt, finetune, tune
except ModuleNotFoundError as error:  # jax, numpy and flatbuffers are enough for `load`
    if str(error.name).startswith("jaxcompress"):
        raise
    _missing = error.name

    def __getattr__(name: str) -> object:
        if name in __all__:
            raise ImportError(
                f"jaxcompress.{name} needs the package {_missing}, which is not installed"
            )
        raise AttributeError(f"module 'jaxcompress' has no attribute {name!r}")


__all__ = [
    "MOEAD",
    "NSGA2",
    "NSGA3",
    "Adapter",
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
    "Racing",
    "RandomSearch",
    "Result",
    "Space",
    "TrainConfig",
    "TuneConfig",
    "adapt",
    "as_nnx",
    "calibrate",
    "compact",
    "compress",
    "evolve",
    "export",
    "finetune",
    "forward",
    "genes",
    "importance",
    "load",
    "objectives",
    "reestimate",
    "save",
    "search",
    "search_in_legs",
    "trace",
    "tune",
]
