"""Numbers as annotations hold them: checked before anything is drawn with them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from segsearch.annotations.types import Ring
from segsearch.errors import DataError

# Pixels: edges to points beyond it could not be cut off exactly enough.
_LARGEST = 1e12


def ring_of(points: Any, where: str) -> Ring:
    """Corners of one polygon, from x, y, x, y, ... or pairs of them. Raises `DataError` for what is no finite pair."""
    try:
        numbers = np.asarray(points)
        if numbers.size == 0:
            return np.empty(0)
        pairs = numbers.ndim == 2 and numbers.shape[1] == 2
        if numbers.dtype.kind not in "iuf" or not (pairs or (numbers.ndim == 1 and numbers.size % 2 == 0)):
            raise ValueError
    except (ValueError, OverflowError):
        raise DataError(
            f"{where}: a polygon must be a list of x and y in turn, got {short(points)}; correct or remove it."
        ) from None
    ring = numbers.astype(np.float64).ravel()
    if not (np.abs(ring) < _LARGEST).all():
        raise DataError(
            f"{where}: a polygon's points must be finite numbers, got {short(points)}; correct or remove it."
        )
    return ring


def numbers_of(texts: Sequence[str | None], names: Sequence[str], where: str) -> list[float]:
    """Finite numbers from texts. Raises `DataError` naming the first that is none."""
    found = []
    for text, name in zip(texts, names, strict=True):
        try:
            number = float(text if text is not None else "nothing")
        except ValueError:
            number = np.nan
        if not abs(number) < _LARGEST:
            raise DataError(f"{where}: {name} must be a finite number, got {text!r}; correct it.")
        found.append(number)
    return found


def side_of(value: Any, where: str) -> int | None:
    """A height or width in pixels; None where there is none (nothing, or 0). Raises `DataError` for anything else."""
    if value is None or (not isinstance(value, bool) and value == 0):
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value != value // 1 or value < 0:
        raise DataError(f"{where}: height and width must be whole numbers of pixels, got {value!r}; correct them.")
    return int(value)


def short(value: Any, most: int = 60) -> str:
    """A value as a message may quote it."""
    text = repr(value[:9] if isinstance(value, list) else value)
    return text if len(text) <= most else f"{text[:most]}..."
