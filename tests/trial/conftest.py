"""A workshop of each test's own."""

from __future__ import annotations

from pathlib import Path

import pytest

from segsearch.workshop import Artifacts
from tests.trial.benches import Notebook


@pytest.fixture
def notebook(tmp_path: Path) -> Notebook:
    return Notebook(Artifacts(tmp_path / "artifacts"))
