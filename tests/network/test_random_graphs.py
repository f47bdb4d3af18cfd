"""Random networks are exact, or frozen with a reason; none makes tracing fail."""

import jax
from network.exact import check_exact, random_inputs
from network.random_graphs import build

import jaxcompress as jc


def check(recipe, plans: int) -> int:
    """Returns the number of prunable channels."""
    # In double precision rounding cannot be mistaken for a defect, nor hide one.
    with jax.enable_x64(True):
        apply, params, example = build(recipe)
        network = jc.trace(apply, params, example)
        batch = 2 if network.batch_reason else 3
        x = random_inputs(network.example, batch)
        check_exact(network, x, plans, tolerance=1e-9)
        assert str(network)
        return sum(group.size for group in network.prunable)
