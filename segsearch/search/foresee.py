"""Which of many proposals to look at: what each costs is foreseen from what was looked at, and nothing is exported."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from segsearch.evidence.objectives import DEAR
from segsearch.search.earlier import NOTHING, Earlier
from segsearch.search.expect import expected, known_of
from segsearch.search.features import features_of
from segsearch.search.points import costs_of, in_order, meets_limits
from segsearch.search.surrogate import Unfit, fit, predict
from segsearch.space.candidate import Candidate
from segsearch.store.rows import TrialRow
from segsearch.study import Study

_MOST_KNOWN = 200  # rows that costs are foreseen from: the newest, which are the likest to what is proposed

Proposal = tuple[dict[str, Any], Candidate]


@dataclass(frozen=True)
class Foreseen:
    """A proposal with what it is thought to cost."""

    number: int
    candidate: Candidate
    params: Mapping[str, Any]
    values: Mapping[str, float]


def most_promising(
    proposals: Sequence[Proposal], rows: Sequence[TrialRow], study: Study, *, earlier: Earlier = NOTHING
) -> Proposal:
    """The proposal whose training is expected to add most by costs that are foreseen; the first where nobody can say.

    A pure function of what it is given. Where all are thought to break a limit it is the first, too.
    """
    if len(proposals) < 2 or DEAR not in study.objectives:
        return proposals[0]
    try:
        found = foreseen(proposals, rows, study)
        able = [one for one in found if meets_limits(one, study)]
        return proposals[expected(able, known_of(in_order(rows), study), study, earlier=earlier).rows[0].number]
    except (Unfit, np.linalg.LinAlgError):
        return proposals[0]


def foreseen(proposals: Sequence[Proposal], rows: Sequence[TrialRow], study: Study) -> list[Foreseen]:
    """What each proposal costs, of the objectives and limits that are known before a training. Raises `Unfit`.

    By the design's own numbers and the space's parameters, from rows that were looked at or trained. A limit on what
    not all of these know is left to the gate.
    """
    known = [row for row in in_order(rows) if costs_of(row, study) is not None][-_MOST_KNOWN:]
    limited = {limit.objective for limit in study.bounds if all(_knows(row, limit.objective) for row in known)}
    wanted = sorted({*study.objectives, *limited} - {DEAR})
    bare = [Foreseen(-1, row.candidate, row.params, {}) for row in known]
    new = [Foreseen(number, candidate, params, {}) for number, (params, candidate) in enumerate(proposals)]
    blocks = features_of([*bare, *new])
    costs: dict[str, list[float]] = {}
    for name in wanted:
        logs = np.array([math.log(row.values[name]) for row in known])
        if len(logs) and np.ptp(logs) < 1e-9:  # the same for all, as the parameters of a network that is only rounded
            costs[name] = [known[0].values[name]] * len(new)
            continue
        mean, _ = predict(blocks, logs, fit([block[: len(known)] for block in blocks], logs))
        costs[name] = np.exp(np.clip(mean, -60, 60)).tolist()
        if not np.isfinite(costs[name]).all():
            raise Unfit("a cost cannot be foreseen")
    return [
        Foreseen(one.number, one.candidate, one.params, {name: costs[name][one.number] for name in wanted})
        for one in new
    ]


def _knows(row: TrialRow, name: str) -> bool:
    return 0 < row.values.get(name, 0) < math.inf
