"""Whether more trainings are worth their time: what the last ones added, and what the next are expected to add."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from segsearch.evidence.objectives import DEAR
from segsearch.search.earlier import NOTHING, Earlier
from segsearch.search.expect import able_of, expected, known_of
from segsearch.search.features import Array
from segsearch.search.gain import front_of, volume
from segsearch.search.points import calmed, in_order, meets_limits, points_of, reference_of, trained_of
from segsearch.search.surrogate import Unfit
from segsearch.store.rows import TrialRow
from segsearch.study import Study

# So many trainings are looked ahead, and twice as many back.
AHEAD = 10


@dataclass(frozen=True)
class Outlook:
    """Shares of the hypervolume that there is after `trainings` trainings.

    `seen` is what ten of the last twenty added in the mean, or the last ten, whichever is more; `expected` is what the
    surrogate expects of the ten best that wait, None where nothing waits or nobody can say. `reached` is the
    hypervolume after each training.
    """

    trainings: int
    seen: float
    expected: float | None
    reached: tuple[float, ...]

    @property
    def gain(self) -> float:
        """What the next ten trainings are expected to add: the larger of both."""
        return max(self.seen, self.expected or 0.0)


def outlook(rows: Sequence[TrialRow], study: Study, *, earlier: Earlier = NOTHING) -> Outlook | None:
    """The outlook of a search; None where too little is trained to say. A function of the rows alone."""
    reached = reached_by(rows, study)
    if len(reached) < 2 * AHEAD or reached[-1] <= 0:
        return None
    back = [reached[-1] - reached[-1 - ago] if ago < len(reached) else reached[-1] for ago in (AHEAD, 2 * AHEAD)]
    seen = max(back[0], back[1] / 2) / reached[-1]
    return Outlook(len(reached), seen, _expected(rows, study, earlier) if study.search.screen else None, reached)


def _expected(rows: Sequence[TrialRow], study: Study, earlier: Earlier) -> float | None:
    rows = in_order(rows)
    try:
        found = expected(able_of(rows, study), known_of(rows, study), study, earlier=earlier)
    except (Unfit, np.linalg.LinAlgError):
        return None
    return sum(found.gains[:AHEAD]) / found.reached if found.reached > 0 else None


def reached_by(rows: Sequence[TrialRow], study: Study) -> tuple[float, ...]:
    """The hypervolume after each training, with the files that came of it, in the order in which they ended."""
    if DEAR not in study.objectives:
        return ()
    known = trained_of(rows, study)
    ends = {row.number: (row.finished or 0.0, row.number) for row in rows if row.is_training}
    if not known or not ends:
        return ()
    points = points_of(known, study)
    reference = reference_of(study, calmed(points[:, 0]), points[:, 1:])
    counts = [
        index for index, row in enumerate(known) if meets_limits(row, study) and (points[index] < reference).all()
    ]
    by_training: dict[int, list[int]] = {}
    for index in counts:
        row = known[index]
        by_training.setdefault(row.number if row.origin is None else row.origin, []).append(index)
    front: Array = np.empty((0, points.shape[1]))
    found: list[float] = []
    for number in sorted(ends, key=lambda one: ends[one]):
        added = by_training.get(number, [])
        if added:
            front = front_of(np.vstack([front, points[added]]))
        found.append(volume(front, reference) if added or not found else found[-1])
    return tuple(found)


def has_converged(rows: Sequence[TrialRow], study: Study, *, earlier: Earlier = NOTHING) -> Outlook | None:
    """The outlook of a search that is to end by itself, where that time has come."""
    if study.search.stop != "converged":
        return None
    found = outlook(rows, study, earlier=earlier)
    return found if found is not None and found.gain < study.search.stop_gain else None
