"""Several virtual devices for every test; how many random networks to try."""

import os

import pytest

os.environ["XLA_FLAGS"] = (
    os.environ.get("XLA_FLAGS", "") + " --xla_force_host_platform_device_count=4"
)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--graphs", type=int, default=50, help="random networks to check")
    parser.addoption("--plans", type=int, default=2, help="random plans for each of them")
