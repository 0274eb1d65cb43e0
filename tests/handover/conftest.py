"""Runs that are made once."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.handover.runs import make_run


@pytest.fixture(scope="session")
def runs_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`masks` and `scores`: a study of each form of the answer, the first trial of the one of masks in int8."""
    folder = tmp_path_factory.mktemp("handover")
    make_run(folder / "masks", output="mask", quantized=True)
    make_run(folder / "scores", output="scores")
    return folder


@pytest.fixture
def masks(runs_once: Path, tmp_path: Path) -> Path:
    """The database of a study whose files answer masks, one's own to write to."""
    return _copied(runs_once / "masks", tmp_path)


@pytest.fixture
def scores(runs_once: Path, tmp_path: Path) -> Path:
    """The database of a study whose files answer scores, one's own to write to."""
    return _copied(runs_once / "scores", tmp_path)


def _copied(run: Path, folder: Path) -> Path:
    shutil.copytree(run, folder / run.name)
    return folder / run.name / "study.db"
