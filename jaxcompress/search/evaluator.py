"""All objectives of a population, in one compiled program."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array, Int

from jaxcompress.compress import compress, masked
from jaxcompress.evolution import Evaluation
from jaxcompress.network import Network
from jaxcompress.objectives import Constraint, Cost, Error, Quality
from jaxcompress.space import Space
from jaxcompress.transforms import check_labels

# Bytes of the largest activation of one forward pass. A CPU is fastest while that stays
# in its cache; elsewhere large passes are as fast as any, and only memory bounds them.
STEP_BYTES, STEP_BYTES_CPU = 1 << 28, 2 << 20


class Evaluator:
    """Evaluates genotypes: decodes, compresses, runs and measures each.

    The individuals of a chunk are mapped over one after the other, each a full batch of
    images: a vmap over weights would make every convolution a grouped one, several
    times slower. Every population size runs through the same compiled chunk.

    Attributes:
        objectives: what is minimised, in this order.
        constraints: upper bounds on costs.

    Raises:
        ValueError: inputs, targets and network do not fit each other.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> import jaxcompress as jc
        >>> params = {"w": jnp.ones((4, 8)), "v": jnp.ones((8, 2))}
        >>> apply = lambda p, x: jnp.maximum(x @ p["w"], 0.0) @ p["v"]
        >>> network = jc.trace(apply, params, jnp.ones((2, 4)))
        >>> space = jc.Space(network, (jc.genes.ChannelCount(),))
        >>> evaluate = jc.Evaluator(network, space, (jc.objectives.Macs(),))
        >>> float(evaluate(space.dense[None]).objectives[0, 0])
        48.0
    """

    def __init__(
        self,
        network: Network,
        space: Space,
        objectives: Sequence[Cost | Quality],
        *,
        constraints: Sequence[Constraint] = (),
        inputs: Any = None,
        targets: Any = None,
        params: Any = None,
        chunk: int = 16,
        mesh: Mesh | None = None,
    ) -> None:
        """Compiles nothing yet.

        Args:
            inputs: what qualities are measured on: the validation split, prepared for
                the network, [N, ...] (or a pytree of such arrays).
            targets: what qualities compare with, [N, ...].
            params: what is compressed (see `training.adapt`); the network's own
                parameters if None.
            chunk: individuals of one compiled call.
            mesh: devices with an axis "population" over which a chunk is sharded; one
                device if None.
        """
        if not objectives:
            raise ValueError("Evaluator: objectives is empty; give at least one")
        self.network, self.space = network, space
        self.objectives = tuple(objectives)
        self.constraints = tuple(constraints)
        measured = any(isinstance(o, Quality) for o in self.objectives)
        if measured and (inputs is None or targets is None):
            raise ValueError("Evaluator: a quality objective needs inputs and targets")
        self._data = None
        if measured:
            given = network.params if params is None else params
            self._data = (*_batches(network, inputs, targets), given)
            outputs = jax.eval_shape(network.apply, given, inputs)
            if any(isinstance(o, Error) and not callable(o.kind) for o in self.objectives):
                check_labels(targets, outputs.shape[-1])
        self._devices = devices = 1 if mesh is None else mesh.shape["population"]
        self._chunk = -(-chunk // devices) * devices
        run = self._mapped
        self._place = self._gather = jnp.asarray
        if mesh is not None:
            population, whole = PartitionSpec("population"), PartitionSpec()
            self._place = partial(jax.device_put, device=NamedSharding(mesh, population))
            self._gather = partial(jax.device_put, device=NamedSharding(mesh, whole))
            run = jax.shard_map(
                run,
                mesh=mesh,
                in_specs=(population, whole),
                out_specs=population,
                check_vma=False,  # an interpreted jaxpr binds primitives as they are
            )
        self._mapped_over = run
        self._run = jax.jit(run)

    @property
    def names(self) -> tuple[str, ...]:
        """The objectives' names."""
        return tuple(objective.name for objective in self.objectives)

    @property
    def compilations(self) -> int:
        """How many programs were compiled so far; one, once anything was evaluated."""
        return self._run._cache_size()  # type: ignore[attr-defined]

    def __call__(self, genotypes: Int[Array | np.ndarray, "p genes"]) -> Evaluation:
        """Evaluates genotypes int32 [P, D] on all inputs; any P, the same program.

        Returns:
            Objectives float32 [P, M] and violation float32 [P] (0: feasible). What is not
            finite stays so: algorithms rank it last and count it.
        """
        genotypes = np.asarray(genotypes, np.int32)
        if genotypes.ndim != 2 or genotypes.shape[1] != len(self.space):
            raise ValueError(
                f"Evaluator: genotypes have shape {genotypes.shape}; wanted "
                f"(any, {len(self.space)})"
            )
        objectives, violations = [], []
        for start in range(0, len(genotypes), self._chunk):
            part = genotypes[start : start + self._chunk]
            count = len(part)
            part = np.concatenate([part, np.repeat(part[-1:], self._chunk - count, 0)])
            values, violation = self._run(self._place(part), self._data)
            objectives.append(np.asarray(values)[:count])
            violations.append(np.asarray(violation)[:count])
        width = len(self.objectives)
        # On the host: a device array of a new number of rows would compile something.
        rows: Any = np.concatenate([np.zeros((0, width), np.float32), *objectives])
        excess: Any = np.concatenate([np.zeros(0, np.float32), *violations])
        return Evaluation(objectives=rows, violation=excess)

    def pure(self, genotypes: Int[Array, "p genes"]) -> Evaluation:
        """Evaluates as `__call__`, but can be traced: what `evolve` takes.

        Pure, and without a copy to the host; every genotype is evaluated, known or not,
        and another P is another program.
        """
        count = genotypes.shape[0]
        missing = -count % self._devices
        rows = jnp.concatenate([genotypes, jnp.repeat(genotypes[-1:], missing, 0)])
        told = self._mapped_over(self._place(rows), self._data)
        # An axis that is spread over devices cannot be cut at any place.
        objectives, violation = map(self._gather, told)
        return Evaluation(objectives[:count], violation[:count])

    def _mapped(self, genotypes: Int[Array, "p genes"], data: Any) -> Any:
        return lax.map(lambda genotype: self._one(genotype, data), genotypes)

    def _one(self, genotype: Int[Array, " genes"], data: Any) -> Any:
        plan = self.space.decode(genotype)
        outputs: Any = None
        targets: Any = None
        if data is not None:
            batches, targets, given = data
            params = compress(self.network, plan, given)
            outputs = lax.map(lambda x: masked(self.network, plan, x, params), batches)
            outputs = jax.tree.map(
                lambda y: y.reshape(-1, *y.shape[2:])[: targets.shape[0]], outputs
            )
        values = [
            objective(outputs, targets)
            if isinstance(objective, Quality)
            else objective(self.network, plan)
            for objective in self.objectives
        ]
        excess = [c.violation(self.network, plan) for c in self.constraints]
        violation = jnp.zeros((), jnp.float32)
        for value in excess:
            violation = violation + jnp.maximum(value, 0.0)
        return jnp.stack(values).astype(jnp.float32), violation


def _batches(network: Network, inputs: Any, targets: Any) -> tuple[Any, Array]:
    """Cuts the inputs into equal batches; the last is filled up with its first rows."""
    targets = jnp.asarray(targets)
    count = targets.shape[0]
    lengths = {np.shape(x)[0] for x in jax.tree.leaves(inputs)}
    if lengths != {count} or count == 0:
        raise ValueError(
            f"Evaluator: inputs have {sorted(lengths)} rows, targets {count}; they must "
            "be equal and not 0"
        )
    limit = STEP_BYTES_CPU if jax.default_backend() == "cpu" else STEP_BYTES
    steps = -(-count * network.activation_bytes // limit)
    size = -(-count // steps)
    if network.batch_reason is not None:
        size = jax.tree.leaves(network.example)[0].shape[0]
        steps = -(-count // size)
    rows = np.arange(steps * size) % count

    def cut(x: Any) -> Array:
        return jnp.asarray(x)[rows].reshape(steps, size, *np.shape(x)[1:])

    return jax.tree.map(cut, inputs), targets
