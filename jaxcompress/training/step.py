"""One gradient step on a network under a plan, compiled once for all plans."""

from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any, NamedTuple, no_type_check

import jax
import jax.numpy as jnp
import optax
from flax import struct
from jax.flatten_util import ravel_pytree
from jax.sharding import Mesh, PartitionSpec
from jaxtyping import Array, Float, PyTree, Shaped

from jaxcompress.compress import compress, leaves_of, masked, with_batch_statistics
from jaxcompress.network import Network
from jaxcompress.search import POPULATION
from jaxcompress.space import Plan
from jaxcompress.training.kernel_gradients import with_quick_kernel_gradients
from jaxcompress.training.member import (
    Layout,
    Member,
    learned,
)
from jaxcompress.training.train import Loss, smoothed_loss

OWN, WHOLE = PartitionSpec(POPULATION), PartitionSpec()
MOMENTUM = 0.9  # of the running statistics of batch normalisation


@no_type_check  # as a pytree it holds whatever it is mapped to
class Rates(struct.PyTreeNode):
    """What a step is told by number, so that one compilation serves every setting.

    Attributes:
        learning_rate, weight_decay, distillation, temperature, label_smoothing, ema:
            float32 [].
    """

    learning_rate: Float[Array, ""]
    weight_decay: Float[Array, ""]
    distillation: Float[Array, ""]
    temperature: Float[Array, ""]
    label_smoothing: Float[Array, ""]
    ema: Float[Array, ""]


class Steps(NamedTuple):
    """What may be done with members of a network: alone, or compiled, see `by_rows`.

    Attributes:
        start: (plans, params) -> members; plans that name members of a library begin with
            theirs, and are without the name from then on.
        step: (plans, members, inputs, targets, teacher's outputs, rates) -> members.
        result: (plans, members) -> uncoded parameters, and plans with what was learned.
    """

    start: Callable[[Plan, PyTree], Member]
    step: Callable[..., Member]
    result: Callable[[Plan, Member], tuple[PyTree, Plan]]


@lru_cache(maxsize=8)
def compiled_steps(
    network: Network,
    measure: Loss | None = None,
    statistics: bool = False,
    scales: bool = False,
    mesh: Mesh | None = None,
) -> Steps:
    """Returns how members of a network start, step and end, compiled once for all plans.

    Args:
        measure, statistics, scales: see `pure_steps`.
        mesh: devices along the axis "population"; one device if None.
    """
    alone = pure_steps(network, measure, statistics, scales)
    return Steps(
        by_rows(mesh, alone.start, OWN, WHOLE),
        by_rows(mesh, alone.step, OWN, OWN, WHOLE, WHOLE, WHOLE, WHOLE),
        by_rows(mesh, alone.result, OWN, OWN),
    )


def by_rows(
    mesh: Mesh | None, run: Callable[..., Any], *specs: PartitionSpec
) -> Callable[..., Any]:
    """Returns a function of one member, compiled for a row of them, one on each device.

    Args:
        mesh: devices along the axis "population"; one device if None.
        specs: of each argument `OWN`, if its arrays have a leading axis of as many rows,
            or `WHOLE`, if it is the same for all. What is returned has that axis.
    """

    def one(*arguments: PyTree) -> PyTree:
        ours = [
            jax.tree.map(lambda x: x[0], tree) if spec == OWN else tree
            for tree, spec in zip(arguments, specs, strict=True)
        ]
        return jax.tree.map(lambda x: jnp.asarray(x)[None], run(*ours))

    if mesh is None:
        return jax.jit(one)
    spread = jax.shard_map(
        one,
        mesh=mesh,
        in_specs=specs,
        out_specs=OWN,
        check_vma=False,  # an interpreted jaxpr binds primitives as they are
    )
    return jax.jit(spread)


