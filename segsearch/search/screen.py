"""Screen many, train one: what to gate next, and which of those that passed the gate to train."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from segsearch.search.features import Array, features_of
from segsearch.search.gain import behind, expected_gains, front_of, most_gains
from segsearch.search.memory import guessed, trial_seed
from segsearch.search.surrogate import Unfit, fit, predict
from segsearch.space.candidate import Candidate, Named
from segsearch.space.draws import Dice, DrawCandidate, Noting
from segsearch.space.keys import as_stored
from segsearch.space.mutate import Mutation, Params
from segsearch.store.rows import TrialRow
from segsearch.study import Study

# What only a training tells. Every other objective is known once a candidate has passed the gate.
DEAR = "miou"
# Turns of each kind of proposal. TPE's guesses have none: they showed no share of their own (`benchmarks/search.py`).
MIX: Mapping[str, int] = {"mutate": 5, "dice": 1}
_TRIES = 60
_MOST_KNOWN = 400  # rows that a surrogate predicts from: those nearest to the front
_MOST_FITTED = 200  # and of these, those that its scales are fitted to
_MOST_TAUGHT = 60  # trained rows, and as many others: Optuna takes a millisecond for each
_MOST_WEIGHED = 256  # candidates whose expected gain is worked out; no other can have a larger one than its bound


@dataclass(frozen=True)
class Ranking:
    """Screened trials by their numbers, the one to train first; `fell_back` says why no surrogate ranked them."""

    numbers: tuple[int, ...]
    fell_back: str | None = None


# ---- what to gate next


def propose(
    draw: DrawCandidate, rows: Sequence[TrialRow], study: Study, *, seed: int, mix: Mapping[str, int] = MIX
) -> tuple[dict[str, Any], Candidate] | None:
    """A candidate that none of these rows is: a neighbour of the front, or thrown by dice, or (`guess`) TPE's.

    The seed settles whose turn it is. None where all tries were known already. What `draw` raises passes through.
    """
    rows, known = _in_order(rows), {row.key for row in rows}
    source = random.Random(seed)
    for attempt in range(_TRIES):
        turn = source.choices(list(mix), list(mix.values()))[0] if attempt < _TRIES // 2 else "dice"
        noted = Noting(Dice(random.Random(trial_seed(seed, attempt))))
        if turn == "guess" and attempt < 5:
            noted = Noting(Named(guessed(draw, _teachers(rows, study), study, seed=trial_seed(seed, attempt))))
        elif turn == "mutate" and (parents := _front_rows(rows, study)):
            noted = Noting(_mutation(draw, source.choice(parents).params, source))
        candidate = as_stored(draw(noted))
        if candidate.key not in known:
            return noted.noted, candidate
    return None


def _mutation(draw: DrawCandidate, params: Params, source: random.Random) -> Mutation:
    """One or two parameters of a stored candidate changed."""
    changed = source.sample(sorted(params), min(len(params), source.choice((1, 1, 2))))
    return Mutation(params, frozenset(changed), Dice(source))


def _teachers(rows: Sequence[TrialRow], study: Study) -> list[TrialRow]:
    """What TPE is told of: the trained ones nearest to the front, and the newest of the others, in their order."""
    trained = [row for row in rows if row.state == "trained" and _costs(row, study) is not None and DEAR in row.values]
    others = [row for row in rows if row.state in ("rejected", "failed")]
    if len(trained) > _MOST_TAUGHT:
        trained = [trained[index] for index in _nearest(_points(trained, study), _MOST_TAUGHT)]
    return _in_order([*trained, *others[-_MOST_TAUGHT:]])


# ---- what to train next


def choose(rows: Sequence[TrialRow], study: Study, *, seed: int) -> Ranking:
    """Rank the rows that wait as `screened` by the hypervolume that training each is expected to add.

    Trials that are running count as what is predicted of them. Those that break a limit, or lack an objective, come
    last. Where no surrogate can be fitted, what costs least like anything trained comes first; the seed settles ties.
    """
    rows = _in_order(rows)
    screened = [row for row in rows if row.state == "screened"]
    able = [row for row in screened if _costs(row, study) is not None and _meets_limits(row, study)]
    unable = sorted({row.number for row in screened} - {row.number for row in able})
    begun = [row for row in rows if row.state == "trained" or (row.state == "running" and row.values)]
    known = [row for row in begun if _costs(row, study) is not None]
    try:
        ranked, why = _by_gain(able, known, study), None
    except (Unfit, np.linalg.LinAlgError) as error:
        ranked, why = _by_distance(able, known, seed), str(error)
    return Ranking((*(row.number for row in ranked), *unable), why)


def _by_gain(able: Sequence[TrialRow], known: Sequence[TrialRow], study: Study) -> list[TrialRow]:
    if DEAR not in study.objectives:
        raise Unfit(f"no objective of the study is {DEAR}, and all others are known without a training")
    trained = [row for row in known if row.state == "trained" and math.isfinite(row.values.get(DEAR, math.nan))]
    pending = [row for row in known if row.state == "running"]
    if not able:
        raise Unfit("nothing that waits meets the limits")
    if not trained:
        raise Unfit("nothing is trained so far")
    trained = [trained[index] for index in _nearest(_points(trained, study), _MOST_KNOWN)]
    blocks = features_of([*trained, *pending, *able])
    errors = _calmed(_points(trained, study)[:, 0])
    fitted = slice(0, min(len(trained), _MOST_FITTED))
    scales = fit([block[fitted] for block in blocks], errors[fitted])
    expected, _ = predict([block[: len(trained) + len(pending)] for block in blocks], errors, scales)
    mean, deviation = predict(blocks, np.concatenate([errors, expected]), scales)
    costs = np.array([_costs(row, study) for row in able]).reshape(len(able), -1)
    awaited = np.array([_costs(row, study) for row in pending]).reshape(len(pending), costs.shape[1])
    points = [_points([row for row in trained if _meets_limits(row, study)], study)]
    points.append(np.column_stack([expected, awaited]))
    front = front_of(np.vstack(points))
    reference = _reference(study, errors, np.vstack([_points(trained, study)[:, 1:], costs]))
    most = most_gains(costs, mean, deviation, front, reference)
    weighed = np.argsort(-most, kind="stable")[:_MOST_WEIGHED]
    gains = np.full(len(able), -1.0)
    gains[weighed] = expected_gains(costs[weighed], mean[weighed], deviation[weighed], front, reference)
    order = sorted(range(len(able)), key=lambda index: (-gains[index], -most[index], mean[index], able[index].number))
    return [able[index] for index in order]


def _by_distance(able: Sequence[TrialRow], known: Sequence[TrialRow], seed: int) -> list[TrialRow]:
    """Those first that are farthest from all that is trained or running; without any, as the seed throws them."""
    thrown = random.Random(seed).sample(able, len(able))
    blocks = features_of([*known, *thrown])[:1]
    if not known or not blocks:
        return thrown
    near, far = blocks[0][: len(known)], blocks[0][len(known) :]
    distance = np.min([((far - one) ** 2).sum(axis=1) for one in near], axis=0)
    return [thrown[index] for index in np.argsort(-distance, kind="stable")]


def _calmed(errors: Array) -> Array:
    """Without the outliers that a diverged training leaves: nothing is farther above the median than three spreads."""
    middle, low = float(np.median(errors)), float(errors.min())
    return np.minimum(errors, middle + 3 * max(middle - low, 1e-3))


def _reference(study: Study, errors: Array, costs: Array) -> Array:
    """Beyond which nothing counts: limits, else the worst that was trained; of costs that have none, the largest."""
    bounds = {limit.objective: limit.bound for limit in study.bounds if limit.operator == "<=" and limit.bound > 0}
    demanded = [1 - limit.bound for limit in study.bounds if (limit.objective, limit.operator) == (DEAR, ">=")]
    names = [name for name in study.objectives if name != DEAR]
    largest = [
        math.log(bounds[name]) if name in bounds else float(column.max()) + 0.1 * float(np.ptp(column))
        for name, column in zip(names, costs.T, strict=True)
    ]
    return np.array([min([float(errors.max()), *demanded]), *largest])


# ---- rows as numbers


def _in_order(rows: Sequence[TrialRow]) -> list[TrialRow]:
    return sorted(rows, key=lambda row: row.number)


def _costs(row: TrialRow, study: Study) -> list[float] | None:
    """The logarithms of all objectives but the dear one; None where one is not known, or not above 0."""
    found = [row.values.get(name, math.nan) for name in study.objectives if name != DEAR]
    return [math.log(value) for value in found] if all(0 < value < math.inf for value in found) else None


def _points(rows: Sequence[TrialRow], study: Study) -> Array:
    """(rows, 1 + costs): the error, and the logarithms of the costs."""
    found = [[1 - row.values[DEAR], *(_costs(row, study) or [])] for row in rows]
    return np.array(found, dtype=float).reshape(len(rows), 1 + len(set(study.objectives) - {DEAR}))


def _meets_limits(row: TrialRow, study: Study) -> bool:
    known = [limit for limit in study.bounds if limit.objective in row.values]
    return all(limit.excess(row.values[limit.objective]) <= 0 for limit in known)


def _nearest(points: Array, most: int) -> list[int]:
    """The indices of the points nearest to their front: by how much larger their error is."""
    return [int(index) for index in np.argsort(behind(points, front_of(points)), kind="stable")[:most]]


def _front_rows(rows: Sequence[TrialRow], study: Study) -> list[TrialRow]:
    """The trained rows on the front, within the limits."""
    if DEAR not in study.objectives:
        return []
    trained = [row for row in rows if row.state == "trained" and DEAR in row.values and _costs(row, study) is not None]
    legal = [row for row in trained if _meets_limits(row, study)]
    points = _points(legal, study)
    front = {tuple(member) for member in front_of(points)}
    return [row for row, point in zip(legal, points, strict=True) if tuple(point) in front]
