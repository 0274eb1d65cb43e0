"""Many are looked at, one is trained: what passes the gate waits in a pool, and the best of it is promoted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice

from segsearch.search.earlier import Earlier
from segsearch.search.foresee import most_promising
from segsearch.search.memory import Memory, trial_seed
from segsearch.search.screen import choose, proposals
from segsearch.space.draws import DrawCandidate
from segsearch.store import TrialRow
from segsearch.store.worker import Worker
from segsearch.study import Study


class UsedUp(Exception):
    """Nothing waits, and nothing was found that was not tried."""


@dataclass(frozen=True)
class Promoted:
    """A trial that is trained now: the best of so many that waited, and why no surrogate said so, where none did."""

    trial: TrialRow
    best_of: int
    fell_back: str | None


@dataclass(frozen=True)
class Screening:
    """One worker's way to the next trial of a study that screens.

    All that it goes by are the rows: whoever carries on looks at the same candidates, and promotes the same ones. Where
    nobody is `taught` any more, those that would be wait until no other does.
    """

    rows: Callable[[], list[TrialRow]]
    study: Study
    worker: Worker
    memory: Memory
    draw: DrawCandidate
    earlier: Earlier
    taught: bool = True

    def next(self) -> TrialRow | Promoted | None:
        """A new trial to look at, or the best of those that were. None where another worker was first with it.

        Raises `UsedUp` where there is neither.
        """
        looks = self.study.search.screen
        rows = self.rows()
        waiting = [row for row in rows if row.state == "screened"]
        alone = waiting if self.taught else [row for row in waiting if row.candidate.distill is None]
        pool = [row.number for row in alone or waiting]
        if not pool or self.worker.looks() < looks:
            trial = self._look(rows)
            if trial is not None:
                return trial
            if not pool:
                raise UsedUp
            looks = 0  # nothing is left to look at
        return self._promote(rows, pool, looks)

    def _look(self, rows: Sequence[TrialRow]) -> TrialRow | None:
        seed = self._seed(rows)
        several = list(islice(proposals(self.draw, rows, self.study, seed=seed), self.study.search.proposals))
        if not several:
            return None
        params, candidate = most_promising(several, rows, self.study, earlier=self.earlier)
        number = self.memory.begin(self.draw, params)
        return self.worker.enter(number, candidate, params=params, seed=seed, gate_only=True)

    def _promote(self, rows: Sequence[TrialRow], pool: Sequence[int], looks: int) -> Promoted | None:
        ranking = choose(rows, self.study, seed=self._seed(rows), earlier=self.earlier)
        ranked = [number for number in ranking.numbers if number in pool]
        for number in dict.fromkeys((*ranked, *pool)):
            trial = self.worker.promote(number, looks=looks)
            if trial is not None:
                return Promoted(trial, len(pool), ranking.fell_back)
            if self.worker.looks() < looks:
                break  # another worker promoted the best of these: the next one is ranked by what is looked at since
        return None

    def _seed(self, rows: Sequence[TrialRow]) -> int:
        """By how many trials there are: a number that nobody entered, because its worker died, changes nothing."""
        return trial_seed(self.study.seed, len(rows))
