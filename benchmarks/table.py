"""Trains every network of a small space by schedules of three lengths, and keeps what came of it as a table.

    python benchmarks/table.py --part EPOCHS-SEED ... [--table benchmarks/tables/scenes.csv] [--out runs/table]
    python benchmarks/table.py --write
    python benchmarks/table.py --tells

216 networks of `table_space.py` on the embedded scenes, from nothing, each by complete schedules of 2, 6 and 18 epochs
and from two seeds; of each training a float file and an int8 one, exported, timed and scored as any trial is. What
belongs to one length and one seed is a study of segsearch's own: one that was stopped goes on. Networks that the table
has are not trained again, so that it may grow on several machines one after the other; --write adds what there is.
--tells prints how well short trainings rank what whole ones find, and what int8 costs and saves.
`docs/table.md` says what the columns are.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import itertools
import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np
import table_space
from table_space import BLOCKS, PRECISIONS, RATES, SCALES, SKIPS, WIDTHS

import segsearch
from segsearch.settings.search import Scalar

LENGTHS, SEEDS = (2, 6, 18), (0, 1)
# Of the list of all networks each next one is so many further: a part of the table is a sample of all.
STRIDE = 85
SPACE = Path(table_space.__file__)
NETWORK = ("width_multiplier", "block", "decoder", "skip_stage", "input_scale", "context", "aspp_rates")
KEYS = ("epochs", "seed", *NETWORK, "bits")
COLUMNS = (
    *KEYS,
    *("miou", "miou_low", "miou_high", "latency_ms", "latency_low_ms", "latency_high_ms"),
    *("size_bytes", "params", "macs", "seconds", "machine", "sha256"),
)
PARTS = [f"{epochs}-{seed}" for seed in SEEDS for epochs in LENGTHS]
Row = dict[str, str]


def designs() -> Iterator[Mapping[str, Scalar]]:
    """The parameters of every network, as floats, in an order that is the same everywhere and mixes them."""
    aspp = ({"context": "aspp", "aspp_rates": rates} for rates in RATES)
    contexts = ({"context": "none"}, {"context": "pyramid_pooling"}, *aspp)
    decoders = ({"decoder": "plain"}, *({"decoder": "add", "skip_stage": stage} for stage in SKIPS))
    every = list(itertools.product(WIDTHS, BLOCKS, SCALES, decoders, contexts))
    for place in range(len(every)):
        width, block, scale, decoder, context = every[place * STRIDE % len(every)]
        yield {"width_multiplier": width, "block": block, "input_scale": scale, **decoder, **context, "bits": "32"}


def settings(epochs: int, seed: int, first: Sequence[Mapping[str, Scalar]]) -> dict[str, object]:
    return {
        "name": f"table-{epochs}-{seed}",
        "seed": seed,
        "trials": len(first),
        "space": str(SPACE),
        "objectives": ["miou", "latency_ms"],
        "output": "mask",
        "data": {"kind": "synthetic", "height": 96, "width": 128, "train_count": 160, "validation_count": 48},
        "train": {
            "epochs": epochs,
            "batch_size": 4,
            "learning_rate": 6e-3,
            "crop": 1.0,
            "smallest_zoom": 1.0,
            "largest_zoom": 1.0,
        },
        "timing": {"threads": 1, "max_seconds": 0.5},
        "search": {"startup_trials": 1, "startup_on_top": False, "siblings": 1, "first": list(first)},
    }


def read(table: Path) -> list[Row]:
    """The table's rows; none where there is no table yet."""
    if not table.is_file():
        return []
    with table.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def missing(table: Path, epochs: int, seed: int) -> list[Mapping[str, Scalar]]:
    """The networks of which the table has not all files of this length and seed."""
    held: dict[str, int] = {}
    for row in read(table):
        if (row["epochs"], row["seed"]) == (str(epochs), str(seed)):
            held[network_of(row)] = held.get(network_of(row), 0) + 1
    return [one for one in designs() if held.get(network_of(one), 0) < len(PRECISIONS)]


def network_of(params: Mapping[str, Any]) -> str:
    return " ".join(_short(params.get(name, "")) for name in NETWORK)


def found_in(run: Path, epochs: int, seed: int) -> Iterator[Row]:
    """A row for each file of one length and seed that a study has."""
    with segsearch.open(run) as found:
        trials = {trial.number: trial for trial in found.trials}
    for trial in trials.values():
        if trial.state != "trained":
            continue
        record, trained = trial.record(), trials[trial.number if trial.origin is None else trial.origin]
        values = {
            "epochs": epochs,
            "seed": seed,
            **trial.params,
            **{name: record[name] for name in COLUMNS if name in record},
            "seconds": (trained.finished or math.nan) - trained.started,
        }
        yield {name: _short(values.get(name, "")) for name in COLUMNS}


