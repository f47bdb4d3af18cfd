"""A model on paper: evaluations a second and their cost from 1 chip to 4,096.

python scripts/scaling_model.py [--population 4096] [--images 5000] [--macs 40.8e6]
    [--batches 2] [--calibration 0] [--peak 197e12] [--share 0.1] [--select 19e-6]
    [--fixed 5e-3] [--price 1.2]

Nothing here is measured but `--select`; docs/scaling.md says where each default is from.
"""

import argparse

CHIPS = (1, 4, 16, 64, 256, 1024, 4096)


def seconds(given: argparse.Namespace, chips: int) -> tuple[float, float]:
    """Returns the seconds of one evaluation on one chip, and of a generation."""
    image = 2 * given.macs / (given.peak * given.share)
    one, whole = image * given.images, image * given.calibration
    rows = min(chips, given.population)
    rounds = -(-given.population // rows)  # individuals that one chip runs in turn
    # Chips that share the examples of one individual; each calibrates on its own.
    columns = min(chips // rows, given.batches)
    turn = one / columns + whole
    return one, rounds * turn + given.select * given.population + given.fixed


def main() -> None:
    parser = argparse.ArgumentParser(description="A model of evaluations a second.")
    parser.add_argument("--population", type=int, default=4096)
    parser.add_argument("--objectives", type=int, default=3)
    parser.add_argument("--images", type=int, default=5000)
    parser.add_argument("--batches", type=int, default=2, help="of the images")
    parser.add_argument(
        "--calibration", type=int, default=0, help="images, by every chip of an individual"
    )
    parser.add_argument("--macs", type=float, default=40.8e6, help="of one image")
    parser.add_argument("--peak", type=float, default=197e12, help="FLOP/s of a chip")
    parser.add_argument("--share", type=float, default=0.1, help="of the peak, reached")
    parser.add_argument(
        "--select", type=float, default=19e-6, help="s of selection, each individual"
    )
    parser.add_argument("--fixed", type=float, default=5e-3, help="s of each generation")
    parser.add_argument("--price", type=float, default=1.2, help="of a chip for an hour")
    given = parser.parse_args()
    gathered = 4 * given.population * (given.objectives + 1)
    one, alone = seconds(given, 1)
    print(f"one evaluation on one chip {1000 * one:.1f} ms; gathered {gathered:,} bytes")
    print("| chips | s a generation | evaluations/s | of linear | cost of 1e6 |")
    print("|---|---|---|---|---|")
    for chips in CHIPS:
        _, generation = seconds(given, chips)
        rate = given.population / generation
        cost = 1e6 / rate * chips * given.price / 3600
        share = alone / generation / chips
        print(f"| {chips:,} | {generation:.3f} | {rate:,.0f} | {share:.2f} | {cost:,.2f} |")


if __name__ == "__main__":
    main()
