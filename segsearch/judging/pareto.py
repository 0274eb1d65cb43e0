"""The Pareto front of trials, and the suggestions made from it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from segsearch.evidence.objectives import Direction
from segsearch.evidence.resample import NORMAL

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


@dataclass(frozen=True)
class Paired:
    """The objective (by its place) whose values are compared by their resamples, and each point's: (resamples,).

    None for a point that has none: it is compared with every other one by the plain values.
    """

    place: int
    vectors: Sequence[NDArray[np.float32] | None]


def front(
    points: Sequence[Sequence[float]],
    directions: Sequence[Direction],
    *,
    intervals: Sequence[Intervals] | None = None,
    paired: Paired | None = None,
) -> tuple[int, ...]:
    """Indices of the points that no other point dominates, in their order. Equal points all stay.

    With `intervals` a point is dominated only by one that is better beyond the intervals of both: at its worst no
    worse in anything than the other at its best, and better in something. In the `paired` objective, two that have
    resamples are compared by the 95 % interval of their difference instead: where it reaches below 0, neither is sure
    to be no worse than the other.

    Whether a point stays is settled by all others, in whatever order they come. Among points with resamples, as among
    those without, a point that is dominated at all is dominated by a member (standard deviations obey the triangle
    inequality). From one kind to the other the comparison is plain, and such a chain can break: so each kind has its
    own front, and a member stays where the other kind's front does not dominate it.
    """
    best, worst = _extremes(points, directions, intervals)
    cloud = _Cloud.of(np.array(best, dtype=float), np.array(worst, dtype=float), paired)
    sampled, plain = (
        cloud.members([index for index in range(len(best)) if cloud.sampled[index] == kind]) for kind in (True, False)
    )
    found = [index for index in sampled if not cloud.beaten(index, plain)]
    found += [index for index in plain if not cloud.beaten(index, sampled)]
    return tuple(sorted(map(int, found)))


@dataclass(frozen=True)
class _Cloud:
    """Costs at their best and at their worst: (points, objectives), and what the paired objective is compared by.

    `vectors` (points, resamples) are 0 and `half` (points,), half a value's own interval, is 0 for those without.
    """

    best: NDArray[np.float64]
    worst: NDArray[np.float64]
    place: int
    sampled: NDArray[np.bool_]
    vectors: NDArray[np.float32]
    half: NDArray[np.float64]

    @classmethod
    def of(cls, best: NDArray[np.float64], worst: NDArray[np.float64], paired: Paired | None) -> _Cloud:
        given = [None] * len(best) if paired is None else paired.vectors
        sampled = np.array([vector is not None for vector in given], dtype=bool)
        vectors = np.zeros((len(best), next((len(one) for one in given if one is not None), 1)), dtype=np.float32)
        for index, vector in enumerate(given):
            if vector is not None:
                vectors[index] = vector
        half = NORMAL * vectors.std(axis=1, dtype=np.float64)
        return cls(best, worst, 0 if paired is None else paired.place, sampled, vectors, half)

    def members(self, kind: Sequence[int]) -> NDArray[np.int64]:
        """Those that none of their kind dominates."""
        # Whoever dominates a point stands before it in the order of the best costs, and whatever dominates that one
        # dominates the point too: it is enough to look at the members so far.
        found = np.empty(len(kind), dtype=np.int64)
        count = 0
        for index in sorted(kind, key=lambda i: tuple(self.best[i])):
            if not self.beaten(index, found[:count]):
                found[count] = index
                count += 1
        return found[:count]

    def beaten(self, index: int, others: NDArray[np.int64]) -> bool:
        """Whether one of `others` dominates a point; they are of one kind."""
        near = others[(self.worst[others] <= self.best[index]).all(axis=1)]
        if near.size == 0:
            return False
        better = self.worst[near] < self.best[index]
        if not (self.sampled[index] and self.sampled[near[0]]):
            return bool(better.any())
        ahead = self.best[index, self.place] - self.worst[near, self.place]
        # No difference is wider than the two intervals together: most are told apart without being formed.
        if (ahead > self.half[index] + self.half[near]).any():
            return True
        apart = NORMAL * (self.vectors[near] - self.vectors[index]).std(axis=1, dtype=np.float64)
        better[:, self.place] = ahead > apart
        return bool((better.any(axis=1) & (ahead >= apart)).any())


def ties(points: Sequence[Sequence[float]], directions: Sequence[Direction]) -> tuple[tuple[int, ...], ...]:
    """For each member of a front with intervals, the members that would dominate it by the plain values."""
    turned = np.array(costs(points, directions), dtype=float).reshape(len(points), len(directions))
    found = (np.flatnonzero((turned <= one).all(axis=1) & (turned < one).any(axis=1)) for one in turned)
    return tuple(tuple(map(int, by)) for by in found)


def _extremes(
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
