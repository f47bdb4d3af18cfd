"""How well the errors that a search sees rank plans as fine-tuning each alone would.

python scripts/rank_correlation.py [--config cifar10_resnet8] [--plans 12]
    [--train-examples 2000] [--validation-examples 1000] [--tune-epochs 2]
    [--population 16] [--generations 6] [--every 2]
    [--json docs/results/rank_correlation.json]
    [--table docs/results/rank_correlation.md]

Random plans of the configuration's space, from light to heavy, are evaluated on validation
examples under the network's own weights, under weights adapted to random plans (`adapt`),
under those that are then trained on within a search (`adapt.every`), and, so that both had
as many steps, under weights adapted to random plans for longer; each also with batch norm
estimated anew. Then each plan is fine-tuned alone, from the network's own weights, and
evaluated, with batch norm estimated anew where that is better. Spearman's correlation over
the plans. A configuration that stands in the JSON file and is not named stays there. Data:
see CONTRIBUTING.md.
"""

import argparse
import os
import time
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from published_networks import (
    DATA,
    RESULTS,
    WEIGHTS,
    command,
    earlier,
    machine,
    machine_of,
    write,
)
from scipy.stats import rankdata

import jaxcompress as jc
from jaxcompress import models, training
from jaxcompress.assemble import initial_of, measured, space_of
from jaxcompress.config import Config
from jaxcompress.config_file import find, read
from jaxcompress.given import Given, given, traced

DEVIATION = 0.2  # of a gene's share of its way from dense to 0 around that of its plan
RESAMPLED = 4000
# How a search sees weights that were trained under these averages of batch norm.
SEEN = {"fixed": "as they are", "trained": "re-estimated"}


def configuration(arguments: argparse.Namespace) -> Config:
    tree = read(find(arguments.config)).model_dump()
    chosen = {
        "seed": {"seed": arguments.seed},
        "data": {
            "train_examples": arguments.train_examples,
            "validation_examples": arguments.validation_examples,
        },
        "adapt": {
            "epochs": arguments.adapt_epochs,
            "every": arguments.every,
            "again": arguments.again,
        },
        "search": {
            "population": arguments.population,
            "generations": arguments.generations,
        },
        "finetune": {"epochs": arguments.tune_epochs},
    }
    tree |= chosen.pop("seed")
    for section, values in chosen.items():
        tree[section] |= {k: v for k, v in values.items() if v is not None}
    return Config(**tree)


def network_of(config: Config, start: Given, key: jax.Array) -> jc.Network:
    apply, params = start.apply, start.params
    if start.module is not None:
        module, _ = training.train(key, start.module, start.data, config.train, start.loss)
        apply, params = models.as_function(module)
    assert apply is not None
    return traced(start, apply, params)


def spread_plans(
    key: jax.Array, space: jc.Space, count: int, heaviest: float
) -> np.ndarray:
    """Returns random genotypes, int32 [count, D], from light to heavy."""
    draw = np.asarray(jax.random.normal(key, (count, len(space))))
    mean = np.linspace(0.0, heaviest, count)[:, None]
    share = np.clip(mean + DEVIATION * draw, 0.0, 1.0)
    rows = np.round(space.dense * (1.0 - share)).astype(np.int32)
    return np.asarray(space.repair(jnp.asarray(rows)))


def errors_of(evaluate: jc.Evaluator, weights: Any, rows: np.ndarray) -> np.ndarray:
    """Returns the validation error of each plan; inf: not finite."""
    found = np.asarray(evaluate.under(weights)(rows).objectives)[:, 0]
    return np.nan_to_num(found, nan=np.inf).astype(np.float64)


def fine_tuned(
    key: jax.Array,
    config: Config,
    start: Given,
    evaluates: dict[str, jc.Evaluator],
    rows: np.ndarray,
) -> np.ndarray:
    """Returns the validation error of each plan after fine-tuning alone."""
    network, space = evaluates["as they are"].network, evaluates["as they are"].space
    plans = jax.device_get(jax.jit(jax.vmap(space.decode))(rows))
    mesh = training.members_mesh(len(rows))
    found = jc.tune(
        key, network, plans, start.data, config.finetune, None, start.loss, mesh
    )
    errors = []
    for place, row in enumerate(rows):
        own = jax.tree.map(lambda leaf, i=place: jnp.asarray(leaf[i]), found.params)
        each = [errors_of(evaluate, own, row[None])[0] for evaluate in evaluates.values()]
        errors.append(min(each))
    return np.asarray(errors)


