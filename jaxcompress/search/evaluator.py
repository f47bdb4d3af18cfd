"""All objectives of a population, in one compiled program."""

from collections.abc import Callable, Sequence
from copy import copy
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.sharding import Mesh
from jaxtyping import Array, Bool, Float, Int

from jaxcompress.compress import (
    Products,
    compress,
    kept_first,
    masked,
    share_of_macs,
    with_batch_statistics,
)
from jaxcompress.evolution import Evaluation
from jaxcompress.network import Network
from jaxcompress.objectives import Constraint, Cost, Error, Quality
from jaxcompress.search.batches import cut, over
from jaxcompress.search.costs import CALL, counting
from jaxcompress.search.devices import Devices
from jaxcompress.space import Space
from jaxcompress.transforms import check_labels

WORTH = 0.25  # share of the MACs that can run narrower, below which nothing does


class Source(NamedTuple):
    """What qualities are measured with, where it was given: on the host.

    Attributes:
        batches: of examples, see `Batches`; params: what is compressed; calibration:
            inputs; None each, where there are none.
    """

    batches: Any
    params: Any
    calibration: Any


class Evaluator:
    """Evaluates genotypes: decodes, compresses, runs and measures each.

    The individuals of a chunk are mapped over one after the other, each in full batches
    of examples: a vmap over weights would make every convolution a grouped one, several
    times slower. Every population size, and every part of the examples, runs through the
    same compiled program, which skips what it need not do.

    Attributes:
        objectives: what is minimised, in this order.
        constraints: upper bounds on objectives, which need not be minimised too.
        batches: into how many batches the examples are cut; 0 if there are none.
        examples: how many there are; 0 if nothing is measured on outputs.
        forwards: how many examples were run so far, over all individuals, those of
            `calibration` included, which every call runs anew.
        products: how the products of individuals are run; in `pure` neither narrow nor
            by neighbours.
        batch_size: of the batches; 0 if there are none.

    Raises:
        ValueError: inputs, targets and network do not fit each other, or there is no such
            precision.

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
        calibration: Any = None,
        chunk: int = 16,
        splits: int = 1,
        mesh: Mesh | None = None,
        narrow: bool | None = None,
        precision: str = "float32",
    ) -> None:
        """Compiles nothing yet.

        Args:
            inputs: what qualities are measured on: the validation split, prepared for
                the network, [N, ...] (or a pytree of such arrays).
            targets: what qualities compare with, [N, ...].
            params: what is compressed (see `training.adapt`); the network's own
                parameters if None.
            calibration: a few hundred training inputs, by which the batch norm of every
                individual is estimated anew before it is measured (see `reestimate`,
                `training.seen_inputs`); the averages stay as they are if None.
            chunk: individuals of one compiled call, on each device along "population".
            splits: into at least so many batches the examples are cut (see `Racing`);
                into the largest that run fast if that gives more.
            mesh: devices with an axis "population", over which a chunk is sharded, and
                perhaps an axis "data", over which its batches are; one device if None.
                The mesh changes no bit of what is found. `search.mesh_for` makes one of
                all devices; on a CPU call `search.cores_as_devices` before, for one
                device of many cores may be slower than one network on them.
            narrow: whether products run at widths that hold the channels which are kept,
                chosen for each individual as it runs. That is faster the more is pruned,
                takes longer to compile, and changes no more than the order of sums. If
                None: on a CPU, where a choice costs nothing, if the space prunes channels
                that carry a good share of the network's work.
            precision: of products while qualities are measured: "float32", or "bfloat16"
                for hardware that is faster by it; errors may differ by some examples.
        """
        if not objectives:
            raise ValueError("Evaluator: objectives is empty; give at least one")
        self.network, self.space = network, space
        self.objectives = tuple(objectives)
        self.constraints = tuple(constraints)
        for given in self.constraints:
            if not isinstance(given, Constraint):
                raise ValueError(
                    f"Evaluator: a constraint is {given!r}; give a bound on an objective, "
                    "such as Macs() <= 1_000_000"
                )
        asked = [*self.objectives, *(c.objective for c in self.constraints)]
        measured = any(isinstance(o, Quality) for o in asked)
        if measured and (inputs is None or targets is None):
            raise ValueError("Evaluator: a quality objective needs inputs and targets")
        self._devices = devices = Devices(mesh)
        self._data: Any = (None, None)
        self.source = Source(None, None, None)
        self.batches = self.examples = self.forwards = self.batch_size = 0
        self.calibrated = 0
        if measured:
            given = network.params if params is None else params
            batches = cut(network, inputs, targets, splits)
            whole = (batches.targets, given, calibration)
            self.source = Source(batches, given, calibration)
            self._data = devices.placed(batches.inputs, whole)
            outputs = jax.eval_shape(network.apply, network.params, inputs)
            if any(isinstance(o, Error) and not callable(o.kind) for o in asked):
                check_labels(targets, outputs.shape[-1])
            self.examples = len(batches.targets)
            self.batches, self.batch_size = batches.shape
            if calibration is not None:
                self.calibrated = jax.tree.leaves(calibration)[0].shape[0]
        self._tell: Callable[[int, int], None] | None = None
        pays = measured and _pays(network, space)
        self.products = Products(
            narrow=pays if narrow is None else narrow,
            neighbours=jax.default_backend() == "cpu",
            precision=precision,
        )
        self._chunk = chunk * devices.rows
        self._order = devices.order(self._chunk)
        mapped = devices.sharded(partial(self._mapped, products=self.products))
        self._run = devices.compiled(mapped)
        self._count = counting(network, space, self.objectives, self.constraints)
        # Under a vmap a choice of widths would run all of them.
        plain = Products(precision=precision)
        self._mapped_over = devices.sharded(partial(self._mapped, products=plain))

    def __str__(self) -> str:
        """How individuals are run, as it was chosen for the space and the devices."""
        if not self.examples:
            return "by costs alone"
        rows, columns = self._devices.rows, self._devices.columns
        widths = "as wide as what they keep" if self.products.narrow else "in full width"
        joined = ", small convolutions by neighbours" if self.products.neighbours else ""
        return (
            f"{rows} at a time, each on {columns} of {rows * columns} devices, in batches "
            f"of {self.batch_size}, {widths}{joined}, in {self.products.precision}"
        )

    @property
    def names(self) -> tuple[str, ...]:
        """The objectives' names."""
        return tuple(objective.name for objective in self.objectives)

    @property
    def labels(self) -> int:
        """How many labels an example has; 0: no quality is measured."""
        return self.source.batches.targets[0].size if self.examples else 0

    @property
    def work(self) -> int:
        """How many examples an individual is run on, those of calibration included."""
        return self.calibrated + self.examples

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
        told, _ = self._run_on(genotypes, 0, self.batches)
        return told

    def window(
        self, genotypes: Int[Array | np.ndarray, "p genes"], begin: int, end: int
    ) -> tuple[Evaluation, Bool[np.ndarray, "p n"]]:
        """Evaluates on the batches begin..end - 1 alone; the same program.

        Returns:
            What a call returns. Unless the window holds all batches, qualities and bounds
            on them mean nothing, save that a top-1 error is NaN if an output of the window
            is not finite. And bool [P, N]: which examples of the window are wrong, where
            `Quality.each` of the first quality is above 0 (N: 0 if it says nothing).
        """
        told, parts = self._run_on(genotypes, begin, end)
        first, last = (min(i * self.batch_size, self.examples) for i in (begin, end))
        bits = [self._devices.gathered(part)[rows] for part, rows in parts]
        wrong = [np.unpackbits(own, axis=1)[:, first:last].view(bool) for own in bits]
        return told, np.concatenate(wrong) if wrong else np.zeros((0, last - first), bool)

    def _run_on(
        self, genotypes: Int[Array | np.ndarray, "p genes"], begin: int, end: int
    ) -> tuple[Evaluation, list[tuple[Any, Int[np.ndarray, " q"]]]]:
        """Returns the evaluation; and of every chunk what is wrong, and where rows are."""
        genotypes = np.asarray(genotypes, np.int32)
        if genotypes.ndim != 2 or genotypes.shape[1] != len(self.space):
            raise ValueError(
                f"Evaluator: genotypes have shape {genotypes.shape}; wanted "
                f"(any, {len(self.space)})"
            )
        window, dealt = np.asarray([begin, end], np.int32), self._devices.dealt
        # On the host: a device array of a new number of rows would compile something.
        objectives = np.zeros((len(genotypes), len(self.objectives)), np.float32)
        violation = np.zeros(len(genotypes), np.float32)
        parts = []
        for start in range(0, len(genotypes), self._chunk):
            chosen = np.minimum(start + self._order, len(genotypes) - 1)
            valid = start + self._order < len(genotypes)
            rows, wanted = dealt(genotypes[chosen]), dealt(valid)
            values, excess, wrong = self._run(rows, wanted, window, self._data)
            objectives[chosen[valid]] = np.asarray(values)[valid]
            violation[chosen[valid]] = np.asarray(excess)[valid]
            parts.append((wrong, np.argsort(self._order)[: valid.sum()]))
            if self._tell is not None:
                self._tell(min(start + self._chunk, len(genotypes)), len(genotypes))
        first, last = (min(i * self.batch_size, self.examples) for i in (begin, end))
        self.forwards += len(genotypes) * (self.calibrated + last - first)
        told = Evaluation(objectives=objectives, violation=violation)  # type: ignore[arg-type]
        return told, parts

    def costs(
        self, genotypes: Int[np.ndarray, "p genes"]
    ) -> tuple[Float[np.ndarray, "p m"], Float[np.ndarray, " p"]]:
        """Counts what genotypes cost, without running anything; any P, the same program.

        Returns:
            Objectives float32 [P, M], NaN where they are qualities, and violation float32
            [P] of the bounds on costs.
        """
        values = np.zeros((len(genotypes), len(self.objectives)), np.float32)
        violation = np.zeros(len(genotypes), np.float32)
        for start in range(0, len(genotypes), CALL):
            part = slice(start, start + CALL)
            filled = np.resize(genotypes[part], (CALL, len(self.space)))
            told = self._count(jnp.asarray(filled))
            count = len(values[part])
            values[part], violation[part] = (np.asarray(x)[:count] for x in told)
        return values, violation

    def under(self, params: Any) -> "Evaluator":
        """Returns an evaluator of other parameters, with the same compiled program.

        Costs stay as they are: `Size(params=...)` counts the codes of its own.

        Args:
            params: what is compressed, like those of this one.
        """
        other = copy(self)
        other.forwards = 0
        if self.examples:
            inputs, (targets, _, calibration) = self._data
            _, placed = self._devices.placed((), params)
            other._data = (inputs, (targets, placed, calibration))
            other.source = self.source._replace(params=params)
        return other

    def telling(self, tell: Callable[[int, int], None]) -> "Evaluator":
        """Returns an evaluator that says how far it is, with the same compiled program.

        Args:
            tell: called after each chunk with how many of the genotypes of a call are
                evaluated, and how many there are.
        """
        other = copy(self)
        other._tell = tell
        return other

    def reorder(self, order: Int[np.ndarray, " n"]) -> None:
        """Takes the examples in another order from now on; nothing is compiled."""
        if self.examples:
            batches = self.source.batches.reordered(order)
            self.source = self.source._replace(batches=batches)
            _, (_, *others) = self._data
            whole = (batches.targets, *others)
            self._data = self._devices.placed(batches.inputs, whole)

    def pure(self, genotypes: Int[Array, "p genes"]) -> Evaluation:
        """Evaluates as `__call__`, but can be traced: what `evolve` takes.

        Pure, and without a copy to the host; every genotype is evaluated, known or not,
        and another P is another program. On devices of this process alone.
        """
        count, devices = genotypes.shape[0], self._devices
        missing = -count % devices.rows
        rows = jnp.concatenate([genotypes, jnp.repeat(genotypes[-1:], missing, 0)])
        sharded = devices.in_a_trace(rows, jnp.arange(len(rows)) < count)
        window = jnp.asarray([0, self.batches], jnp.int32)
        told = self._mapped_over(*sharded, window, self._data)
        # An axis that is spread over devices cannot be cut at any place.
        objectives, violation = devices.whole_in_a_trace(told[:2])
        return Evaluation(objectives[:count], violation[:count])

    def _mapped(
        self,
        genotypes: Int[Array, "p genes"],
        valid: Bool[Array, " p"],
        window: Int[Array, "2"],
        data: Any,
        *,
        products: Products,
    ) -> Any:
        def one(row: Any) -> Any:
            genotype, wanted = row
            run = partial(self._one, window=window, data=data, products=products)
            nothing = partial(jax.tree.map, lambda leaf: jnp.zeros(leaf.shape, leaf.dtype))
            told = jax.eval_shape(run, genotype)
            return lax.cond(wanted, run, lambda _: nothing(told), genotype)

        return lax.map(one, (genotypes, valid))

    def _one(
        self,
        genotype: Int[Array, " genes"],
        window: Int[Array, "2"],
        data: Any,
        products: Products,
    ) -> Any:
        plan = self.space.decode(genotype)
        outputs: Any = None
        targets: Any = None
        inputs, others = data
        if others is not None:
            targets, given, calibration = others
            network, ran = self.network, plan
            params = compress(network, plan, given)
            if products.narrow:
                ran, params = kept_first(network, plan, params)
            if calibration is not None:
                _, new = with_batch_statistics(network, ran, calibration, params, products)
                params = network.unflatten(network.leaves(params) | new)
            run = partial(masked, network, ran, params=params, products=products)
            outputs = over(run, inputs, window, self._devices.axis)
            outputs = jax.tree.map(
                lambda y: y.reshape(-1, *y.shape[2:])[: targets.shape[0]], outputs
            )

        def arguments(objective: Cost | Quality) -> tuple[Any, Any]:
            if isinstance(objective, Quality):
                return outputs, targets
            return self.network, plan

        values = [objective(*arguments(objective)) for objective in self.objectives]
        excess = [c.violation(*arguments(c.objective)) for c in self.constraints]
        violation = jnp.zeros((), jnp.float32)
        for value in excess:
            violation = violation + jnp.maximum(value, 0.0)
        qualities = [o for o in self.objectives if isinstance(o, Quality)]
        each = qualities[0].each(outputs, targets) if qualities else None
        # A bit for each example: racing gathers them from all devices.
        wrong = jnp.packbits(jnp.zeros(0, bool) if each is None else each > 0)
        return jnp.stack(values).astype(jnp.float32), violation, wrong


def _pays(network: Network, space: Space) -> bool:
    """Returns whether products should run at the widths that are kept."""
    plan = jax.eval_shape(space.decode, space.dense)
    if jax.default_backend() != "cpu" or not plan.channels:
        return False
    return share_of_macs(network, plan.channels) >= WORTH
