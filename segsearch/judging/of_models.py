"""Judgements of what is trained: whether it can be foretold, and whether a teacher helps."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import median

import numpy as np

from segsearch.evidence.objectives import DEAR
from segsearch.judging.judgement import Judgement, dots
from segsearch.search.features import features_of
from segsearch.search.points import calmed, in_order, points_of, trained_of
from segsearch.search.surrogate import Unfit, effect, fit, left_out
from segsearch.settings.search import Scalar
from segsearch.space.candidate import Candidate
from segsearch.store import TrialRow
from segsearch.study import Study

# Trainings that a surrogate is judged by: of more, every second or third.
_FEWEST, _MOST = 20, 120
_CORRELATED = 0.4
_TAUGHT = 8
_HELP = 0.005


def judge_prediction(trials: Sequence[TrialRow], study: Study) -> Judgement | None:
    """An error that is not to be foretold from what is known before a training: each left out, told by the others."""
    rows = _trainings(trials, study)
    if len(rows) < _FEWEST:
        return None
    errors = calmed(points_of(rows, study)[:, 0])
    try:
        blocks = features_of(rows)
        told = left_out(blocks, errors, fit(blocks, errors))
    except (Unfit, np.linalg.LinAlgError):
        return None
    correlation = float(np.corrcoef(told, errors)[0, 1]) if np.ptp(told) > 0 else 0.0
    likely = math.atanh(max(-0.999, min(0.999, correlation))) + 1.96 / math.sqrt(len(rows) - 3)
    picture = dots(
        [(1 - one, 1 - error) for one, error in zip(told.tolist(), errors.tolist(), strict=True)],
        label="mIoU as it was found over mIoU as the other trainings foretell it",
    )
    words = (
        f"of {len(rows)} trainings, each foretold from the others, mIoU correlates by {correlation:.2f} with what came"
    )
    if math.tanh(likely) < _CORRELATED:
        return Judgement(
            "prediction",
            "sick",
            f"what is known before a training hardly foretells its mIoU: {words}",
            "Train longer or validate on more images, so that candidates differ by more than chance; screening "
            "chooses little better than dice.",
            picture,
        )
    return Judgement("prediction", "well", words, "", picture) if correlation >= _CORRELATED else None


def _trainings(trials: Sequence[TrialRow], study: Study) -> list[TrialRow]:
    """Trainings of their own, without siblings, whose errors are theirs."""
    if DEAR not in study.objectives:
        return []
    rows = [row for row in trained_of(in_order(trials), study) if row.origin is None]
    return rows[:: -(-len(rows) // _MOST)] if rows else []


@dataclass(frozen=True)
class _Untaught:
    """A trained candidate as if nobody had taught it, for features that do not know of a teacher."""

    candidate: Candidate
    values: Mapping[str, float]
    params: Mapping[str, Scalar]


def judge_teacher(trials: Sequence[TrialRow], study: Study, teacher_miou: float | None = None) -> Judgement | None:
    """A teacher that does not help: the effect of being taught on models that are alike in all else."""
    rows = _trainings(trials, study)
    taught = np.array([bool(row.candidate.distill and row.candidate.distill.weight > 0) for row in rows], dtype=float)
    alone = [row.values[DEAR] for row, is_taught in zip(rows, taught, strict=True) if not is_taught]
    if study.teacher is None or len(alone) < _TAUGHT or taught.sum() < _TAUGHT:
        return None
    todo = "Leave [teacher] out, or train it for more epochs, under another study name."
    if teacher_miou is not None and teacher_miou < median(alone):
        better = sum(value > teacher_miou for value in alone)
        words = f"the teacher's mIoU is {teacher_miou:.3f}, and {better} of {len(alone)} untaught models have more"
        return Judgement("teacher", "sick", words, todo)
    errors = calmed(points_of(rows, study)[:, 0])
    try:
        blocks = features_of([_Untaught(replace(row.candidate, distill=None), row.values, {}) for row in rows])
        found, error = effect(blocks, errors, fit(blocks, errors), taught)
    except (Unfit, np.linalg.LinAlgError):
        return None
    low, high = -found - 1.96 * error, -found + 1.96 * error
    words = f"being taught is worth {-found:+.3f} mIoU ({low:+.3f} to {high:+.3f}), all else equal"
    if high < _HELP:
        return Judgement("teacher", "sick", f"the teacher does not help: {words}", todo)
    return Judgement("teacher", "well", words) if low > 0 else None