def correlation(a: np.ndarray, b: np.ndarray) -> dict[str, float | None]:
    """Returns Spearman's correlation, and a bootstrap interval of nine in ten."""
    rng, count = np.random.default_rng(0), len(a)

    def rho(rows: np.ndarray) -> float:
        ranks = rankdata(a[rows]), rankdata(b[rows])
        if min(np.ptp(ranks[0]), np.ptp(ranks[1])) == 0:
            return np.nan
        return float(np.corrcoef(*ranks)[0, 1])

    drawn = [rho(rng.integers(0, count, count)) for _ in range(RESAMPLED)]
    low, high = np.nanquantile(drawn, (0.05, 0.95))
    whole = rho(np.arange(count))
    named = {"rho": whole, "low": float(low), "high": float(high)}
    return {name: None if np.isnan(value) else value for name, value in named.items()}


def entry(arguments: argparse.Namespace) -> dict[str, Any]:
    """Returns the results of one configuration."""
    began, cpu = time.perf_counter(), time.process_time()
    config = configuration(arguments)
    names = ("model", "train", "plans", "adapt", "longer", "search", "tune")
    keys = jax.random.split(jax.random.key(config.seed), len(names))
    keys = dict(zip(names, keys, strict=True))
    start = given(config, keys["model"])
    network = network_of(config, start, keys["train"])
    data, loss = start.data, start.loss
    space = space_of(config, network, measured(config, network, data, loss, start.quality))
    rows = spread_plans(keys["plans"], space, arguments.plans, arguments.heaviest)
    count, seed = arguments.calibration, config.data.seed
    some = training.seen_inputs(data, count, seed, config.finetune)
    goals = (start.quality, jc.objectives.Size(config.search.coding), jc.objectives.Macs())
    evaluates = {
        name: jc.Evaluator(
            network,
            space,
            goals,
            inputs=data.normalize(data.validation.inputs),
            targets=jnp.asarray(data.validation.targets),
            calibration=calibration,
        )
        for name, calibration in (("as they are", None), ("re-estimated", some))
    }
    plain = evaluates["as they are"]
    costs = np.asarray(plain(rows).objectives)[:, 1:]
    spent: dict[str, int] = {}

    def adapted(key: jax.Array, name: str, epochs: int) -> Any:
        how = config.adapt.model_copy(update={"epochs": epochs})
        spent[name] = epochs
        print(f"{name}: {epochs} epochs", flush=True)
        return jc.adapt(key, network, space, data, how, loss)

    legs = -(-config.search.generations // config.adapt.every)
    again = (legs - 1) * config.adapt.again
    spent["own"] = 0
    shared = adapted(keys["adapt"], "adapted before", config.adapt.epochs)
    longer = adapted(keys["longer"], "adapted for longer", config.adapt.epochs + again)
    initial = initial_of(config, space)
    result, within = jc.search_in_legs(
        keys["search"],
        jc.NSGA2(config.search.population, space, len(goals), initial=initial),
        evaluates[SEEN[config.adapt.batch_norm]].under(shared),
        shared,
        jc.Adapter(network, space, data, config.adapt.within, loss),
        generations=config.search.generations,
        every=config.adapt.every,
        on_generation=lambda done: print(f"  {done.generation} {done.best}", flush=True),
    )
    spent["trained on within the search"] = config.adapt.epochs + again
    every = {
        "own": network.params,
        "adapted before": shared,
        "adapted for longer": longer,
        "trained on within the search": within,
    }
    tuned = fine_tuned(keys["tune"], config, start, evaluates, rows)
    print("fine-tuned", tuned.tolist(), flush=True)
    found = []
    for name, weights in every.items():
        for how, evaluate in evaluates.items():
            errors = errors_of(evaluate, weights, rows)
            line = {"weights": name, "epochs": spent[name], "batch_norm": how}
            finite = np.isfinite(errors)
            line |= {"failed": int((~finite).sum()), "mean": float(errors[finite].mean())}
            line |= correlation(errors, tuned)
            print(line, flush=True)
            found.append(line | {"errors": [e if e < np.inf else None for e in errors]})
    dense = np.asarray(plain(space.dense[None]).objectives)[0]
    return {
        "network": config.name,
        "command": command("rank_correlation"),
        **machine(),
        "cores": len(os.sched_getaffinity(0)),
        "seed": config.seed,
        "train_examples": len(data.fitted),
        "validation_examples": len(data.validation),
        "calibration": arguments.calibration,
        "heaviest": arguments.heaviest,
        "dense": dict(zip(plain.names, dense.tolist(), strict=True)),
        "evaluations": result.evaluations,
        "population": config.search.population,
        "generations": config.search.generations,
        "every": config.adapt.every,
        "again": config.adapt.again,
        "adapt": config.adapt.model_dump(mode="json"),
        "finetune": config.finetune.model_dump(mode="json"),
        "size": costs[:, 0].tolist(),
        "macs": costs[:, 1].tolist(),
        "tuned": tuned.tolist(),
        "rows": found,
        "seconds": time.perf_counter() - began,
        "cpu_seconds": time.process_time() - cpu,
    }


def page(results: dict[str, Any]) -> str:
    """Returns the Markdown page."""
    lines = [
        "# How well a search ranks what fine-tuning would give",
        "",
        "Spearman's correlation, over random plans from light to heavy, of the validation",
        "error that a search sees with that of the same plan fine-tuned alone from the",
        "network's own weights; in brackets a bootstrap interval over the plans, nine in",
        "ten. *own*: the network's weights as they are. *adapted before*: trained under",
        "random plans of the whole space (`adapt`). *trained on within the search*: from",
        "there on under plans of the front, every few generations (`adapt.every`).",
        "*adapted for longer*: like *before*, for as many epochs as the former had in all.",
        "Each also with batch norm estimated anew for each plan (`search.reestimate`).",
        "",
        "Published networks were trained on the validation images too: their errors of",
        "light plans are too low, before and after fine-tuning.",
    ]
    for found in results["entries"]:
        lines += [
            "",
            f"## {found['network']}",
            f"`{found['command']}`: {len(found['tuned'])} plans of "
            f"{min(found['macs']) / found['dense']['macs']:.2f} to "
            f"{max(found['macs']) / found['dense']['macs']:.2f} of the MACs and "
            f"{min(found['size']):,.0f} to {max(found['size']):,.0f} bytes; "
            f"{found['train_examples']:,} training, {found['validation_examples']:,} "
            f"validation and {found['calibration']:,} calibration examples; error of the "
            f"dense network {100 * found['dense']['error']:.1f} %, mean of the fine-tuned "
            f"plans {100 * np.mean(found['tuned']):.1f} % after "
            f"{found['finetune']['epochs']} epochs; a search of {found['generations']} "
            f"generations of {found['population']}, {found['again']} epochs after every "
            f"{found['every']}, under {found['adapt']['batch_norm']} averages of batch "
            f"norm; seed {found['seed']}; {found['seconds']:.0f} s "
            f"({found['cpu_seconds']:.0f} CPU seconds) on {found['cores']} cores, "
            f"{machine_of(found)}",
            "",
            "| weights | epochs | batch norm | mean error, % | correlation |",
            "|---|---|---|---|---|",
        ]
        for row in found["rows"]:
            rho = "none" if row["rho"] is None else f"{row['rho']:.2f}"
            if row["low"] is not None:
                rho += f" ({row['low']:.2f} to {row['high']:.2f})"
            cells = (
                row["weights"],
                str(row["epochs"]),
                row["batch_norm"],
                f"{100 * row['mean']:.1f}",
                rho,
            )
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description="Rank correlation with fine-tuning.")
    parser.add_argument("--config", default="cifar10_resnet8", help="a name or a file")
    parser.add_argument("--plans", type=int, default=12)
    parser.add_argument("--heaviest", type=float, default=0.6, help="share of the way to 0")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--train-examples", type=int, default=2000)
    parser.add_argument("--validation-examples", type=int, default=1000)
    parser.add_argument("--calibration", type=int, default=256)
    parser.add_argument("--adapt-epochs", type=int, help="the configuration's if None")
    parser.add_argument("--tune-epochs", type=int, help="the configuration's if None")
    parser.add_argument("--population", type=int, default=16)
    parser.add_argument("--generations", type=int, default=6)
    parser.add_argument("--every", type=int, default=2, help="generations of a leg")
    parser.add_argument("--again", type=int, default=1, help="epochs between legs")
    parser.add_argument("--json", type=Path, default=RESULTS / "rank_correlation.json")
    parser.add_argument("--table", type=Path, default=RESULTS / "rank_correlation.md")
    arguments = parser.parse_args()
    os.environ.setdefault("TFDS_DATA_DIR", str(DATA))
    os.environ.setdefault("JAXCOMPRESS_WEIGHTS", str(WEIGHTS))
    entries = earlier(arguments.json)
    found = entry(arguments)
    entries[found["network"]] = found
    results = {"entries": list(entries.values())}
    write(arguments.json, results, arguments.table, page(results))


if __name__ == "__main__":
    main()
