"""One training, many files: what the trainings of a study can leave yet, and which of it costs no training."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from segsearch.search.earlier import Earlier
from segsearch.search.expect import expected, known_of
from segsearch.search.foresee import Proposal, foreseen
from segsearch.search.points import meets_limits
from segsearch.search.surrogate import Unfit
from segsearch.search.taught import Draws
from segsearch.space.keys import as_stored
from segsearch.space.mutate import Params, siblings
from segsearch.store import TrialRow
from segsearch.store.looking import Looking
from segsearch.store.worker import Worker
from segsearch.study import Study


@dataclass(frozen=True)
class Sibling:
    """A file that the training of `origin` can leave, too, by all of the space's parameters."""

    origin: TrialRow
    params: Params


@dataclass(frozen=True)
class Family:
    """One worker's memory of which siblings the trainings of a study have."""

    study: Study
    worker: Worker
    looking: Looking
    draws: Draws
    earlier: Earlier
    complete: set[int] = field(default_factory=set)  # trials all of whose siblings are known
    found: dict[tuple[int, int], list[Proposal]] = field(default_factory=dict)

    def next(self, trained: int, read: Callable[[], list[TrialRow]]) -> Sibling | None:
        """What one of so many trainings that came to their end can leave yet: a file that no trial has.

        None where that is all. `read` gives all trials, with what they cost on this machine. Several workers may look
        at once: the one that enters a candidate later has a duplicate.
        """
        wanted = self.study.search
        if not (wanted.siblings or wanted.tails) or trained == len(self.complete):
            return None
        rows = read()
        for origin in rows:
            if not origin.is_training or origin.number in self.complete:
                continue
            by_then = _as_it_was(rows, origin) if wanted.sibling_gain else rows
            idle = {row.candidate.shape for row in by_then if row.took_nothing}
            mark = origin.number, len(idle)
            if mark not in self.found:
                found = siblings(
                    self.draws.of(origin),
                    origin.params,
                    most=wanted.siblings,
                    tails=wanted.tails,
                    pruned=self.study.train.fine_tune_on_top,
                    idle=idle,
                )
                self.found[mark] = [(dict(params), as_stored(one)) for params, one in found]
            if wanted.sibling_gain and any(row.origin == origin.number and row.state == "running" for row in rows):
                continue  # what is worth making next hangs on it
            left = self.found[mark]
            if wanted.sibling_gain:
                then = {row.key for row in by_then if row.state != "screened"}
                left = self._worth_making([one for one in left if one[1].key not in then], by_then)
            known = self.worker.keys()  # also what was drawn by itself since
            left = [one for one in left if one[1].key not in known]
            if left:
                return Sibling(origin, left[0][0])
            self.complete.add(origin.number)
            del self.found[mark]
        return None

    def awaits(self) -> bool:
        """Whether another worker makes a sibling on which it hangs what else is worth making."""
        if not self.study.search.sibling_gain:
            return False
        return any(row.origin is not None and row.state == "running" for row in self.looking.trials())

    def _worth_making(self, left: Sequence[Proposal], by_then: Sequence[TrialRow]) -> list[Proposal]:
        """The sibling that is expected to add most to the front, if that is enough; all where nobody can say."""
        rows = [row for row in by_then if row.state in ("trained", "rejected")]
        if not left:
            return []
        try:
            able = [one for one in foreseen(left, rows, self.study) if meets_limits(one, self.study)]
            if not able:
                return []
            found = expected(able, known_of(rows, self.study), self.study, earlier=self.earlier)
        except (Unfit, np.linalg.LinAlgError):
            return list(left)
        enough = found.gains[0] >= self.study.search.sibling_gain * found.reached
        return [left[found.rows[0].number]] if enough else []

    def is_trained(self, trial: TrialRow) -> bool:
        """Whether all that a sibling learns is learnt: by the training of its origin, or by a sibling before it."""
        if trial.origin is None or trial.candidate.tail:
            return False
        rows = {row.number: row for row in self.looking.trials()}
        others = [row for row in rows.values() if row.origin == trial.origin and row.state == "trained"]
        origin = rows[trial.origin].candidate
        return trial.candidate.learnt in {origin.learnt, origin.parent, *(row.candidate.learnt for row in others)}


def _as_it_was(rows: Sequence[TrialRow], origin: TrialRow) -> list[TrialRow]:
    """What had ended when the training of `origin` did, and its siblings since.

    By this it is settled what of it is worth making: whoever carries on, however much later, makes the same files.
    """
    return [row for row in rows if row.origin == origin.number or _ended(row) <= _ended(origin)]


def _ended(row: TrialRow) -> float:
    return math.inf if row.finished is None else row.finished
