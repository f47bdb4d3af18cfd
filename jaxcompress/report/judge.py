"""The last step: compact, check, save, and test the saved file."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PyTree

from jaxcompress.artifact import load, save
from jaxcompress.compress import compact, verify
from jaxcompress.data import Dataset
from jaxcompress.network import Network, fold
from jaxcompress.objectives import Quality
from jaxcompress.report.member import Member
from jaxcompress.space import Plan

BATCH = 500  # bounds the memory of one forward pass


def error_of(
    run: Callable[[Any], Any], quality: Quality, inputs: Any, targets: np.ndarray
) -> float:
    """Returns how bad a network's outputs are, all examples together.

    Args:
        run: inputs [B, ...] -> outputs [B, ...]; is given batches of one size.
        quality: measures the outputs of all inputs at once.
        inputs: [N, ...], as the network takes them.
        targets: [N, ...].

    Returns:
        The error in the unit of `quality`; NaN where outputs are not finite.
    """
    count = len(targets)
    size = min(BATCH, count)
    rows = np.arange(-(-count // size) * size) % count  # the last batch is filled up
    outputs = [np.asarray(run(inputs[part])) for part in rows.reshape(-1, size)]
    return float(
        quality(jnp.asarray(np.concatenate(outputs)[:count]), jnp.asarray(targets))
    )


def save_and_judge(
    network: Network,
    members: Sequence[Member],
    plans: Plan,
    params: PyTree,
    data: Dataset,
    folder: Path,
    coding: str,
    quality: Quality,
    provenance: Mapping[str, str],
    finish: Callable[[Network, Member], tuple[Network, Member]] | None = None,
) -> tuple[Member, list[Member]]:
    """Writes the dense network and each member to a file, and tests the files.

    A member is only saved if the compact network computes on the validation images what
    was evaluated. The test split is read here and nowhere else, once for each file.

    Args:
        members: what is known so far.
        plans, params: of the members, in the same order, every leaf [P, ...].
        folder: where the files go; exists.
        coding: of the files, see `save`.
        quality: what the error is.
        provenance: where the networks come from; goes into every file.
        finish: what is done to each compact network last; None: nothing.

    Returns:
        The dense network as a member, and the members with sizes and test errors.
    """
    inputs = data.normalize(data.validation.inputs)
    run = jax.jit(network.apply)
    dense = Member(
        method="dense",
        validation_error=error_of(
            lambda x: run(network.params, x), quality, inputs, data.validation.targets
        ),
        size=0.0,
        macs=float(network.macs),
    )
    # Re-evaluated, the network is exported for any batch size, whatever `apply` asks of it.
    whole = replace(network, apply=network.interpret)
    about = dict(provenance)
    dense = _judged(dense, whole, folder / "dense.jcz", data, coding, quality, about)
    judged = []
    for number, member in enumerate(members):
        plan, own = (
            jax.tree.map(lambda leaf, n=number: leaf[n], t) for t in (plans, params)
        )
        small = compact(network, plan, own)
        verify(network, plan, fold(small), inputs, own)  # which `save` writes
        if finish is not None:
            small, member = finish(small, member)
        path = folder / f"front-{number:02}.jcz"
        judged.append(_judged(member, small, path, data, coding, quality, about))
    return dense, judged


def _judged(
    member: Member,
    network: Network,
    path: Path,
    data: Dataset,
    coding: str,
    quality: Quality,
    provenance: dict[str, str],
) -> Member:
    metadata: dict[str, Any] = {
        "provenance": provenance,
        "data": data.name,
        "validation_error": member.validation_error,
        "macs": network.macs,
        "mean": list(data.mean),
        "std": list(data.std),
    }
    sizes = save(path, network, metadata, coding)
    loaded = load(path)
    test = data.test  # normalised batch by batch: it may be too large for the device

    def run(x: Any) -> Any:
        return loaded(data.normalize(x))

    return replace(
        member,
        test_error=error_of(run, quality, test.inputs, test.targets),
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
