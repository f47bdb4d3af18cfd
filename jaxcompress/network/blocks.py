"""Residual blocks: branches of a sum that can be left out, and what falls with them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import takewhile
from typing import Any

import jax.numpy as jnp
import numpy as np

from jaxcompress.annotations import Array, Bool
from jaxcompress.network.layers import Layer
from jaxcompress.network.program import Program, Step

# The ways in which something is still needed: each names units that must all survive.
# (()): in any case. (): never.
Ways = tuple[tuple[int, ...], ...]
ALWAYS_NEEDED: Ways = ((),)

SUMS = ("add", "add_any")
PASSING = ("convert_element_type", "copy", "name", "reduce_precision", "stop_gradient")
MOST_WAYS = 1024


@dataclass(frozen=True, eq=False)
class Block:
    """A residual branch: x + branch(x) becomes x when it is removed.

    Attributes:
        name: what the paths of its layers have in common, or its first layer.
        layers: the names of the layers that fall with it.
        parameters: the paths of the parameters that fall with it.
        macs: multiply-accumulates of these layers for one example.
        step, operand: the addition, and which of its operands is the branch.
        unit: its position among all removable units.
    """

    name: str
    layers: tuple[str, ...]
    parameters: tuple[str, ...]
    macs: int
    step: int
    operand: int
    unit: int


@dataclass(frozen=True, eq=False)
class Liveness:
    """What is still computed once blocks are gone.

    Attributes:
        steps: by step index, bodies included, in which ways the step is needed.
        leaves: the same for every parameter; one that nothing uses stays.
    """

    steps: Mapping[int, Ways]
    leaves: tuple[Ways, ...]


def needed(ways: Ways, alive: Any) -> Any:
    """Returns whether something is needed: True, or a scalar bool like `alive`.

    Args:
        alive: which units survive, bool [units], of NumPy or (traced) of JAX.
    """
    if ways == ALWAYS_NEEDED:
        return True
    found = False
    for way in ways:
        found = found | alive[np.asarray(way)].all()
    return found


def needed_each(several: Sequence[Ways], alive: Any) -> Bool[Array, " n"]:
    """Returns for each of several things whether it is needed (traceable)."""
    kinds = {ways: place for place, ways in enumerate(dict.fromkeys(several))}
    most_ways = max(map(len, kinds), default=0)
    most_units = max((len(way) for ways in kinds for way in ways), default=0)
    # Index -1: a unit that survives in any case; -2: one that never does.
    units = np.full((len(kinds), most_ways, most_units + 1), -2)
    for place, ways in enumerate(kinds):
        for number, way in enumerate(ways):
            units[place, number] = (*way, *[-1] * (most_units + 1 - len(way)))
    known = jnp.append(jnp.asarray(alive), np.asarray([False, True]))
    found = known[units].all(axis=2).any(axis=1)
    return found[np.asarray([kinds[ways] for ways in several], int)]


def find_blocks(
    program: Program,
    layers: Sequence[Layer],
    paths: Sequence[str],
    kept: Sequence[bool],
    first_unit: int,
) -> tuple[tuple[Block, ...], Liveness]:
    """Finds the additions of a program that could go on without one operand.

    The operand is a branch if the other one holds, as a term of its sum, something that
    the branch is computed from; and it is a block if a layer serves it alone. One layer
    at least is in no block.

    Args:
        paths: of the parameters.
        kept: for each parameter whether it must stay: a block that owns one is none.
        first_unit: the unit of the first block.

    Returns:
        The blocks in the order of execution, and what they keep alive.
    """
    branches = _branches(program)
    live = _liveness(program, branches, len(paths))
    owned = [_owned(i, live, layers) for i in range(len(branches))]
    chosen = [
        i
        for i, (inside, leaves) in enumerate(owned)
        if inside and not any(kept[leaf] for leaf in leaves)
    ]
    while chosen and len({x.step for i in chosen for x in owned[i][0]}) == len(layers):
        chosen.pop(0)  # some layer must be left when all blocks are gone
    blocks = []
    for number, i in enumerate(chosen):
        inside, leaves = owned[i]
        step, operand = branches[i]
        block = Block(
            name=_shared_path([layer.weight for layer in inside]) or inside[0].name,
            layers=tuple(layer.name for layer in inside),
            parameters=tuple(paths[leaf] for leaf in leaves),
            macs=sum(layer.macs for layer in inside),
            step=step.index,
            operand=operand,
            unit=first_unit + number,
        )
        blocks.append(block)
    live = _liveness(program, [branches[i] for i in chosen], len(paths), first_unit)
    return tuple(_unique(blocks)), live


def _branches(program: Program) -> Sequence[tuple[Step, int]]:
    """Returns (addition, operand) of every branch, in order."""
    makers = {slot: step for step in program.steps for slot in step.results}
    above: dict[int, int] = {}  # by slot the slots it is computed from, as a bit set
    terms: dict[int, frozenset[int]] = {}

    def sources(slots: Sequence[Any]) -> int:
        bits = 0
        for slot in slots:
            if isinstance(slot, int):
                bits |= above.get(slot, 0) | 1 << slot
        return bits

    def parts(slot: int) -> frozenset[int]:
        if slot in terms:
            return terms[slot]
        found, step = frozenset([slot]), makers.get(slot)
        if step is not None and step.primitive.name in SUMS + PASSING:
            for arg, axes in zip(step.args, step.ins, strict=True):
                if isinstance(arg, int) and axes.shape == step.outs[0].shape:
                    found |= parts(arg)
        return found

    branches = []
    driven: set[int] = set()  # a parameter in both operands is no shortcut
    for step in program.steps:
        pairs = zip(step.args, step.driven, strict=True)
        driven |= {arg for arg, yes in pairs if yes and isinstance(arg, int)}
        bits = sources(step.args)
        for slot in step.results:
            above[slot] = bits
            terms[slot] = parts(slot)
        if step.primitive.name not in SUMS or not all(step.driven):
            continue
        left, right = step.args
        if step.ins[0].shape != step.ins[1].shape:
            continue
        for operand, (branch, other) in enumerate(((left, right), (right, left))):
            own = parts(branch)  # type: ignore[arg-type]
            stem = above.get(branch, 0)  # type: ignore[arg-type]
            terms_of_other = parts(other) & driven  # type: ignore[arg-type]
            if any(stem >> t & 1 and t not in own for t in terms_of_other):
                branches.append((step, operand))
                break
    return branches


def _liveness(
    program: Program,
    branches: Sequence[tuple[Step, int]],
    leaves: int,
    first_unit: int = 0,
) -> Liveness:
    """Walks back from the outputs to whatever they need."""
    unit = {(s.index, operand): first_unit + i for i, (s, operand) in enumerate(branches)}
    ways: dict[int, set[frozenset[int]]] = {}
    for out in program.outputs:
        if isinstance(out, int):
            ways[out] = {frozenset()}
    steps: dict[int, Ways] = {}
    for step in reversed(program.steps):
        mine = _fewest(way for slot in step.results for way in ways.get(slot, ()))
        if len(mine) > MOST_WAYS:  # too many to keep track of: it stays in any case
            mine = {frozenset()}
        for inner in [step, *(step.body.walk() if step.body is not None else ())]:
            steps[inner.index] = _plain(mine)
        for operand, arg in enumerate(step.args):
            if isinstance(arg, int):
                own = unit.get((step.index, operand))
                more = {way | {own} for way in mine} if own is not None else mine
                ways[arg] = _fewest((*ways.get(arg, ()), *more))
    inputs = [_plain(ways.get(slot, set())) for slot in program.inputs[:leaves]]
    return Liveness(steps, tuple(found or ALWAYS_NEEDED for found in inputs))


def _fewest(ways: Any) -> set[frozenset[int]]:
    """Drops every way that asks for more than another one does."""
    kept: set[frozenset[int]] = set()
    for way in sorted(set(ways), key=len):
        if not any(other <= way for other in kept):
            kept.add(way)
    return kept


def _plain(ways: set[frozenset[int]]) -> Ways:
    return tuple(sorted(tuple(sorted(way)) for way in ways))


def _owned(
    branch: int, live: Liveness, layers: Sequence[Layer]
) -> tuple[list[Layer], list[int]]:
    """Returns the layers and the parameters that a branch alone keeps alive."""

    def alone(ways: Ways) -> bool:
        return bool(ways) and all(branch in way for way in ways)

    inside = [layer for layer in layers if alone(live.steps[layer.step])]
    return inside, [i for i, ways in enumerate(live.leaves) if alone(ways)]


def _shared_path(weights: Sequence[str]) -> str:
    folders = [path.split("/")[:-1] for path in weights]
    same = takewhile(lambda names: len(set(names)) == 1, zip(*folders, strict=False))
    return "/".join(names[0] for names in same)


def _unique(blocks: Sequence[Block]) -> list[Block]:
    """Names blocks of equal name after their first layers."""
    names = [block.name for block in blocks]
    used: dict[str, int] = {}
    result = []
    for block in blocks:
        name = block.name if names.count(block.name) == 1 else block.layers[0]
        used[name] = used.get(name, 0) + 1
        if used[name] > 1:
            name = f"{name}#{used[name]}"
        result.append(replace(block, name=name))
    return result