def write(table: Path, out: Path) -> int:
    """Add what the studies have to the table, in an order of its own. Returns how many rows it has."""
    rows = {tuple(row[name] for name in KEYS): row for row in read(table)}
    for run in sorted(out.glob("*-*-*/study.db")):
        epochs, seed, _ = run.parent.name.split("-")
        rows = {tuple(row[name] for name in KEYS): row for row in found_in(run.parent, int(epochs), int(seed))} | rows
    table.parent.mkdir(parents=True, exist_ok=True)
    with table.open("w", encoding="utf-8", newline="") as file:
        written = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        written.writeheader()
        written.writerows(rows[key] for key in sorted(rows, key=lambda key: (int(key[0]), *key[1:])))
    return len(rows)


def tells(table: Path) -> None:
    """What the table says of short trainings and of int8, of the networks that it has both of."""
    rows = {(int(row["epochs"]), int(row["seed"]), network_of(row), row["bits"]): row for row in read(table)}
    last = LENGTHS[-1]
    for epochs, seed in itertools.product(LENGTHS[:-1], SEEDS):
        pairs = [
            (float(row["miou"]), float(rows[last, seed, network, bits]["miou"]))
            for (length, one, network, bits), row in rows.items()
            if (length, one, bits) == (epochs, seed, "32") and (last, seed, network, bits) in rows
        ]
        if len(pairs) > 2:
            short, whole = zip(*pairs, strict=True)
            like = f"tau {tau(pairs):.2f}, r {np.corrcoef(short, whole)[0, 1]:.3f}"
            print(
                f"seed {seed}, {len(pairs)} networks: {epochs} epochs tell of {last} by {like}; "
                f"mean mIoU {mean(short):.3f} and {mean(whole):.3f}"
            )
    for epochs, seed in itertools.product(LENGTHS, SEEDS):
        both = [
            (row, rows[length, one, network, "8"])
            for (length, one, network, bits), row in rows.items()
            if (length, one, bits) == (epochs, seed, "32") and (length, one, network, "8") in rows
        ]
        if both:
            lost = [float(one["miou"]) - float(other["miou"]) for one, other in both]
            faster = [float(one["latency_ms"]) / float(other["latency_ms"]) for one, other in both]
            ends = ", ".join(f"{one:.2f}" for one in np.quantile(faster, [0, 0.5, 1]))
            print(
                f"seed {seed}, {epochs} epochs, {len(both)} networks: int8 loses {mean(lost):+.4f} in the mean and "
                f"{max(lost):+.4f} at most, and is faster by {ends} (least, median, most)"
            )


def tau(pairs: Sequence[tuple[float, float]]) -> float:
    """Kendall's tau."""
    return mean(
        float(np.sign(one[0] - other[0]) * np.sign(one[1] - other[1]))
        for one, other in itertools.combinations(pairs, 2)
    )


def _short(value: object) -> str:
    if isinstance(value, float) and not (value.is_integer() and abs(value) >= 100):
        return f"{value:.5g}"
    return str(round(value) if isinstance(value, float) else value)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("runs/table"))
    parser.add_argument("--table", type=Path, default=Path("benchmarks/tables/scenes.csv"))
    parser.add_argument("--part", nargs="*", default=[], choices=PARTS, help="lengths and seeds to train")
    parser.add_argument("--write", action="store_true", help="add what there is to the table and train nothing")
    parser.add_argument("--tells", action="store_true", help="print what the table says of short trainings and int8")
    options = parser.parse_args()
    if options.tells:
        tells(options.table)
        return 0
    if options.write:
        print(f"{write(options.table, options.out)} files in {options.table}")
        return 0
    if not options.part:
        print(f"table: needs --part, of {', '.join(PARTS)}; all of them take hours.")
    for part in options.part:
        epochs, seed = map(int, part.split("-"))
        left = missing(options.table, epochs, seed)
        if left:  # a study's designs are settled when it begins: another set of them is another study
            settled = hashlib.sha256(" ".join(map(network_of, left)).encode()).hexdigest()[:8]
            out = options.out / f"{part}-{settled}"
            segsearch.run(settings(epochs, seed, left), out=out, progress=True).close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
