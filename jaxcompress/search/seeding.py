"""Where a search starts: genotypes that are worth trying first."""

from itertools import product

import numpy as np
from jaxtyping import Int

from jaxcompress.space import Space


def ladder(space: Space, steps: tuple[int, ...]) -> Int[np.ndarray, "n genes"]:
    """Returns uniform genotypes: within a gene kind every gene at the same height.

    All combinations of heights over the gene kinds: uniform widths times uniform bits.
    The corners (least and most compressed) are among them.

    Args:
        steps: for each gene kind the number of heights, at least 2, spread from the
            most to the least compressing choice.
    """
    if len(steps) != len(space.kinds) or min(steps) < 2:
        raise ValueError(
            f"ladder: steps {steps} must give each of {len(space.kinds)} gene kinds at "
            "least 2 heights"
        )
    rows = []
    for heights in product(*(np.linspace(0.0, 1.0, n) for n in steps)):
        row = np.zeros(len(space), np.int32)
        for part, height in zip(space.kinds, heights, strict=True):
            row[part] = np.round(height * space.dense[part]).astype(np.int32)
        rows.append(row)
    return np.unique(np.stack(rows), axis=0)
