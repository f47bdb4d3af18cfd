"""Checks the channel graph at length: random networks, and the slow tests of networks.

python scripts/check_graph.py [--graphs 300] [--plans 20]
"""

import argparse
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def main() -> int:
    parser = argparse.ArgumentParser(description="Masked equals compact, at length.")
    parser.add_argument("--graphs", type=int, default=300, help="random networks")
    parser.add_argument("--plans", type=int, default=20, help="random plans of each")
    given = parser.parse_args()
    random = ["-s", f"--graphs={given.graphs}", f"--plans={given.plans}"]
    tests = str(ROOT / "tests/network")
    return int(pytest.main(["--rootdir", str(ROOT), *random, "-m", "", tests]))


if __name__ == "__main__":
    sys.exit(main())
