"""Which parameters decide an objective, as data: the share of its ranks that each one tells apart by itself."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from segsearch.judging.fronts import Report
from segsearch.settings.search import Scalar
from segsearch.store import TrialRow

# Numbers of more values than this are cut into so many groups of about equal size.
GROUPS = 5
# Fewer trials than this beyond the groups tell nothing.
SPARE = 5
# Of more trials than this a fair draw says the same, in a fraction of the time.
ENOUGH = 2000


@dataclass(frozen=True)
class Importance:
    """One parameter: the share of the objective's ranks that it tells apart among the `trials` that have it.

    `clear` says that chance alone gives as much in fewer than 1 of 20 searches.
    """

    parameter: str
    share: float
    trials: int
    groups: int
    clear: bool


def importances(trials: Sequence[TrialRow], objective: str, *, machine: str | None = None) -> tuple[Importance, ...]:
    """The parameters by their importance for an objective, the greatest first.

    For each parameter the trials that have it (a parameter of one branch of the space is judged within that branch)
    and a value of the objective (rejected ones have their latency) are put into one group for each value; numbers of
    more than five values into five groups. The share is Kruskal and Wallis' epsilon squared: the variance of the
    objective's ranks between the groups over all of it, less what groups of that number show by chance. 1: the
    parameter alone decides the order; 0: its groups do not differ.

    What it is not: it knows nothing of parameters that matter only together, and it looks at the trials that were
    drawn. A sampler that has settled on one value leaves too few others to see that the value matters.
    """
    known = [trial for trial in trials if objective in trial.values and machine in (None, trial.machine)]
    if len(known) > ENOUGH:
        known = random.Random(0).sample(known, ENOUGH)
    names = dict.fromkeys(name for trial in known for name in trial.params)
    found = []
    for name in names:
        having = [trial for trial in known if name in trial.params]
        values = np.array([trial.values[objective] for trial in having])
        one = _importance(name, [trial.params[name] for trial in having], values)
        if one is not None:
            found.append(one)
    return tuple(sorted(found, key=lambda one: (-one.share, one.parameter)))


def on_machine(report: Report, trials: Sequence[TrialRow]) -> list[TrialRow]:
    """The trials with what they have on the report's machine; without those that have nothing there."""
    values = {row.trial: row.values for row in report.rows}
    found = []
    for trial in trials:
        if trial.machine == report.machine:
            found.append(trial)
        elif trial.number in values:
            found.append(replace(trial, values=values[trial.number], machine=report.machine))
    return found


def _importance(name: str, choices: Sequence[Scalar], values: NDArray[np.float64]) -> Importance | None:
    """None where there are too few trials, or only one value."""
    groups = _grouped(choices)
    count, kinds = len(values), int(groups.max(initial=-1)) + 1
    if kinds < 2 or count - kinds < SPARE:
        return None
    ranks = _ranks(values)
    total = float(((ranks - ranks.mean()) ** 2).sum())
    if total == 0:
        return Importance(name, 0.0, count, kinds, False)
    sizes = np.bincount(groups, minlength=kinds)
    means = np.bincount(groups, weights=ranks, minlength=kinds) / sizes
    between = float((sizes * (means - ranks.mean()) ** 2).sum()) / total
    share = max(0.0, 1 - (1 - between) * (count - 1) / (count - kinds))
    return Importance(name, share, count, kinds, between * (count - 1) > _chance(kinds - 1))


def _grouped(choices: Sequence[Scalar]) -> NDArray[np.int64]:
    """The number of each choice's group."""
    distinct = sorted(set(choices), key=lambda choice: (isinstance(choice, str), choice))
    places = {choice: place for place, choice in enumerate(distinct)}
    codes = np.array([places[choice] for choice in choices], dtype=np.int64)
    if len(distinct) <= GROUPS or any(isinstance(choice, str) for choice in distinct):
        return codes
    # Equal values stay together: groups are cut where the count of smaller ones passes another fifth.
    sizes = np.bincount(codes)
    middle = np.cumsum(sizes) - sizes / 2
    fifths = np.minimum((middle * GROUPS / len(codes)).astype(np.int64), GROUPS - 1)
    return np.unique(fifths, return_inverse=True)[1][codes].astype(np.int64)


def _ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Ranks from 0; equal values share the mean of theirs."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    means: NDArray[np.float64] = (ends - counts + ends - 1) / 2
    return means[inverse]


def _chance(freedom: int) -> float:
    """What a chi-squared variable of that freedom exceeds once in 20 (Wilson and Hilferty's approximation)."""
    part = 2 / (9 * freedom)
    return float(freedom * (1 - part + 1.6449 * part**0.5) ** 3)
