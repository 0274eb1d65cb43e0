"""What training each candidate that waits is expected to add to the front."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import numpy as np

from segsearch.evidence.objectives import DEAR
from segsearch.search.earlier import NOTHING, Earlier, Known, aligned
from segsearch.search.features import Array, Described, features_of
from segsearch.search.gain import expected_gains, front_of, most_gains, volume
from segsearch.search.points import calmed, costs_of, meets_limits, nearest, points_of, reference_of, trained_of
from segsearch.search.surrogate import Unfit, fit, predict
from segsearch.store.rows import TrialRow
from segsearch.study import Study

_MOST_KNOWN = 400  # rows that a surrogate predicts from: those nearest to the front
_MOST_FITTED = 200  # and of these, those that its scales are fitted to; rows of earlier studies leave as these come
_MOST_WEIGHED = 256  # candidates whose expected gain is worked out; no other can have a larger one than its bound


class Waiting(Described, Protocol):
    """A candidate that may be trained: a `TrialRow` is one, and what is only proposed."""

    @property
    def number(self) -> int: ...


W = TypeVar("W", bound=Waiting)


@dataclass(frozen=True)
class Expected(Generic[W]):
    """Candidates that wait, the one to train first, with the hypervolume that each is expected to add.

    `reached` is the hypervolume that there is, the trials under way as they are predicted.
    """

    rows: tuple[W, ...]
    gains: tuple[float, ...]
    reached: float


def known_of(rows: Sequence[TrialRow], study: Study) -> list[TrialRow]:
    """What is trained, and what is under way of which the costs are known."""
    begun = [row for row in rows if row.state == "trained" or (row.state == "running" and row.values)]
    return [row for row in begun if costs_of(row, study) is not None]


def able_of(rows: Sequence[TrialRow], study: Study) -> list[TrialRow]:
    """What waits and meets the limits."""
    screened = [row for row in rows if row.state == "screened"]
    return [row for row in screened if costs_of(row, study) is not None and meets_limits(row, study)]


def expected(able: Sequence[W], known: Sequence[TrialRow], study: Study, *, earlier: Earlier = NOTHING) -> Expected[W]:
    """The candidates by the hypervolume that training each is expected to add. Raises `Unfit` where nobody can say."""
    if DEAR not in study.objectives:
        raise Unfit(f"no objective of the study is {DEAR}, and all others are known without a training")
    trained, pending = trained_of(known, study), [row for row in known if row.state == "running"]
    if not able:
        raise Unfit("nothing that waits meets the limits")
    if not trained:
        raise Unfit("nothing is trained so far")
    trained = [trained[index] for index in nearest(points_of(trained, study), _MOST_KNOWN)]
    looked_at = [row for row in able if isinstance(row, TrialRow)]  # the costs of others are foreseen alone
    before = _before(earlier, [*known, *looked_at], most=_MOST_FITTED - len(trained))
    own = calmed(points_of(trained, study)[:, 0])
    errors = np.concatenate([own, _calmed_errors(before)])
    sources = np.array([0] * len(trained) + [1 + row.source for row in before], dtype=np.int64)
    blocks = features_of([*trained, *before, *pending, *able])
    fitted, beliefs = slice(0, min(len(errors), _MOST_FITTED)), [source.belief for source in earlier.sources]
    scales = fit([block[fitted] for block in blocks], errors[fitted], sources[fitted], beliefs if before else ())
    seen = len(errors) + len(pending)
    awaited, _ = predict([block[:seen] for block in blocks], errors, scales, sources)
    everything = np.concatenate([errors, awaited])
    sources = np.concatenate([sources, np.zeros(len(pending), dtype=np.int64)])
    mean, deviation = predict(blocks, everything, scales, sources)
    costs = np.array([costs_of(row, study) for row in able]).reshape(len(able), -1)
    running = np.array([costs_of(row, study) for row in pending]).reshape(len(pending), costs.shape[1])
    points = [points_of([row for row in trained if meets_limits(row, study)], study)]
    points.append(np.column_stack([awaited, running]))
    front = front_of(np.vstack(points))
    reference = reference_of(study, own, np.vstack([points_of(trained, study)[:, 1:], costs]))
    most = most_gains(costs, mean, deviation, front, reference)
    weighed = np.argsort(-most, kind="stable")[:_MOST_WEIGHED]
    gains = np.full(len(able), -1.0)
    gains[weighed] = expected_gains(costs[weighed], mean[weighed], deviation[weighed], front, reference)
    order = sorted(range(len(able)), key=lambda index: (-gains[index], -most[index], mean[index], able[index].number))
    reached = volume(front[(front < reference).all(axis=1)], reference)
    return Expected(tuple(able[index] for index in order), tuple(float(gains[index]) for index in order), reached)


def _before(earlier: Earlier, here: Sequence[Described], *, most: int) -> list[Known]:
    """Rows of earlier studies with costs as they are here, the first so many of them."""
    return aligned(earlier.rows, earlier.sources, here)[: max(0, most)]


def _calmed_errors(before: Sequence[Known]) -> Array:
    """The errors of these rows, the outliers of each study calmed."""
    errors, sources = np.array([1 - row.values[DEAR] for row in before]), np.array([row.source for row in before])
    for source in set(sources):
        errors[sources == source] = calmed(errors[sources == source])
    return errors
