"""stub."""

from __future__ import annotations

from typing import Any


def connect_detail(app: Any, reader: Any) -> None:
    return None
