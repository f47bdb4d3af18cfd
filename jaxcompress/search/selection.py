"""Which few members stand for a whole front."""

import numpy as np
from jaxtyping import Float, Int

from jaxcompress.search.measure import Measure


def representatives(
    genotypes: Int[np.ndarray, "f genes"],
    objectives: Float[np.ndarray, "f m"],
    count: int,
    measure: Measure,
) -> Int[np.ndarray, "g genes"]:
    """Returns the members that together hold most of the front's hypervolume.

    Greedy: each choice adds most to those before (Guerreiro et al. 2016, Greedy
    Hypervolume Subset Selection); members that add nothing are left out.

    Args:
        count: how many at most, at least 1.
        measure: what hypervolume means.
    """
    chosen: list[int] = []
    volume = 0.0
    for _ in range(min(count, len(genotypes))):
        gains = [
            measure(objectives[[*chosen, i]]) - volume if i not in chosen else -1.0
            for i in range(len(genotypes))
        ]
        best = int(np.argmax(gains))
        if gains[best] <= 0.0 and chosen:
            break
        chosen.append(best)
        volume = measure(objectives[chosen])
    return genotypes[chosen]
