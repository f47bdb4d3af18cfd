"""A traced network: its layers, its channel groups, and what they cost."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxcompress.annotations import Array, Bool, Float
from jaxcompress.network.axes import Axes
from jaxcompress.network.blocks import Block, Liveness, needed, needed_each
from jaxcompress.network.coded import is_codes
from jaxcompress.network.contractions import Contraction
from jaxcompress.network.factored import is_factors
from jaxcompress.network.groups import Group
from jaxcompress.network.layers import Layer
from jaxcompress.network.program import Around, Cut, Interpreter, Program, Step
from jaxcompress.network.sizes import Column, Layout, Sizes
from jaxcompress.network.table import block_lines, group_lines, layer_lines


@dataclass(frozen=True, eq=False)
class Network:
    """A pure function with its parameters, traced.

    Attributes:
        apply: (params, inputs) -> outputs.
        params: the parameters, any pytree of arrays.
        example: the inputs' shapes and dtypes at the traced batch size.
        layers: in the order of execution.
        groups: all channel groups, prunable or frozen.
        blocks: residual branches that can be removed as a whole.
        unused: paths of parameters that the function does not use.
        coding: how the parameters of a compact network are coded, by path (see
            `compact`); empty for a network that was not compressed.
        batch_reason: why only the traced batch size works, or None.
        paths: the path of every parameter, in the order of the pytree.
        program: the function as a flat list of steps.
        layout: which axes of it a plan can shorten.
        contractions: its convolutions and dots.
        liveness: what is still computed once blocks are gone.
        leaf_axes: the axes of every parameter.
        out_tree: the structure of the outputs.
    """

    apply: Callable[[Any, Any], Any]
    params: Any
    example: Any
    layers: tuple[Layer, ...]
    groups: tuple[Group, ...]
    blocks: tuple[Block, ...]
    unused: tuple[str, ...]
    coding: dict[str, Any]
    batch_reason: str | None
    paths: tuple[str, ...]
    program: Program
    layout: Layout
    contractions: tuple[Contraction, ...]
    liveness: Liveness
    leaf_axes: tuple[Axes, ...]
    out_tree: Any

    @property
    def frozen(self) -> tuple[Group, ...]:
        """The groups that no plan may touch, each with its reason."""
        return tuple(group for group in self.groups if not group.prunable)

    @property
    def prunable(self) -> tuple[Group, ...]:
        """The groups whose channels a plan may remove."""
        return tuple(group for group in self.groups if group.prunable)

    @property
    def macs(self) -> int:
        """Multiply-accumulates of all convolutions and dots for one example.

        Every position of a convolution's window counts, also one that falls in the
        padding; XLA's `cost_analysis` counts two FLOPs for each MAC and leaves those in
        the padding out.
        """
        return sum(contraction.macs for contraction in self.contractions)

    @property
    def size(self) -> int:
        """Number of parameter entries."""
        return sum(int(np.size(leaf)) for leaf in jax.tree.leaves(self.params))

    def leaves(self, params: Any = None) -> dict[str, Any]:
        """Returns the parameters by path, in the order of the pytree."""
        tree = self.params if params is None else params
        return dict(zip(self.paths, jax.tree.leaves(tree), strict=True))

    def unflatten(self, leaves: Mapping[str, Any]) -> Any:
        """Returns the parameter pytree with these leaves; None where there is none."""
        structure = jax.tree.structure(self.params)
        return jax.tree.unflatten(structure, [leaves.get(path) for path in self.paths])

    def columns(self, path: str) -> tuple[Column, ...]:
        """Returns for each axis of a parameter what decides which indices survive."""
        axes = self.leaf_axes[self.paths.index(path)]
        return tuple(self.layout.column(axes, dim) for dim in range(axes.ndim))

    def consumed(self, step: Step) -> list[tuple[int, int, Column]]:
        """Returns where a step contracts removable channels of activations.

        A removed channel must count as zero exactly there, and nowhere else.

        Returns:
            (operand, axis, what decides which indices of that axis survive).
        """
        contraction = self.contraction_at.get(step.index)
        if contraction is None:
            return []
        found = []
        for operand, dims in enumerate(contraction.contracted):
            # Of a product of parameters (a low-rank weight) one operand is enough.
            if step.driven[operand] or (operand == 0 and not any(step.driven)):
                for dim in dims:
                    column = self.layout.column(step.ins[operand], dim)
                    if column.units:
                        found.append((operand, dim, column))
        return found

    def uses(self, group: Group, alive: Any) -> Any:
        """Returns whether anything that a group's channels run through is still used."""
        paths = dict.fromkeys(path for path, _ in group.members)
        found = False
        for path in paths:
            found = found | jnp.asarray(self.needs(path, alive))
        for step in self._steps_of[group.name]:
            found = found | jnp.asarray(self.runs(step, alive))
        return found

    @cached_property
    def _steps_of(self) -> dict[str, list[int]]:
        """By group the convolutions and dots that its channels run through."""
        touched: dict[int, set[int]] = {}
        for contraction in self.contractions:
            step = contraction.step
            columns = [*contraction.columns, *(c for _, _, c in self.consumed(step))]
            lines = [units for column in columns for units in column.units]
            touched[step.index] = {int(unit) for line in lines for unit in line}
        return {
            group.name: [
                i for i, units in touched.items() if units & {*group.units.tolist()}
            ]
            for group in self.prunable
        }

    @cached_property
    def activation_bytes(self) -> int:
        """Bytes of one example's largest activation, all taken for float32."""
        batch = next((x.shape[0] for x in jax.tree.leaves(self.example) if x.shape), 1)
        sizes = [
            prod(axes.shape)
            for step in self.program.walk()
            if any(step.driven)
            for axes in step.outs
        ]
        return max(1, 4 * max(sizes, default=0) // batch)

    @cached_property
    def layer_at(self) -> dict[int, Layer]:
        """The layers by the index of their step."""
        return {layer.step: layer for layer in self.layers}

    @cached_property
    def contraction_at(self) -> dict[int, Contraction]:
        """The convolutions and dots by the index of their step."""
        return {c.step.index: c for c in self.contractions}

    @cached_property
    def branches(self) -> dict[int, Block]:
        """The removable blocks by the index of the step that adds them."""
        return {block.step: block for block in self.blocks}

    def alive(
        self,
        channels: Mapping[str, Bool[Array | np.ndarray, " _"]],
        blocks: Mapping[str, Bool[Array | np.ndarray, ""]] | None = None,
    ) -> Bool[Array, " units"]:
        """Returns which units survive: channels of groups, and blocks.

        Args:
            channels: by group name which channels are kept; others are kept whole.
            blocks: by block name whether it is kept; others are kept.
        """
        alive = jnp.ones(self.layout.count, bool)
        for group in self.prunable:
            if group.name in channels:
                alive = alive.at[group.units].set(channels[group.name])
        for block in self.blocks:
            if blocks is not None and block.name in blocks:
                alive = alive.at[block.unit].set(blocks[block.name])
        return alive

    def alive_on_host(
        self, channels: Mapping[str, Any], blocks: Mapping[str, Any] | None = None
    ) -> np.ndarray:
        """Returns the same as `alive`, of concrete masks, and compiles nothing."""
        alive = np.ones(self.layout.count, bool)
        for group in self.prunable:
            if group.name in channels:
                alive[group.units] = np.asarray(channels[group.name])
        for block in self.blocks:
            if blocks is not None and block.name in blocks:
                alive[block.unit] = np.asarray(blocks[block.name])
        return alive

    def needs(self, path: str, alive: Any) -> Any:
        """Returns whether a parameter is still used: True, or a scalar bool."""
        return needed(self.liveness.leaves[self.paths.index(path)], alive)

    def kernel_axes(self, path: str) -> tuple[int, ...]:
        """Returns the axes of a parameter along a convolution's window; () for others."""
        found = (layer.kernel_axes for layer in self.layers if layer.weight == path)
        return next(found, ())

    def runs(self, step: int, alive: Any) -> Any:
        """Returns whether the step of an index is still computed; as `needs`."""
        return needed(self.liveness.steps[step], alive)

    def narrow(self, path: str, value: Any, alive: np.ndarray) -> Any:
        """Returns an array in a parameter's shape without its removed entries.

        Axes of size 1 (of a scale that is shared along them) are left alone.
        """
        axes = self.leaf_axes[self.paths.index(path)]
        sizes = Sizes(self.layout, alive, batch=1)
        for dim in range(axes.ndim):
            kept = sizes.kept(axes, dim)
            if kept is not None and value.shape[dim] != 1:
                value = np.asarray(value).compress(kept, axis=dim)
        return value

    def narrowed(self, params: Any, alive: np.ndarray) -> dict[str, Any]:
        """Returns the parameters that are still used, without their removed entries."""
        return {
            path: self.narrow(path, leaf, alive)
            for path, leaf in self.leaves(params).items()
            if self.needs(path, alive)
        }

    def count_macs(
        self,
        alive: Bool[Array, " units"],
        contractions: Sequence[Contraction] | None = None,
    ) -> Float[Array, ""]:
        """Returns the MACs of one example for the surviving units (traceable).

        Args:
            contractions: which convolutions and dots are counted; all if None.
        """
        counted = self.contractions if contractions is None else contractions
        constants = np.asarray([each.constant for each in counted], np.float32)
        combinations = self.layout.entries([each.columns for each in counted], alive)
        ways = [self.liveness.steps[each.step.index] for each in counted]
        return jnp.where(needed_each(ways, alive), constants * combinations, 0.0).sum()

    def interpret(
        self,
        params: Any,
        inputs: Any,
        alive: np.ndarray | None = None,
        before: Callable[..., list[Any]] | None = None,
        around: Around | None = None,
    ) -> Any:
        """Runs the network step by step from its program.

        Args:
            params: parameters, of the narrower shapes where `alive` removes channels,
                without those (or with None for those) that only removed blocks use; in
                the place of a layer's weight there may be factors of it, in the place of
                any array its `Codes`.
            inputs: a batch of any size.
            alive: which units survive, bool [units]; None: all.
            before: called with (step, operands) ahead of each step; returns the
                operands to use.
            around: runs each step, see `Interpreter`.

        Raises:
            ValueError: the inputs do not fit the traced ones.
        """
        leaves = [jnp.asarray(leaf) for leaf in jax.tree.leaves(inputs)]
        batch = self._checked_batch(inputs, leaves)
        given = iter(
            jax.tree.leaves(params, is_leaf=lambda node: is_factors(node) or is_codes(node))
        )
        values: list[Any] = [
            next(given) if alive is None or self.needs(path, alive) else None
            for path in self.paths
        ]
        sizes = Sizes(self.layout, alive, batch)
        interpreter = Interpreter(sizes, before, self._cut(alive), around)
        results = interpreter.run(self.program, [*values, *leaves])
        return jax.tree.unflatten(self.out_tree, results)

    def _cut(self, alive: np.ndarray | None) -> Cut:
        if alive is None or all(alive[block.unit] for block in self.blocks):
            return Cut()
        gone = [block for block in self.blocks if not alive[block.unit]]
        steps = self.liveness.steps.items()
        return Cut(
            dead=frozenset(index for index, ways in steps if not needed(ways, alive)),
            bypassed={block.step: 1 - block.operand for block in gone},
        )

    def _checked_batch(self, inputs: Any, leaves: list[Any]) -> Any:
        wanted = jax.tree.leaves(self.example)
        if jax.tree.structure(inputs) != jax.tree.structure(self.example) or any(
            np.shape(a)[1:] != b.shape[1:] for a, b in zip(leaves, wanted, strict=True)
        ):
            got = jax.tree.map(np.shape, inputs)
            allowed = jax.tree.map(lambda x: ("batch", *x.shape[1:]), self.example)
            raise ValueError(f"inputs of shape {got} do not fit the network: {allowed}")
        sizes = {np.shape(a)[0] for a, b in zip(leaves, wanted, strict=True) if b.shape}
        if len(sizes) > 1:
            raise ValueError(f"inputs disagree on the batch size: {sorted(sizes)}")
        batch = sizes.pop() if sizes else 1
        traced = next((x.shape[0] for x in wanted if x.shape), 1)
        if self.batch_reason is not None and batch != traced:
            raise ValueError(
                f"the network was traced at batch size {traced} and cannot run at "
                f"{batch}: {self.batch_reason}"
            )
        return batch

    def __str__(self) -> str:
        lines = [*layer_lines(self.layers), "", *group_lines(self.groups), ""]
        if self.blocks:
            lines += [*block_lines(self.blocks), ""]
        lines.append(
            f"{len(self.layers)} layers, {self.macs:,} MACs an example, "
            f"{self.size:,} parameters, {sum(g.size for g in self.prunable)} prunable "
            f"channels in {len(self.prunable)} groups"
        )
        if self.unused:
            lines.append(f"parameters that nothing uses: {', '.join(self.unused)}")
        if self.batch_reason is not None:
            lines.append(f"only the traced batch size works: {self.batch_reason}")
        return "\n".join(lines)
