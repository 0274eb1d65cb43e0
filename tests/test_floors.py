"""The shape of the house: imports go down only, parts do not know one another, each big library has one room."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parent.parent / "segsearch"
FILES = sorted(PACKAGE.rglob("*.py"))

# The floors, the lowest first: each name is a folder of the package, or a file of its root. A room may import rooms of
# its own floor and of those below.
FLOORS = (
    {"errors", "workshop", "candidate", "space", "evidence", "study", "settings", "references"},
    {"networks", "datasets", "compression", "runtimes"},
    {"latency", "training", "pretrained", "own", "pairing", "readings", "survey", "annotations"},
    {"trial", "store", "search"},
    {"judging"},
    {
        *("terminal", "progress", "figures", "masks", "handover", "predicting", "launch", "forecast", "api"),
        *("commands", "dashboard", "__main__"),
    },
)
PARTS = FLOORS[1]
# Rooms where the library may be imported; `top` counts only what is imported with the module.
OWNERS = {
    "optuna": {"search"},
    "sqlalchemy": {"store", "search"},
    "plotly": {"figures"},
    "dash": {"dashboard"},
    "pycocotools": {"annotations"},
    "av": {"predicting"},
}
# What is handed over runs with ONNX Runtime: its room is loaded by its command alone.
NO_TORCH = (FLOORS[0] | FLOORS[4] | FLOORS[5] | {"store"}) - {"handover"}
MOST_LINES = 350
MOST_ROOT_FILES = 10


def room(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def floor(name: str) -> int:
    return next(level for level, rooms in enumerate(FLOORS) if name in rooms)


def imported_rooms(path: Path) -> set[str]:
    """The other rooms that a file imports from, wherever in it."""
    names = {name.split(".")[1] for name in imports(ast.parse(path.read_text())) if name.startswith("segsearch.")}
    return names - {room(path), "__version__"}


def test_rooms_make_no_circle() -> None:
    needs: dict[str, set[str]] = {}
    for path in FILES:
        if path != PACKAGE / "__init__.py":
            needs.setdefault(room(path), set()).update(imported_rooms(path))
    order = tuple(TopologicalSorter(needs).static_order())  # raises CycleError
    assert order.index("errors") < order.index("commands")


def test_files_make_no_circle_within_a_room_either() -> None:
    """Nor where one imports the other late, or for a type alone: what both need has a file of its own."""
    named = {".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts): path for path in FILES}
    needs = {name: set(imports(ast.parse(path.read_text()))) & set(named) for name, path in named.items()}
    order = tuple(TopologicalSorter(needs).static_order())  # raises CycleError
    assert order.index("segsearch.trial.making") < order.index("segsearch.trial.weights")


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_file_holds_one_idea(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= MOST_LINES


def test_a_worker_loads_no_torch() -> None:
    """It belongs to the child: a worker starts at once, and what crashes there takes nothing along."""
    code = (
        "import sys, segsearch.launch, segsearch.search, segsearch.trial.contained; assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_floors_are_the_folders() -> None:
    folders = {path.name for path in PACKAGE.iterdir() if path.is_dir() and any(path.glob("*.py"))}
    files = {path.stem for path in PACKAGE.glob("*.py")} - {"__init__"}
    named = [name for rooms in FLOORS for name in rooms]
    assert sorted(named) == sorted(folders | files)
    assert len(files) + 1 <= MOST_ROOT_FILES


def imports(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [f"segsearch.{alias.name}" for alias in node.names] if node.module == "segsearch" else [node.module]
            yield from names


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_file_stands_on_its_floor(path: Path) -> None:
    tree = ast.parse(path.read_text())
    docstring = ast.get_docstring(tree)
    assert docstring, "every file starts with a docstring"
    assert docstring.splitlines()[0].endswith((".", ":")), "... of one sentence"
    if path == PACKAGE / "__init__.py":
        # It turns telemetry off before anything else is imported; the door's names are loaded when they are asked for.
        at_once = [name for node in tree.body if not isinstance(node, ast.If) for name in imports(node)]
        assert at_once == ["os", "typing"]
        return
    here = room(path)
    for name in imports(tree):
        library = name.split(".")[0]
        assert here in OWNERS.get(library, {here}), f"{library} belongs in {OWNERS[library]}"
        if library == "segsearch" and name.split(".")[1] not in ("__version__", here):
            there = name.split(".")[1]
            assert floor(there) <= floor(here), f"{here} may not import {there}: imports go down"
            assert not {here, there} <= PARTS, f"{here} may not import {there}: parts do not know one another"
    if here in NO_TORCH:
        top = {name.split(".")[0] for statement in tree.body for name in imports(statement)}
        assert not top & {"torch", "onnx", "onnxruntime"}, "starts without torch"
