"""The digits network is as small as it says."""

from math import prod

import jax
import jax.numpy as jnp
import pytest
from flax import nnx

from jaxcompress.data import Task
from jaxcompress.models import DigitsCNN, as_function, create


def multiplications(jaxpr) -> int:
    """MACs of a jaxpr's convolutions and matrix products, from their shapes alone."""
    total = 0
    for equation in jaxpr.eqns:
        shapes = [value.aval.shape for value in (*equation.invars, *equation.outvars)]
        if equation.primitive.name == "conv_general_dilated":
            _, kernel, output = shapes
            total += prod(output) * prod(kernel[:-1])
        elif equation.primitive.name == "dot_general":
            _, kernel, output = shapes
            total += prod(output) * kernel[0]
    return total


def test_parameters_and_macs():
    apply, params = as_function(create("digits_cnn", 0, Task((8, 8, 1), 10)))
    assert sum(leaf.size for leaf in jax.tree.leaves(params)) == 18_170
    jaxpr = jax.make_jaxpr(apply)(params, jnp.zeros((1, 8, 8, 1)))
    assert multiplications(jaxpr.jaxpr) == 234_240


@pytest.mark.parametrize("shape", [(8, 8, 1), (28, 28, 1), (9, 7, 3)])
def test_other_images_get_a_head_of_their_size(shape):
    apply, params = as_function(DigitsCNN(Task(shape, 4), rngs=nnx.Rngs(0)))
    images = jax.ShapeDtypeStruct((2, *shape), jnp.float32)
    assert jax.eval_shape(apply, params, images).shape == (2, 4)


def test_the_block_is_residual():
    """With the branch switched off, what is left is the shortcut, not zero."""
    module = DigitsCNN(Task((8, 8, 1), 10), rngs=nnx.Rngs(0))
    apply, params = as_function(module)
    x = jax.random.normal(jax.random.key(0), (3, 8, 8, 1))
    params["block2"]["norm"]["scale"] = jnp.zeros(24)
    outputs = apply(params, x)
    stem = jax.nn.relu(nnx.view(module.stem, use_running_average=True)(x))
    shortcut = jax.nn.relu(nnx.view(module.down, use_running_average=True)(stem))
    expected = module.head(shortcut.reshape(3, -1))
    assert jnp.abs(expected).max() > 0.1
    assert jnp.allclose(outputs, expected, atol=1e-5)
