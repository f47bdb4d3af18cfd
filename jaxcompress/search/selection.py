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


def cheapest(
    genotypes: Int[np.ndarray, "f genes"],
    objectives: Float[np.ndarray, "f m"],
    names: tuple[str, ...],
    most: float,
) -> Int[np.ndarray, " genes"]:
    """Returns the member that costs least of those whose error is small enough.

    Cost is that in MACs, or in bytes where MACs were no objective. If no error is small
    enough, it is the member with the smallest.

    Args:
        names: of the objectives, "error" among them.
        most: the largest error that will do.
    """
    error = objectives[:, names.index("error")]
    good = error <= most + 1e-6
    if not good.any():
        return genotypes[int(np.argmin(error))]
    cost = objectives[:, names.index("macs" if "macs" in names else "size")]
    return genotypes[int(np.argmin(np.where(good, cost, np.inf)))]
