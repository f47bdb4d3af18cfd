"""The epsilon archive, against its definition in float64 NumPy."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from hypothesis.extra.numpy import arrays

from jaxcompress.evolution import Evaluation, add_to_archive, epsilon_archive

N, CAPACITY = 10, 24
quick = partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})
add = quick(add_to_archive)
EPSILON = np.array([0.5, 2.0, 0.0], np.float32)
# Quarters: quotients and squares are exact in float32 and in float64 alike.
values = st.integers(-12, 12).map(lambda i: i / 4) | st.sampled_from([np.inf, np.nan])
violations = arrays(np.float32, N, elements=st.sampled_from([0.0, 0.0, 0.0, 1.0, np.nan]))


def names(start: int) -> np.ndarray:
    """Genotypes that say which point this was."""
    return np.arange(start, start + N, dtype=np.int32)[:, None]


def oracle(objectives, violation, epsilon) -> set[int]:
    """The members by definition: non-dominated boxes, and in each the nearest."""
    best: dict[tuple, tuple] = {}
    for i, (row, excess) in enumerate(
        zip(objectives.astype(float), violation, strict=True)
    ):
        if excess == 0 and np.isfinite(row).all():
            side = np.where(epsilon > 0, epsilon, 1)
            box = np.where(epsilon > 0, np.floor(row / side), row)
            score = (np.sum((row / side - box) ** 2), *row, i)
            best[tuple(box)] = min(best.get(tuple(box), score), score)
    boxes = [np.asarray(box) for box in best]

    def beaten(box):
        return any((b <= box).all() and (b < box).any() for b in boxes)

    return {score[-1] for box, score in best.items() if not beaten(np.asarray(box))}


@pytest.mark.parametrize("m", [1, 2, 3])
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_members_are_those_of_the_definition(m, data):
    objectives = data.draw(arrays(np.float32, (2 * N, m), elements=values))
    violation = np.concatenate([data.draw(violations), data.draw(violations)])
    archive = epsilon_archive(CAPACITY, 1, m)
    for start in (0, N):
        part = slice(start, start + N)
        told = Evaluation(jnp.asarray(objectives[part]), jnp.asarray(violation[part]))
        archive = add(archive, names(start), told, EPSILON[:m])
    mask = np.asarray(archive.mask)
    members = np.asarray(archive.genotypes)[mask, 0]
    assert set(members.tolist()) == oracle(objectives, violation, EPSILON[:m])
    assert len(members) == mask.sum()
    np.testing.assert_array_equal(archive.objectives[mask], objectives[members])
    assert np.isposinf(archive.objectives[~mask]).all()
    assert (mask == np.sort(mask)[::-1]).all()  # members first
    assert archive.truncated == 0


def test_the_least_crowded_stay_when_there_are_too_many():
    # Crowding distances by hand: ends inf, then 2 * (3, 6, 5, 3) / 10.
    first = np.array([0, 1, 3, 7, 8, 10], np.float32)
    told = Evaluation(jnp.stack([first, 10 - first], 1), jnp.zeros(6))
    rows = np.arange(6, dtype=np.int32)[:, None]
    epsilon = np.ones(2, np.float32)
    archive = add(epsilon_archive(3, 1, 2), rows, told, epsilon)
    assert archive.genotypes[:, 0].tolist() == [0, 2, 5]
    assert archive.truncated == 3
    again = add(archive, rows[2:3], jax.tree.map(lambda x: x[2:3], told), epsilon)
    assert again.truncated == 3
    jax.tree.map(np.testing.assert_array_equal, again, archive)


def test_the_program_scans_and_no_overflow_is_nan():
    objectives = jnp.array([[3e38, -3e38], [-3e38, 3e38], [1e-38, 0.0]])
    told = Evaluation(objectives, jnp.zeros(3))
    rows = jnp.arange(3, dtype=jnp.int32)[:, None]

    def step(archive, _):
        return add_to_archive(archive, rows, told, jnp.full(2, 1e-6)), None

    run = quick(lambda archive: jax.lax.scan(step, archive, None, 3)[0])
    archive = run(epsilon_archive(4, 1, 2))
    assert archive.mask.tolist() == [True, True, True, False]
    assert not np.isnan(archive.objectives).any()


def test_no_capacity_is_refused():
    with pytest.raises(ValueError, match="capacity is 0"):
        epsilon_archive(0, 1, 2)
