"""Networks that others have trained, on real images: groups by hand, and exact."""

import jax.numpy as jnp
import pytest
from network.exact import check_exact
from real import WEIGHTS_DIR, images_for_testing, skip_without_weights

import jaxcompress as jc
from jaxcompress.models import as_function
from jaxcompress.models.published import PUBLISHED, load


@pytest.mark.parametrize(
    ("name", "prunable"),
    [
        # Of each block the width within; and the 64 channels of the last stage, in the
        # middle of which lie the 32 of the second, and in theirs the 16 of the first.
        ("resnet20_cifar10", 3 * (16 + 32 + 64) + 64),
        pytest.param("resnet56_cifar10", 9 * (16 + 32 + 64) + 64, marks=pytest.mark.slow),
        # Projections: every stage has channels of its own.
        ("resnet8_cifar10", (16 + 32 + 64) + (16 + 32 + 64)),
    ],
)
def test_masked_equals_compact_on_real_images(
    name: str, prunable: int, request: pytest.FixtureRequest
) -> None:
    skip_without_weights(name)
    images = images_for_testing("cifar10")[0][:8]
    mean, std = jnp.asarray(PUBLISHED[name].mean), jnp.asarray(PUBLISHED[name].std)
    x = (jnp.asarray(images, jnp.float32) - mean) / std
    network = jc.trace(*as_function(load(name, WEIGHTS_DIR)), x)
    assert sum(group.size for group in network.prunable) == prunable, str(network)
    assert not network.unused and network.batch_reason is None
    check_exact(network, x, plans=max(3, request.config.option.plans))
