"""Neighbouring values that all weights of a compact network share become one."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from jaxtyping import PyTree

from jaxcompress.network import Network
from jaxcompress.transforms import Merged, merge_neighbours


def merge(
    small: Network, score: Callable[[PyTree, float], float], order: str = "left_to_right"
) -> tuple[Network, Merged]:
    """Merges neighbouring shared values while the score does not fall.

    Args:
        small: out of `compact`, under a plan with one codebook for the network.
        score: (parameters, at_least) -> how good the network is with them, larger is
            better; see `transforms.merge_neighbours`.
        order: one of `transforms.MERGE_ORDERS`.

    Returns:
        The network with fewer values, and what was merged.

    Raises:
        ValueError: the network has not one codebook; or as of `merge_neighbours`.

    Example:
        >>> small = compact(network, plan)  # doctest: +SKIP
        >>> smaller, merged = merge(small, score)  # doctest: +SKIP
    """
    shared = {p: c for p, c in (small.coding or {}).items() if c.codebook is not None}
    books = [coding.codebook for coding in shared.values()]
    if not books or any(not np.array_equal(book, books[0]) for book in books):
        raise ValueError(
            f"merge: the weights have {len(books)} codebooks that are not one; compact a "
            "plan with codebook_scope network"
        )
    codes, kept = {}, {}
    for path, coding in shared.items():
        codes[path] = np.asarray(coding.codes)
        every = np.ones(codes[path].shape, bool)
        kept[path] = every if coding.nonzero is None else coding.nonzero
    line = np.concatenate([codes[path][kept[path]] for path in shared])
    leaves = small.leaves()

    def parameters(table: np.ndarray) -> Any:
        values = {p: np.where(kept[p], table[codes[p]], np.float32(0)) for p in shared}
        return small.unflatten(leaves | values)

    book = np.asarray(books[0])
    found = merge_neighbours(
        book,
        np.bincount(line, minlength=len(book)),
        lambda table, at_least: score(parameters(table), at_least),
        order,
    )
    bits = max(1, (len(found.codebook) - 1).bit_length())
    coding = {
        path: replace(
            old,
            bits=bits,
            codes=np.where(kept[path], found.places[codes[path]], 0),
            codebook=found.codebook,
        )
        for path, old in shared.items()
    }
    params = parameters(found.codebook[found.places])
    return replace(small, params=params, coding={**small.coding, **coding}), found
