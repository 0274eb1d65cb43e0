"""The Pareto front of trials, and the suggestions made from it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from segsearch.objectives import Direction

Prefer = Literal["knee", "miou", "latency_ms", "size_bytes"]


@dataclass(frozen=True)
class Pick:
    """A chosen trial and why."""

    trial: int
    reason: str


def costs(points: Sequence[Sequence[float]], directions: Sequence[Direction]) -> list[tuple[float, ...]]:
    """Points turned so that smaller is better everywhere: (points, objectives)."""
    signs = [-1.0 if direction == "maximize" else 1.0 for direction in directions]
    return [tuple(sign * value for sign, value in zip(signs, point, strict=True)) for point in points]


def dominates(a: Sequence[float], b: Sequence[float]) -> bool:
    """True where cost `a` is nowhere worse than `b` and somewhere better."""
    return all(x <= y for x, y in zip(a, b, strict=True)) and any(x < y for x, y in zip(a, b, strict=True))


def front(points: Sequence[Sequence[float]], directions: Sequence[Direction]) -> tuple[int, ...]:
    """Indices of the points that no other point dominates, in their order. Equal points all stay."""
    turned = costs(points, directions)
    # Sorted by cost, a point can be dominated only by one before it, and then also by a member of the front so far.
    members: list[int] = []
    for index in sorted(range(len(turned)), key=lambda i: turned[i]):
        if not any(dominates(turned[member], turned[index]) for member in members):
            members.append(index)
    return tuple(sorted(members))


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
