"""The Pareto front of trials, and the suggestions made from it."""

from __future__ import annotations

from collections.abc import Sequence
from operator import le
from typing import Literal

from segsearch.evidence.objectives import Direction

Prefer = Literal["knee", "miou", "latency_ms", "size_bytes"]


def costs(points: Sequence[Sequence[float]], directions: Sequence[Direction]) -> list[tuple[float, ...]]:
    """Points turned so that smaller is better everywhere: (points, objectives)."""
    signs = [-1.0 if direction == "maximize" else 1.0 for direction in directions]
    return [tuple(sign * value for sign, value in zip(signs, point, strict=True)) for point in points]


def dominates(a: Sequence[float], b: Sequence[float]) -> bool:
    """True where cost `a` is nowhere worse than `b` and somewhere better."""
    return all(x <= y for x, y in zip(a, b, strict=True)) and any(x < y for x, y in zip(a, b, strict=True))


# For each objective the interval that the value surely lies in; None where it is exact.
Intervals = Sequence[tuple[float, float] | None]


def front(
    points: Sequence[Sequence[float]],
    directions: Sequence[Direction],
    *,
    intervals: Sequence[Intervals] | None = None,
) -> tuple[int, ...]:
    """Indices of the points that no other point dominates, in their order. Equal points all stay.

    With `intervals` a point is dominated only by one that is better beyond the intervals of both: at its worst no
    worse in anything than the other at its best, and better in something.
    """
    best, worst = extremes(points, directions, intervals)
    # Whoever dominates a point stands before it in the order of the best costs, and whatever dominates that one
    # dominates the point too: it is enough to look at the members so far.
    members: list[int] = []
    for index in sorted(range(len(best)), key=lambda i: best[i]):
        if not any(dominates(worst[member], best[index]) for member in members):
            members.append(index)
    return tuple(sorted(members))


def ties(points: Sequence[Sequence[float]], directions: Sequence[Direction]) -> tuple[tuple[int, ...], ...]:
    """For each member of a front with intervals, the members that would dominate it by the plain values."""
    turned = costs(points, directions)
    order = sorted(range(len(turned)), key=lambda i: turned[i])  # whoever dominates a point stands before it
    found: list[tuple[int, ...]] = [()] * len(turned)
    for place, index in enumerate(order):
        mine = turned[index]
        before = (other for other in order[:place] if turned[other] != mine and all(map(le, turned[other], mine)))
        found[index] = tuple(sorted(before))
    return tuple(found)


def extremes(
    points: Sequence[Sequence[float]], directions: Sequence[Direction], intervals: Sequence[Intervals] | None
) -> tuple[list[tuple[float, ...]], list[tuple[float, ...]]]:
    """The points as costs at their best and at their worst."""
    turned = costs(points, directions)
    if intervals is None:
        return turned, turned
    best, worst = [], []
    for point, row in zip(turned, intervals, strict=True):
        spans = [
            (cost, cost) if span is None else tuple(sorted(-end if direction == "maximize" else end for end in span))
            for cost, span, direction in zip(point, row, directions, strict=True)
        ]
        best.append(tuple(low for low, _ in spans))
        worst.append(tuple(high for _, high in spans))
    return best, worst


def knee(points: Sequence[Sequence[float]], directions: Sequence[Direction]) -> int:
    """Index of the knee: the point nearest the ideal corner once each objective is scaled to [0, 1].

    Raises `ValueError` without points.
    """
    if not points:
        raise ValueError("knee needs at least one point, got none")
    turned = costs(points, directions)
    columns = list(zip(*turned, strict=True))
    lows = [min(column) for column in columns]
    spans = [max(column) - low or 1.0 for column, low in zip(columns, lows, strict=True)]
    distances = [
        sum(((value - low) / span) ** 2 for value, low, span in zip(point, lows, spans, strict=True))
        for point in turned
    ]
    return min(range(len(points)), key=lambda i: (distances[i], turned[i]))
