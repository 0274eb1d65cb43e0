"""When a search cannot keep what it draws: what a trained trial must have, and why the last ones could not be kept."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence

from segsearch.errors import TrialFailed
from segsearch.evidence.objectives import Limit, values_of, with_ends
from segsearch.evidence.types import Evidence
from segsearch.search.memory import Intervals
from segsearch.store import TrialRow
from segsearch.study import Study


def demand_values(study: Study, evidence: Evidence) -> None:
    """Raise `TrialFailed` where a trained candidate's evidence does not hold every objective as a finite number."""
    try:
        values = values_of(evidence)
    except ValueError as error:
        raise TrialFailed("undefined", str(error)) from None
    for name in study.objectives:
        if not math.isfinite(values.get(name, math.nan)):
            raise TrialFailed("undefined", f"{name} must be a finite number, got {values.get(name)}")


def why_stuck(
    limits: Sequence[Limit],
    missed: Sequence[TrialRow],
    rejected: Sequence[TrialRow],
    intervals: Mapping[int, Intervals],
) -> str:
    """Why the last candidates could not be kept, from the commonest cause, and the cure. `intervals` are by trial."""

    def excess(trial: TrialRow, limit: Limit) -> float:
        name = limit.objective
        return limit.sure_excess(trial.values[name], intervals.get(trial.number, {}).get(name))

    count = len(missed)
    commonest = Counter(trial.state for trial in missed).most_common(1)[0][0]
    if commonest == "duplicate":
        return f"Of the last {count} candidates most were tried before: the space may hold hardly a new one."
    if commonest == "failed":
        last = [trial for trial in missed if trial.state == "failed"][-1]
        reason = f"{last.failure.kind}: {last.failure.reason}" if last.failure else ""
        return f"None of the last {count} candidates could be finished; trial {last.number} failed with {reason}."
    broken = Counter(
        limit for trial in missed for limit in limits if limit.objective in trial.values and excess(trial, limit) > 0
    )
    if not broken:
        return f"None of the last {count} candidates passed the gate."
    limit = broken.most_common(1)[0][0]
    best = min((trial for trial in rejected if limit.objective in trial.values), key=lambda one: excess(one, limit))
    reached = with_ends(best.values[limit.objective], intervals.get(best.number, {}).get(limit.objective))
    return (
        f"None of the last {count} candidates met {limit}; the best rejected one reached {reached}. "
        "Loosen the limit or widen the space, under another study name."
    )
