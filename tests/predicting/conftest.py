"""PyAV is an extra: what needs it is skipped without."""

from __future__ import annotations

import pytest

from tests.predicting.looks import pyav


@pytest.fixture
def needs_video() -> None:
    pyav()
