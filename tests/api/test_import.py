"""`import segsearch` in a fresh process: quick, without any library, and with every name in sight."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import segsearch
from segsearch import errors

HEAVY = ("torch", "optuna", "sqlalchemy", "onnx", "onnxruntime", "numpy", "pydantic", "plotly", "rich", "typer", "PIL")
# Twice what a start of Python itself may differ by on a busy machine.
MOST_SECONDS = 0.15


def fresh(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    return done.stdout.strip()


def test_the_import_alone_loads_no_library() -> None:
    assert fresh(f"import sys, segsearch; print([name for name in {HEAVY} if name in sys.modules])") == "[]"


def test_a_name_is_loaded_when_it_is_asked_for_and_no_torch_with_it() -> None:
    code = (
        "import sys, segsearch; segsearch.open; segsearch.run; segsearch.evaluate;"
        "print([name in sys.modules for name in ('sqlalchemy', 'torch', 'plotly')])"
    )
    assert fresh(code) == "[True, False, False]"


def test_the_import_takes_no_time() -> None:
    code = "import time; start = time.process_time(); import segsearch; print(time.process_time() - start)"
    took = [float(fresh(code)) for _ in range(3)]
    assert min(took) < MOST_SECONDS, took


def test_every_name_is_there_and_no_other() -> None:
    for name in segsearch.__all__:
        assert getattr(segsearch, name) is not None
    assert set(segsearch.__all__) <= set(dir(segsearch))
    assert segsearch.StudyError is errors.StudyError
    with pytest.raises(AttributeError, match="opne"):
        segsearch.opne  # noqa: B018
    assert fresh("from segsearch import *; print(open.__module__, run.__name__)") == "segsearch.api.opened run"


def test_a_room_is_still_imported_by_its_name() -> None:
    assert fresh("from segsearch import launch; print(launch.__name__)") == "segsearch.launch"
    assert fresh("import segsearch; print(hasattr(segsearch, 'launch'))") == "False"


def test_the_package_says_that_it_is_typed() -> None:
    assert (Path(segsearch.__file__).parent / "py.typed").is_file()


RIGHT = """
from typing import assert_type
import segsearch

with segsearch.open("runs/mine") as run:
    assert_type(run.front(limits=["latency_ms<=12"])[0], segsearch.Trial)
    assert_type(run, segsearch.Run)
assert_type(segsearch.measure("model.onnx").latency_ms, float)
"""

WRONG = """
import segsearch

segsearch.opne("runs/mine")
segsearch.measure(1)
"""


@pytest.mark.slow
def test_a_type_checker_sees_what_is_loaded_later(tmp_path: Path) -> None:
    """Right words pass and wrong ones do not: nothing is `Any` for want of a look."""
    root = Path(__file__).parents[2]
    command = [sys.executable, "-m", "mypy", "--strict", "--follow-imports=silent", "--cache-dir", str(tmp_path)]
    right, wrong = (
        subprocess.run(
            [*command, "-c", code],
            capture_output=True,
            text=True,
            cwd=tmp_path,
            env={**os.environ, "MYPYPATH": str(root)},
        )
        for code in (RIGHT, WRONG)
    )
    assert right.returncode == 0, right.stdout + right.stderr
    assert wrong.stdout.count("error:") == 2, wrong.stdout
