"""The stratified split: every index once, every class in proportion, always alike."""

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from jaxcompress.data import stratified_split

sizes = st.lists(st.integers(20, 90), min_size=2, max_size=6)
shares = st.lists(st.integers(1, 5), min_size=2, max_size=4)


@settings(deadline=None)
@given(sizes, shares, st.integers(0, 2**32 - 1))
def test_parts_are_disjoint_complete_and_stratified(sizes, shares, seed):
    targets = np.random.RandomState(seed).permutation(
        np.repeat(np.arange(len(sizes)), sizes)
    )
    fractions = tuple(share / sum(shares) for share in shares)
    parts = stratified_split(targets, fractions, seed)
    np.testing.assert_array_equal(np.sort(np.concatenate(parts)), np.arange(len(targets)))
    for part, fraction in zip(parts, fractions, strict=True):
        assert (np.diff(part) > 0).all()
        counts = np.bincount(targets[part], minlength=len(sizes))
        assert np.abs(counts - fraction * np.array(sizes)).max() <= 1 + 1e-6


def test_seed_decides():
    targets = np.tile(np.arange(10), 50)
    first, again, other = (stratified_split(targets, (0.8, 0.2), s) for s in (1, 1, 2))
    for left, right in zip(first, again, strict=True):
        np.testing.assert_array_equal(left, right)
    assert set(first[1]) != set(other[1])


def test_the_split_is_the_same_for_ever():
    """Numbers that published results rest on: a change of them must be noticed."""
    _, part = stratified_split(np.tile(np.arange(2), 10), (0.7, 0.3), seed=0)
    assert part.tolist() == [0, 6, 9, 10, 13, 15]


@pytest.mark.parametrize("fractions", [(), (0.5, 0.4), (1.5, -0.5), (1.0, 0.0)])
def test_fractions_that_are_no_division_are_refused(fractions):
    with pytest.raises(ValueError, match="positive numbers with sum 1"):
        stratified_split(np.arange(4) % 2, fractions, seed=0)


def test_class_too_small_for_every_part_is_refused():
    with pytest.raises(ValueError, match="class 7 has 1 examples, too few"):
        stratified_split(np.array([0] * 10 + [7]), (0.5, 0.5), seed=0)
