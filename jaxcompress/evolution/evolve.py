"""A whole search as one program: no return to the host between generations.

Dimensions: g generations, p population, d genes, m objectives.
"""

from collections.abc import Callable
from typing import Any, no_type_check

import jax
import jax.numpy as jnp
from flax import struct
from jaxtyping import Array, Float, Int, Key

from jaxcompress.evolution.algorithm import Algorithm, Evaluation
from jaxcompress.evolution.epsilon_archive import EpsilonArchive, add_to_archive


@no_type_check  # see `Evaluation`
class Evolved(struct.PyTreeNode):
    """A finished search, with all that happened on the way.

    Attributes:
        state: the algorithm's, after the last generation.
        genotypes: int32 [g, p, d], everything that was asked for.
        evaluation: what it achieved, objectives [g, p, m] and violation [g, p].
        metrics: by name what each `tell` returned, [g] each.
        archive: of everything, if one was given.
    """

    state: Any
    genotypes: Int[Array, "g p d"]
    evaluation: Evaluation
    metrics: dict[str, Array]
    archive: EpsilonArchive | None = None


def evolve(
    key: Key[Array, ""],
    algorithm: Algorithm,
    evaluate: Callable[[Array], Evaluation],
    generations: int,
    params: Any = None,
    archive: EpsilonArchive | None = None,
    epsilon: Float[Array, " m"] | None = None,
) -> Evolved:
    """Runs an algorithm for some generations, as one scan.

    Pure: jit it, or vmap it over keys. The keys are drawn as `jaxcompress.search` draws
    them, so both find the same; this one evaluates known genotypes again, and needs an
    evaluation that can be traced.

    Args:
        key: random key, consumed.
        algorithm: any.
        evaluate: int32 [p, d] -> Evaluation of [p, m]; pure, can be traced.
        generations: g, the initial population included; at least 1.
        params: the rates; the algorithm's own if None.
        archive: from `epsilon_archive`, to which everything evaluated is added.
        epsilon: float32 [m], its boxes; see `add_to_archive`; all zero if None.

    Raises:
        ValueError: `generations` is below 1, or archive and epsilon do not fit.

    Example:
        >>> problem = problems.knapsack(items=4)
        >>> algorithm = RandomSearch(4, problem.grid, problem.num_objectives)
        >>> found = evolve(jax.random.key(0), algorithm, problem, generations=3)
        >>> found.genotypes.shape
        (3, 4, 4)
    """
    if generations < 1:
        raise ValueError(f"evolve: generations is {generations}; allowed: 1 or more")
    params = algorithm.default_params if params is None else params
    m, width = algorithm.num_objectives, algorithm.grid.cardinality.size
    boxes = jnp.zeros(m, jnp.float32) if epsilon is None else epsilon
    if boxes.shape != (m,) or (archive is None and epsilon is not None):
        raise ValueError(
            f"evolve: epsilon has shape {boxes.shape}; give it with an archive only, of "
            f"shape ({m},)"
        )
    if archive is not None:
        shapes = archive.genotypes.shape[1:], archive.objectives.shape[1:]
        if shapes != ((width,), (m,)):
            raise ValueError(
                f"evolve: the archive has {shapes} genes and objectives; make it by "
                f"epsilon_archive(capacity, {width}, {m})"
            )

    def generation(carry: Any, _: None) -> tuple[Any, Any]:
        key, state, archive = carry
        key, ask_key, tell_key = jax.random.split(key, 3)
        genotypes, state = algorithm.ask(ask_key, state, params)
        told = evaluate(genotypes)
        state, metrics = algorithm.tell(tell_key, genotypes, told, state, params)
        if archive is not None:
            archive = add_to_archive(archive, genotypes, told, boxes)
        return (key, state, archive), (genotypes, told, metrics)

    key, start = jax.random.split(key)
    first = (key, algorithm.init(start, params), archive)
    last, seen = jax.lax.scan(generation, first, None, length=generations)
    _, state, archive = last
    genotypes, told, metrics = seen
    return Evolved(state, genotypes, told, metrics, archive)
