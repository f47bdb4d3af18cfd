"""The devices of an evaluation: which one runs which individuals and examples."""

import os
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import Int

POPULATION, DATA = "population", "data"
CPU_DEVICES = 8  # at most: each holds the examples; more were not measured


def cores_as_devices() -> None:
    """Makes every core of a CPU a device, unless the environment says how many there are.

    Individuals side by side, each on a core, run faster than one after the other on all.
    Must be called before any device is used.
    """
    told = "xla_force_host_platform_device_count" in os.environ.get("XLA_FLAGS", "")
    if not told and "JAX_NUM_CPU_DEVICES" not in os.environ:
        known = getattr(os, "sched_getaffinity", None)
        cores = len(known(0)) if known else os.cpu_count() or 1
        jax.config.update("jax_num_cpu_devices", min(cores, CPU_DEVICES))


def mesh_for(population: int) -> Mesh | None:
    """Returns a mesh of all devices, those of other processes included.

    As many as divide among `population` individuals lie along the axis "population", the
    others along "data".

    Args:
        population: individuals of a generation, at least 1.

    Returns:
        None if there is one device.

    Raises:
        ValueError: `population` is below 1.

    Example:
        >>> mesh_for(64).shape  # doctest: +SKIP
        {'population': 8, 'data': 1}
    """
    if population < 1:
        raise ValueError(f"mesh_for: population is {population}; allowed: 1 or more")
    count = jax.device_count()
    if count == 1:
        return None
    rows = max(n for n in range(1, min(count, population) + 1) if count % n == 0)
    return jax.make_mesh((rows, count // rows), (POPULATION, DATA))


class Devices:
    """One device, or a mesh of devices of one process or of many.

    Individuals are dealt out along the axis "population" and batches of examples along
    "data", in turn, so that all devices have work as long as there is any. What one device
    runs has the same shapes on every mesh, so the results have the same bits.

    Attributes:
        rows: devices along "population".
        columns: devices along "data".
        axis: the name of the axis along which examples are spread; None if none is.

    Raises:
        ValueError: the mesh has other axes.
    """

    def __init__(self, mesh: Mesh | None) -> None:
        """Takes the default device if `mesh` is None."""
        shape = {POPULATION: 1} if mesh is None else dict(mesh.shape)
        if POPULATION not in shape or not shape.keys() <= {POPULATION, DATA}:
            raise ValueError(
                f"Evaluator: the mesh has the axes {tuple(shape)}; it needs "
                f"{POPULATION!r}, and may have {DATA!r}"
            )
        self._mesh = mesh
        self.rows, self.columns = shape[POPULATION], shape.get(DATA, 1)
        self.axis = DATA if self.columns > 1 else None
        self._whole = lambda x: x
        if mesh is not None:
            self._whole = jax.jit(lambda x: x, out_shardings=self._of(None))

    def order(self, count: int) -> Int[np.ndarray, " n"]:
        """Returns which individual goes where: those of one device follow each other.

        Args:
            count: a multiple of `rows`.
        """
        return np.arange(count).reshape(-1, self.rows).T.ravel()

    def sharded(self, run: Callable[..., Any]) -> Callable[..., Any]:
        """Returns `run` on all devices, each with its part.

        Args:
            run: (genotypes [P, D], valid [P], window, data) -> arrays of P rows; data is
                what `placed` returns.
        """
        if self._mesh is None:
            return run
        population, whole = PartitionSpec(POPULATION), PartitionSpec()
        return jax.shard_map(
            run,
            mesh=self._mesh,
            in_specs=(population, population, whole, (PartitionSpec(self.axis), whole)),
            out_specs=population,
            check_vma=False,  # an interpreted jaxpr binds primitives as they are
        )

    def compiled(self, run: Callable[..., tuple[Any, Any, Any]]) -> Callable[..., Any]:
        """Returns a `sharded` function, compiled, whose first two results all devices get.

        Only objectives and violations are gathered: [P, M] and [P].
        """
        if self._mesh is None:
            return jax.jit(run)
        whole = self._of(None)
        return jax.jit(run, out_shardings=(whole, whole, self._of(POPULATION)))

    def dealt(self, rows: np.ndarray) -> Any:
        """Returns an array [P, ...] of the host, its rows where they are run."""
        return self._put(rows, POPULATION)

    def placed(self, batches: Any, others: Any) -> Any:
        """Returns batches dealt out along "data", and the others on every device.

        Args:
            batches: pytree of [B, ...]; filled up, so that all devices have as many.
            others: pytree of arrays.
        """
        return (
            jax.tree.map(self._dealt_batches, batches),
            jax.tree.map(partial(self._put, axis=None), others),
        )

    def gathered(self, array: Any) -> np.ndarray:
        """Returns an array that is spread over devices on the host of every process."""
        return np.asarray(self._whole(array))

    def in_a_trace(self, rows: Any, valid: Any) -> tuple[Any, Any]:
        """Returns rows and valid, which are being traced, sharded along "population"."""
        return self._constrained((rows, valid), POPULATION)

    def whole_in_a_trace(self, arrays: Any) -> Any:
        """Returns arrays, which are being traced, whole on every device."""
        return self._constrained(arrays, None)

    def _dealt_batches(self, array: Any) -> Any:
        if self.axis is None:
            return self._put(array, None)
        count = len(array)
        places = np.arange(count + -count % self.columns)
        order = places.reshape(-1, self.columns).T.ravel() % count
        return self._put(np.asarray(array)[order], self.axis)

    def _constrained(self, arrays: Any, axis: str | None) -> Any:
        if self._mesh is None:
            return arrays
        return jax.device_put(arrays, self._of(axis))

    def _of(self, axis: str | None) -> NamedSharding:
        assert self._mesh is not None
        return NamedSharding(self._mesh, PartitionSpec(axis))

    def _put(self, array: Any, axis: str | None) -> Any:
        if self._mesh is None:
            return jnp.asarray(array)
        array = np.asarray(array)
        # Unlike device_put it asks no other process whether its array is the same.
        return jax.make_array_from_callback(array.shape, self._of(axis), lambda i: array[i])
