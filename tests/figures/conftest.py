"""The reports that tests of `judging` look at, to be drawn."""

from __future__ import annotations

from pathlib import Path

import pytest

from segsearch.judging.fronts import Report
from tests.judging import reports


@pytest.fixture
def found(tmp_path: Path) -> Report:
    return reports.found_in(tmp_path)


@pytest.fixture
def close(tmp_path: Path) -> Report:
    return reports.close_in(tmp_path)
