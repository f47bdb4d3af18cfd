"""Networks by name, and the pure function made of any Flax module."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxcompress.data import Task, load
from jaxcompress.models import as_function, create

TASK = Task((8, 8, 1), 10)


class Everything(nnx.Module):
    """What may be in a module: batch norm, dropout, a list of layers."""

    def __init__(self, rngs: nnx.Rngs):
        self.norm = nnx.BatchNorm(5, rngs=rngs)
        self.dropout = nnx.Dropout(0.5, rngs=rngs)
        self.layers = nnx.List([nnx.Linear(5, 5, rngs=rngs) for _ in range(2)])

    def __call__(self, x):
        x = self.dropout(self.norm(x))
        for layer in self.layers:
            x = layer(x)
        return x


def leaves(module: nnx.Module) -> list[np.ndarray]:
    state = nnx.to_pure_dict(nnx.state(module, nnx.Not(nnx.RngState)))
    return [np.asarray(leaf) for leaf in jax.tree.leaves(state)]


def assert_same(left, right):
    for a, b in zip(left, right, strict=True):
        np.testing.assert_array_equal(a, b)


def used(module: nnx.Module, x) -> nnx.Module:
    """The module after a call in training mode: its averages are not the initial."""
    before = leaves(module)
    module(x)
    assert any((a != b).any() for a, b in zip(before, leaves(module), strict=True))
    return module


@pytest.mark.parametrize(
    ("make", "shape"),
    [
        (lambda: create("digits_cnn", 0, TASK), (6, 8, 8, 1)),
        (lambda: Everything(nnx.Rngs(0)), (6, 5)),
    ],
    ids=["digits_cnn", "everything"],
)
def test_as_function_is_the_module_in_evaluation(make, shape):
    x = jax.random.normal(jax.random.key(1), shape) * 3 + 1
    module = used(make(), x)
    before = leaves(module)
    apply, params = as_function(module)
    outputs = apply(params, x)
    np.testing.assert_array_equal(outputs, apply(params, x))
    np.testing.assert_allclose(jax.jit(apply)(params, x), outputs, atol=1e-5)
    assert_same(before, leaves(module))
    module.eval()
    np.testing.assert_array_equal(outputs, module(x))
    assert_same(before, jax.tree.leaves(params))


def test_params_are_a_plain_dict_of_weights():
    _, params = as_function(Everything(nnx.Rngs(0)))
    assert type(params) is dict
    assert jax.tree.map(jnp.shape, params) == {
        "norm": {"bias": (5,), "mean": (5,), "scale": (5,), "var": (5,)},
        "layers": {n: {"bias": (5,), "kernel": (5, 5)} for n in range(2)},
    }


def test_apply_follows_the_params_it_is_given():
    apply, params = as_function(create("digits_cnn", 0, TASK))
    _, others = as_function(create("digits_cnn", 1, TASK))
    x = jnp.ones((1, 8, 8, 1))
    assert np.abs(apply(params, x) - apply(others, x)).max() > 1e-3
    gradient = jax.jit(jax.grad(lambda p: apply(p, x).sum()))(params)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(gradient))


def test_key_and_seed_decide_the_weights():
    by_seed = create("digits_cnn", 3, TASK)
    assert_same(leaves(by_seed), leaves(create("digits_cnn", jax.random.key(3), TASK)))
    assert_same(leaves(by_seed), leaves(create("digits_cnn", 3, load("digits"))))
    other = as_function(create("digits_cnn", 4, TASK))[1]["head"]["kernel"]
    assert (as_function(by_seed)[1]["head"]["kernel"] != other).all()


def test_unknown_name_is_refused_with_what_is_allowed():
    with pytest.raises(ValueError, match=r"'vgg' is unknown: allowed are \[.*'digits_cnn'"):
        create("vgg", 0, TASK)
