"""Several virtual devices and one cache for every test; how many random networks to try."""

import os
import shutil
import tempfile
from collections.abc import Iterator

import pytest

# Most of the time goes into compiling programs that run for milliseconds: the emitters of
# fusions, code generated in many parts and late optimisations cost more than they save.
os.environ["XLA_FLAGS"] = (
    os.environ.get("XLA_FLAGS", "")
    + " --xla_force_host_platform_device_count=4 --xla_cpu_use_fusion_emitters=false"
    + " --xla_cpu_parallel_codegen_split_count=1 --xla_backend_optimization_level=1"
)
# What one test, worker or process has compiled the others load. The environment of the
# process that began it all is inherited by workers, and by what the tests start.
_begun = "JAX_COMPILATION_CACHE_DIR" not in os.environ
if _begun:
    os.environ["JAX_COMPILATION_CACHE_DIR"] = tempfile.mkdtemp(prefix="jaxcompress-tests-")
    os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = (
        "0.1"  # less is not worth a file
    )


@pytest.fixture(scope="module")
def compiled_quickly() -> Iterator[None]:
    """For programs that run for milliseconds: to optimise them costs more than it saves.

    Not for the numerics themselves: sums are less exact, one number after the other.
    """
    import jax  # not before the environment is set

    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", False)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whole runs first: later, an idle worker takes half of what another has left.

    Both would then make the runs that several tests look at.
    """
    items.sort(key=lambda item: item.path.parent.name != "run")


def pytest_unconfigure() -> None:
    if _begun:
        shutil.rmtree(os.environ["JAX_COMPILATION_CACHE_DIR"], ignore_errors=True)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--graphs", type=int, default=30, help="random networks to check")
    parser.addoption("--plans", type=int, default=2, help="random plans for each of them")
