"""The last step: compact, check, save, and test the saved file."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jaxtyping import PyTree

from jaxcompress.artifact import load, save
from jaxcompress.compress import compact, verify
from jaxcompress.data import Dataset
from jaxcompress.network import Network
from jaxcompress.report.member import Member
from jaxcompress.space import Plan
from jaxcompress.training import accuracy


def save_and_judge(
    network: Network,
    members: Sequence[Member],
    plans: Plan,
    params: PyTree,
    data: Dataset,
    folder: Path,
    coding: str,
) -> tuple[Member, list[Member]]:
    """Writes the dense network and each member to a file, and tests the files.

    A member is only saved if the compact network computes on the validation images what
    was evaluated. The test split is read here and nowhere else, once for each file.

    Args:
        members: what is known so far.
        plans, params: of the members, in the same order, every leaf [P, ...].
        folder: where the files go; exists.
        coding: of the files, see `save`.

    Returns:
        The dense network as a member, and the members with sizes and test accuracies.
    """
    inputs = data.normalize(data.validation.inputs)
    dense = Member(
        method="dense",
        validation=accuracy(network.apply, network.params, inputs, data.validation.targets),
        size=0.0,
        macs=float(network.macs),
    )
    dense = _judged(dense, network, folder / "dense.jcz", data, coding)
    judged = []
    for number, member in enumerate(members):
        plan, own = (
            jax.tree.map(lambda leaf, n=number: leaf[n], t) for t in (plans, params)
        )
        small = compact(network, plan, own)
        verify(network, plan, small, inputs, own)
        path = folder / f"front-{number:02}.jcz"
        judged.append(_judged(member, small, path, data, coding))
    return dense, judged


def _judged(
    member: Member, network: Network, path: Path, data: Dataset, coding: str
) -> Member:
    metadata: dict[str, Any] = {
        "data": data.name,
        "validation_accuracy": member.validation,
        "macs": network.macs,
        "mean": list(data.mean),
        "std": list(data.std),
    }
    sizes = save(path, network, metadata, coding)
    loaded = load(path)
    inputs = data.normalize(data.test.inputs)
    return replace(
        member,
        test=accuracy(lambda _, x: loaded(x), None, inputs, data.test.targets),
        size=float(sizes.parameters),
        macs=float(network.macs),
        bits=_mean_bits(network),
        parameters=sizes.parameters,
        file=sizes.file,
        path=f"{path.parent.name}/{path.name}",
    )


def _mean_bits(network: Network) -> float:
    """Returns the mean bits of a weight entry."""
    leaves = network.leaves()
    weights = {layer.weight for layer in network.layers}
    counts = {path: int(np.size(leaves[path])) for path in weights}
    bits = {path: network.coding[path].bits if network.coding else 32 for path in weights}
    return sum(bits[path] * counts[path] for path in weights) / sum(counts.values())
