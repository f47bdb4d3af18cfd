"""The iterative merge: by hand on small codebooks, and by what it promises."""

from zlib import crc32

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from jaxcompress.transforms import MERGE_ORDERS, merge_neighbours

VALUES = np.asarray([-2.0, -1.0, 0.0, 1.0, 2.0], np.float32)
ONES = np.ones(5, np.int64)


def within(limit: float, values: np.ndarray = VALUES):
    """A score of 1 as long as no value is moved by more than `limit`."""

    def score(table: np.ndarray, at_least: float) -> float:
        return float(np.abs(table - values).max() <= limit)

    return score


@pytest.mark.parametrize(
    ("order", "codebook", "places"),
    [
        # From the left: (-2 -1), then 0 cannot join them, (0 1), 2 stays.
        ("left_to_right", [-1.5, 0.5, 2], [0, 0, 1, 1, 2]),
        # From 0: (-1 0) wins the tie; then -2 cannot join, 1 neither; then (1 2).
        ("centre_to_end", [-2, -0.5, 1.5], [0, 1, 1, 2, 2]),
    ],
)
def test_by_hand(order: str, codebook: list[float], places: list[int]) -> None:
    found = merge_neighbours(VALUES, ONES, within(0.5), order)
    np.testing.assert_array_equal(found.codebook, np.asarray(codebook, np.float32))
    assert found.places.tolist() == places and found.score == 1


def test_the_better_side_is_taken_and_means_are_weighted() -> None:
    counts = np.asarray([1, 1, 3, 1, 1])

    def score(table: np.ndarray, at_least: float) -> float:
        """Only 0 and 1 may merge, or else nothing."""
        return 1.0 + (table[2] == table[3]) - 9.0 * (len(np.unique(table)) < 4)

    for order in MERGE_ORDERS:
        found = merge_neighbours(VALUES, counts, score, order)
        assert found.places.tolist() == [0, 1, 2, 2, 3] or order == "left_to_right"
        if order == "centre_to_end":
            assert found.codebook.tolist() == [-2, -1, 0.25, 2] and found.score == 2


@pytest.mark.parametrize("order", MERGE_ORDERS)
def test_all_or_nothing(order: str) -> None:
    whole = merge_neighbours(VALUES, ONES * 2, lambda table, at_least: 0.5, order)
    assert whole.codebook.tolist() == [0] and whole.places.tolist() == [0] * 5
    none = merge_neighbours(VALUES, ONES, within(0.0), order)
    assert (none.codebook == VALUES).all() and none.places.tolist() == [0, 1, 2, 3, 4]
    assert none.evaluations == 1 + 4  # every edge once
    lone = merge_neighbours(VALUES[:1], ONES[:1], within(0.0, VALUES[:1]), order)
    assert lone.codebook.tolist() == [-2] and lone.evaluations == 1


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 12), st.integers(0, 2**32 - 1), st.sampled_from(MERGE_ORDERS))
def test_promises_for_any_score(k: int, seed: int, order: str) -> None:
    """Also where the score jumps about, and stops short below what is asked for."""
    rng = np.random.default_rng(seed)
    codebook = np.sort(rng.choice(1000, k, replace=False)).astype(np.float32)
    counts = rng.integers(1, 50, k)
    calls: list[tuple[np.ndarray, float]] = []

    def truth(table: np.ndarray) -> float:
        bits = np.random.default_rng(crc32(table.tobytes()))
        return float(bits.integers(0, 4))

    def score(table: np.ndarray, at_least: float) -> float:
        calls.append((table, at_least))
        found = truth(table)
        return found if found >= at_least else -1.0

    found = merge_neighbours(codebook, counts, score, order)
    assert found.evaluations == len(calls)
    bars = [at_least for _, at_least in calls[1:]]
    assert bars == sorted(bars)  # nothing is ever lost
    assert found.score == truth(found.codebook[found.places]) >= truth(codebook)
    assert (np.diff(found.places) >= 0).all() and (np.diff(found.codebook) > 0).all()
    for place, value in enumerate(found.codebook):
        members = found.places == place
        mean = np.average(codebook[members].astype(np.float64), weights=counts[members])
        assert value == np.float32(mean)


@pytest.mark.parametrize(
    ("codebook", "counts", "score", "order", "words"),
    [
        (VALUES, ONES, 1.0, "outwards", "order is 'outwards'; allowed"),
        (VALUES[::-1], ONES, 1.0, "left_to_right", "must be ascending"),
        (VALUES[:0], ONES[:0], 1.0, "left_to_right", "at least one value"),
        (VALUES, ONES * 0, 1.0, "left_to_right", "counts must be positive"),
        (VALUES, ONES[:2], 1.0, "left_to_right", "one for each value"),
        (VALUES, ONES, float("nan"), "left_to_right", "score is nan"),
    ],
)
def test_bad_input_is_refused(codebook, counts, score, order, words) -> None:
    with pytest.raises(ValueError, match=words):
        merge_neighbours(codebook, counts, lambda table, at_least: score, order)
