"""The front of models whose mIoU has resamples: two are told apart by the interval of their difference.

It loads numpy, and is itself loaded where a model has resamples.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from segsearch.evidence.objectives import Direction
from segsearch.evidence.resample import NORMAL
from segsearch.judging.pareto import Intervals, extremes


@dataclass(frozen=True)
class Paired:
    """The objective (by its place) whose values are compared by their resamples, and each point's: (resamples,).

    None for a point that has none: it is compared with every other one by the plain values.
    """

    place: int
    vectors: Sequence[NDArray[np.float32] | None]


def paired_front(
    points: Sequence[Sequence[float]],
    directions: Sequence[Direction],
    paired: Paired,
    *,
    intervals: Sequence[Intervals] | None = None,
) -> tuple[int, ...]:
    """`pareto.front`, where two that have resamples are compared by the 95 % interval of their difference.

    Where it reaches below 0, neither is sure to be no worse than the other in that objective.

    Whether a point stays is settled by all others, in whatever order they come. Among points with resamples, as among
    those without, a point that is dominated at all is dominated by a member (standard deviations obey the triangle
    inequality). From one kind to the other the comparison is plain, and such a chain can break: so each kind has its
    own front, and a member stays where the other kind's front does not dominate it.
    """
    shape = (len(points), len(directions))
    best, worst = (np.array(ends, dtype=float).reshape(shape) for ends in extremes(points, directions, intervals))
    cloud = _Cloud.of(best, worst, paired)
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
    def of(cls, best: NDArray[np.float64], worst: NDArray[np.float64], paired: Paired) -> _Cloud:
        given = paired.vectors
        sampled = np.array([vector is not None for vector in given], dtype=bool)
        vectors = np.zeros((len(best), next((len(one) for one in given if one is not None), 1)), dtype=np.float32)
        for index, vector in enumerate(given):
            if vector is not None:
                vectors[index] = vector
        half = NORMAL * vectors.std(axis=1, dtype=np.float64)
        return cls(best, worst, paired.place, sampled, vectors, half)

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
