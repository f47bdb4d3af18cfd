"""The examples in the docstrings run and print what they say."""

import doctest
import importlib
import pkgutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxcompress import evolution


@pytest.fixture(autouse=True)
def quick_compilation():
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", False)


MODULES = [module.name for module in pkgutil.iter_modules(evolution.__path__)]


@pytest.mark.parametrize("name", MODULES)
def test_examples(name):
    module = importlib.import_module(f"jaxcompress.evolution.{name}")
    names = {"jax": jax, "jnp": jnp, "np": np} | vars(evolution)
    for test in doctest.DocTestFinder().find(module, globs=names):
        result = doctest.DocTestRunner().run(test)
        assert result.failed == 0, test.name