def pure_steps(
    network: Network, measure: Loss | None, statistics: bool, scales: bool
) -> Steps:
    """Returns how a member of a network starts, takes a step, and what it is in the end.

    Channels stay removed and weights stay on their grids: the forward pass is that of
    the compact network, the gradient passes straight through the coding.

    Args:
        measure: the loss of outputs and targets, beside which distillation is the mean
            squared difference from the teacher's outputs (Ba & Caruana 2014, Do Deep Nets
            Really Need to be Deep?); None: smoothed cross-entropy, beside which it is
            `distillation_loss`.
        statistics: whether batch normalisation takes the statistics of the batch, and its
            averages follow them.
        scales: whether the plan's scales and ranges are learned.
    """
    optimizer = optax.scale_by_adam()
    layout = Layout(network, statistics, scales)

    def start(plan: Plan, params: PyTree) -> Member:
        leaves = leaves_of(network, plan, params)
        found, _ = ravel_pytree(layout.trainable(plan, network.unflatten(leaves)))
        return Member(
            trained=found,
            average=found,
            others={path: jnp.asarray(leaves[path]) for path in layout.others()},
            moments=optimizer.init(found),
            steps=jnp.zeros((), jnp.int32),
            stopped=jnp.zeros((), bool),
        )

    def step(
        plan: Plan,
        member: Member,
        x: PyTree,
        targets: Shaped[Array, "b ..."],
        teacher: PyTree,
        rates: Rates,
    ) -> Member:
        def loss(vector: Array) -> tuple[Float[Array, ""], dict[str, Array]]:
            trained = layout.unravel(plan, vector)
            own = learned(plan, trained)
            leaves = member.others | trained.params
            coded = compress(network, own, network.unflatten(leaves))
            seen: dict[str, Array] = {}
            if statistics:
                outputs, seen = with_batch_statistics(network, own, x, coded)
            else:
                outputs = masked(network, own, x, coded)
            if measure is None:
                hard = smoothed_loss(outputs, targets, rates.label_smoothing)
                soft = distillation_loss(outputs, teacher, rates.temperature)
            else:
                hard = jnp.asarray(measure(outputs, targets), jnp.float32)
                soft = jnp.square(outputs - teacher).mean()
            mixed = (1.0 - rates.distillation) * hard + rates.distillation * soft
            return mixed, seen

        (value, seen), gradients = jax.value_and_grad(
            with_quick_kernel_gradients(loss), has_aux=True
        )(member.trained)
        updates, moments = optimizer.update(gradients, member.moments, member.trained)
        decay = rates.weight_decay * layout.decayed(plan) * member.trained
        now = member.trained - rates.learning_rate * (jnp.asarray(updates) + decay)
        finite = jnp.isfinite(value) & jnp.isfinite(gradients).all()
        going = finite & ~member.stopped
        # From where it started an average keeps less the fewer steps there were.
        taken = member.steps.astype(jnp.float32)
        ema = jnp.minimum(rates.ema, (1.0 + taken) / (10.0 + taken))
        after = member.replace(
            trained=now,
            average=ema * member.average + (1.0 - ema) * now,
            others=member.others
            | {
                path: MOMENTUM * member.others[path] + (1.0 - MOMENTUM) * own
                for path, own in seen.items()
            },
            moments=moments,
            steps=member.steps + 1,
        )
        kept = jax.tree.map(partial(jnp.where, going), after, member)
        return kept.replace(stopped=~going)

    return Steps(start, step, layout.result)


def distillation_loss(
    logits: Float[Array, "*b k"],
    teacher: Float[Array, "*b k"],
    temperature: float | Float[Array, ""],
) -> Float[Array, ""]:
    """Returns T^2 KL(teacher / T || logits / T), the mean over a batch, in nats.

    Hinton et al. 2015, Distilling the Knowledge in a Neural Network.

    Args:
        logits, teacher: float32 [B, ..., K].
        temperature: T, positive.
    """
    target = jax.nn.log_softmax(teacher / temperature)
    given = jax.nn.log_softmax(logits / temperature)
    divergence = (jnp.exp(target) * (target - given)).sum(axis=-1)
    return temperature**2 * divergence.mean()
