"""What evosax's populations hold, so that its fitness can be computed anew.

Some evosax algorithms compare the fitness they are told with that of members they hold.
Where the scale of the fitness moves, that of held members must move along; but evosax
knows vectors and fitness only. So the objectives are kept here beside a hash of the
vector, and found again by it.

Dimensions: h held members, q asked members, d genes, m objectives.
"""

from collections.abc import Callable
from typing import Any, no_type_check

import jax
import jax.numpy as jnp
from flax import struct
from jaxtyping import Array, Bool, Float, Int, UInt32

from jaxcompress.evolution.algorithm import Evaluation
from jaxcompress.evolution.duplicates import hash_pair

# The fields of evosax's states that belong together: vectors, or one, and their fitness.
FIELDS = (
    ("population", "fitness"),
    ("population_best", "fitness_best"),
    ("best_solution_shaped", "best_fitness_shaped"),
    ("mean", "fitness"),  # of SimulatedAnnealing, which holds one vector
)


@no_type_check  # see `Evaluation`
class Held(struct.PyTreeNode):
    """The members that one run holds.

    Attributes:
        marks: uint32 [h, 2], hashes of their vectors.
        told: objectives [h, m] and violation [h].
    """

    marks: UInt32[Array, "h 2"]
    told: Evaluation

    @classmethod
    def of(cls, vectors: Float[Array, "q d"], told: Evaluation) -> "Held":
        """Returns members and what they achieved, objectives [q, m] and violation [q]."""
        return cls(marks_of(vectors), told)

    def joined(self, other: "Held") -> "Held":
        """Returns the members of both."""
        return jax.tree.map(lambda *two: jnp.concatenate(two), self, other)

    def held_by(self, run: Any) -> "Held":
        """Returns of these members those that an evosax state holds, in its order."""
        vectors = [jnp.atleast_2d(getattr(run, name)) for name, _ in _fields(run)]
        if not vectors:
            return jax.tree.map(lambda leaf: leaf[:0], self)
        place, found = self.find(jnp.concatenate(vectors))
        held = jax.tree.map(lambda leaf: leaf[place], self)
        # What is not known must not be taken for the member in its place.
        return held.replace(marks=jnp.where(found[:, None], held.marks, 0))

    def find(
        self, vectors: Float[Array, "q d"]
    ) -> tuple[Int[Array, " q"], Bool[Array, " q"]]:
        """Returns which member each vector is, and whether it is one at all."""
        same = jnp.all(marks_of(vectors)[:, None] == self.marks[None], axis=2)
        return jnp.argmax(same, axis=1), jnp.any(same, axis=1)

    def refreshed(self, run: Any, fitness_of: Callable[[Evaluation], Array]) -> Any:
        """Returns an evosax state with the fitness of its members computed anew.

        Args:
            run: the state; what it holds and is not known here keeps its fitness.
            fitness_of: objectives [n, m] and violation [n] -> float32 [n].
        """
        for name, fitness in _fields(run):
            before = getattr(run, fitness)
            place, found = self.find(jnp.atleast_2d(getattr(run, name)))
            now = fitness_of(jax.tree.map(lambda leaf, at=place: leaf[at], self.told))
            now = jnp.where(found, now, before).reshape(jnp.shape(before))
            run = run.replace(**{fitness: now})
        return run


def _fields(run: Any) -> list[tuple[str, str]]:
    """Returns those of `FIELDS` that a state has, with a fitness for each vector."""
    return [
        (name, fitness)
        for name, fitness in FIELDS
        if hasattr(run, name)
        and hasattr(run, fitness)
        and jnp.ndim(getattr(run, fitness)) == jnp.ndim(getattr(run, name)) - 1
    ]


def marks_of(vectors: Float[Array, "q d"]) -> UInt32[Array, "q 2"]:
    """Returns hashes of vectors; -0 and 0 differ, equal NaNs do not."""
    return jnp.stack(hash_pair(jax.lax.bitcast_convert_type(vectors, jnp.int32)), axis=1)
