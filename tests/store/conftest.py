"""Every test of this room runs on SQLite and on PostgreSQL."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def either(backend: str) -> str:
    return backend
