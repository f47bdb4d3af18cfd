"""Saves random joint plans of three networks and loads them in fresh processes.

python scripts/check_artifacts.py [--plans 50]

Outputs equal those of the compact network, the two parts are the file, and above 50 kB
the estimated size is within 2 % of the parameter part.
"""

import argparse
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def main() -> int:
    parser = argparse.ArgumentParser(description="What is saved is what is loaded.")
    parser.add_argument("--plans", type=int, default=50, help="plans of each network")
    given = parser.parse_args()
    tests = str(ROOT / "tests/artifact/test_parity.py")
    options = ["--rootdir", str(ROOT), f"--plans={given.plans}", "-m", "", "-n", "0"]
    return int(pytest.main([*options, tests]))


if __name__ == "__main__":
    sys.exit(main())
