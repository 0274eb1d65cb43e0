"""Rows as points: the error and the logarithms of the costs, the front of them, and beyond which nothing counts."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from segsearch.evidence.objectives import DEAR
from segsearch.search.features import Array, Described
from segsearch.search.gain import behind, front_of
from segsearch.store.rows import TrialRow
from segsearch.study import Study


def in_order(rows: Sequence[TrialRow]) -> list[TrialRow]:
    return sorted(rows, key=lambda row: row.number)


def costs_of(row: Described, study: Study) -> list[float] | None:
    """The logarithms of all objectives but the dear one; None where one is not known, or not above 0."""
    found = [row.values.get(name, math.nan) for name in study.objectives if name != DEAR]
    return [math.log(value) for value in found] if all(0 < value < math.inf for value in found) else None


def points_of(rows: Sequence[Described], study: Study) -> Array:
    """(rows, 1 + costs): the error, and the logarithms of the costs."""
    found = [[1 - row.values[DEAR], *(costs_of(row, study) or [])] for row in rows]
    return np.array(found, dtype=float).reshape(len(rows), 1 + len(set(study.objectives) - {DEAR}))


def meets_limits(row: Described, study: Study) -> bool:
    known = [limit for limit in study.bounds if limit.objective in row.values]
    return all(limit.excess(row.values[limit.objective]) <= 0 for limit in known)


def nearest(points: Array, most: int) -> list[int]:
    """The indices of the points nearest to their front: by how much larger their error is."""
    return [int(index) for index in np.argsort(behind(points, front_of(points)), kind="stable")[:most]]


def trained_of(rows: Sequence[TrialRow], study: Study) -> list[TrialRow]:
    """The trained rows of which the error and every cost is known."""
    trained = [row for row in rows if row.state == "trained" and math.isfinite(row.values.get(DEAR, math.nan))]
    return [row for row in trained if costs_of(row, study) is not None]


def front_rows(rows: Sequence[TrialRow], study: Study) -> list[TrialRow]:
    """The trained rows on the front, within the limits."""
    if DEAR not in study.objectives:
        return []
    legal = [row for row in trained_of(rows, study) if meets_limits(row, study)]
    points = points_of(legal, study)
    front = {tuple(member) for member in front_of(points)}
    return [row for row, point in zip(legal, points, strict=True) if tuple(point) in front]


def calmed(errors: Array) -> Array:
    """Without the outliers that a diverged training leaves: nothing is farther above the median than three spreads."""
    middle, low = float(np.median(errors)), float(errors.min())
    return np.minimum(errors, middle + 3 * max(middle - low, 1e-3))


def reference_of(study: Study, errors: Array, costs: Array) -> Array:
    """Beyond which nothing counts: limits, else the worst that was trained; of costs that have none, the largest."""
    bounds = {limit.objective: limit.bound for limit in study.bounds if limit.operator == "<=" and limit.bound > 0}
    demanded = [1 - limit.bound for limit in study.bounds if (limit.objective, limit.operator) == (DEAR, ">=")]
    names = [name for name in study.objectives if name != DEAR]
    largest = [
        math.log(bounds[name]) if name in bounds else float(column.max()) + 0.1 * float(np.ptp(column))
        for name, column in zip(names, costs.T, strict=True)
    ]
    return np.array([min([float(errors.max()), *demanded]), *largest])
