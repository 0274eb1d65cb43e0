"""Screen many, train one: what to gate next, and which of those that passed the gate to train."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from segsearch.evidence.objectives import DEAR
from segsearch.search.earlier import NOTHING, Earlier
from segsearch.search.expect import able_of, expected, known_of
from segsearch.search.features import features_of
from segsearch.search.memory import guessed, trial_seed
from segsearch.search.points import costs_of, front_rows, in_order, nearest, points_of
from segsearch.search.surrogate import Unfit
from segsearch.space.candidate import Candidate, Named
from segsearch.space.draws import Dice, DrawCandidate, Noting
from segsearch.space.keys import as_stored
from segsearch.space.mutate import Mutation, Params
from segsearch.store.rows import TrialRow
from segsearch.study import Study

# Turns of each kind of proposal. TPE's guesses have none: they showed no share of their own (`benchmarks/search.py`).
MIX: Mapping[str, int] = {"mutate": 5, "dice": 1}
_TRIES = 60
_MOST_TAUGHT = 60  # trained rows, and as many others: Optuna takes a millisecond for each


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

    Nor is it one whose steps are known to take nothing. The seed settles whose turn it is. None where all tries were
    known already. What `draw` raises passes through.
    """
    return next(proposals(draw, rows, study, seed=seed, mix=mix), None)


def proposals(
    draw: DrawCandidate, rows: Sequence[TrialRow], study: Study, *, seed: int, mix: Mapping[str, int] = MIX
) -> Iterator[tuple[dict[str, Any], Candidate]]:
    """`propose` again and again: candidates that differ, until so many tries of one brought nothing new."""
    rows, known = in_order(rows), {row.key for row in rows}
    idle = {row.candidate.shape for row in rows if row.took_nothing}
    source = random.Random(seed)
    attempt = tries = 0
    while tries < _TRIES:
        turn = source.choices(list(mix), list(mix.values()))[0] if tries < _TRIES // 2 else "dice"
        noted = Noting(Dice(random.Random(trial_seed(seed, attempt))))
        if turn == "guess" and tries < 5:
            noted = Noting(Named(guessed(draw, _teachers(rows, study), study, seed=trial_seed(seed, attempt))))
        elif turn == "mutate" and (parents := front_rows(rows, study)):
            noted = Noting(_mutation(draw, source.choice(parents).params, source))
        candidate = as_stored(draw(noted))
        attempt, tries = attempt + 1, tries + 1
        if candidate.key not in known and candidate.shape not in idle:
            tries = 0
            known.add(candidate.key)
            yield noted.noted, candidate


def _mutation(draw: DrawCandidate, params: Params, source: random.Random) -> Mutation:
    """One or two parameters of a stored candidate changed."""
    changed = source.sample(sorted(params), min(len(params), source.choice((1, 1, 2))))
    return Mutation(params, frozenset(changed), Dice(source))


def _teachers(rows: Sequence[TrialRow], study: Study) -> list[TrialRow]:
    """What TPE is told of: the trained ones nearest to the front, and the newest of the others, in their order."""
    trained = [
        row for row in rows if row.state == "trained" and costs_of(row, study) is not None and DEAR in row.values
    ]
    others = [row for row in rows if row.state in ("rejected", "failed")]
    if len(trained) > _MOST_TAUGHT:
        trained = [trained[index] for index in nearest(points_of(trained, study), _MOST_TAUGHT)]
    return in_order([*trained, *others[-_MOST_TAUGHT:]])


# ---- what to train next


def choose(rows: Sequence[TrialRow], study: Study, *, seed: int, earlier: Earlier = NOTHING) -> Ranking:
    """Rank the rows that wait as `screened` by the hypervolume that training each is expected to add.

    Trials that are running count as what is predicted of them, those of earlier studies as far as they go along. Those
    that break a limit, or lack an objective, come last. Where no surrogate can be fitted, what costs least like
    anything trained comes first; the seed settles ties.
    """
    rows = in_order(rows)
    able, known = able_of(rows, study), known_of(rows, study)
    unable = sorted({row.number for row in rows if row.state == "screened"} - {row.number for row in able})
    try:
        ranked, why = list(expected(able, known, study, earlier=earlier).rows), None
    except (Unfit, np.linalg.LinAlgError) as error:
        ranked, why = _by_distance(able, known, seed), str(error)
    return Ranking((*(row.number for row in ranked), *unable), why)


def _by_distance(able: Sequence[TrialRow], known: Sequence[TrialRow], seed: int) -> list[TrialRow]:
    """Those first that are farthest from all that is trained or running; without any, as the seed throws them."""
    thrown = random.Random(seed).sample(able, len(able))
    blocks = features_of([*known, *thrown])[:1]
    if not known or not blocks:
        return thrown
    near, far = blocks[0][: len(known)], blocks[0][len(known) :]
    distance = np.min([((far - one) ** 2).sum(axis=1) for one in near], axis=0)
    return [thrown[index] for index in np.argsort(-distance, kind="stable")]
