"""Benchmarks print our figures and are run by hand: what they import must still be there."""

from __future__ import annotations

import ast
import importlib
from collections.abc import Iterator
from pathlib import Path

import pytest

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
