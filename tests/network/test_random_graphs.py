"""Random networks are exact, or frozen with a reason; none makes tracing fail."""

import jax
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from network.exact import check_exact, random_inputs
from network.random_graphs import Recipe, build, recipes

import jaxcompress as jc


def check(recipe: Recipe, plans: int) -> jc.Network:
    # In double precision rounding can neither be taken for a defect nor hide one.
    with jax.enable_x64(True):
        network = jc.trace(*build(recipe))
        assert str(network)
        batch = 2 if network.batch_reason else 3
        check_exact(network, random_inputs(network.example, batch), plans, 1e-9)
        return network


def test_random_networks(request: pytest.FixtureRequest) -> None:
    graphs: int = request.config.option.graphs
    plans: int = request.config.option.plans
    networks: list[jc.Network] = []

    @settings(
        max_examples=graphs,
        deadline=None,
        database=None,
        derandomize=True,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
    @given(recipes())
    def every_network(recipe: Recipe) -> None:
        networks.append(check(recipe, plans))

    every_network()
    free = sum(bool(network.prunable) for network in networks)
    print(f"{len(networks)} networks, {plans} plans each; prunable channels in {free}")
    assert len(networks) >= graphs
    # Freezing everything would be exact too.
    assert free >= 0.4 * len(networks)
