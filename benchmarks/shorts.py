"""Short trainings before whole ones, on a simulated clock."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace

import numpy as np
from clock import Run, leaving_out, row_of
from problem import chance

from segsearch.search import screen
from segsearch.search.earlier import Earlier, Known, Source
from segsearch.search.memory import trial_seed
from segsearch.search.points import nearest
from segsearch.store.rows import TrialRow


class NothingNew(Exception):
    """Every candidate was looked at."""


@dataclass(frozen=True)
class Short:
    """Short trainings before whole ones: so many for each, each for a share of a whole one's time.

    With `epochs` they are those of the problem's table, and the whole training begins anew. Without, what one finds is
    0.85 of what the model is worth and noise of that deviation. It is a source of its own to the surrogate. `warm`: the
    whole training goes on from the short one, and costs what is left.
    """

    each: int = 3
    share: float = 1 / 3
    noise: float = 0.02
    warm: bool = True
    epochs: int | None = None


def by_short(short: Short, looked: int = 16, *, startup: int = 4) -> Callable[[Run, int], None]:
    """As `by_screening`, but the best of what is looked at is trained shortly first, and the best of these in full.

    It begins with `startup` trainings of the best of as many times `each` short ones at random.
    """

    def search(run: Run, seed: int) -> None:
        with leaving_out(run.problem.blind):
            _Shortly(run, seed, short).search(looked, startup)

    return search


@dataclass
class _Shortly:
    """A search with short trainings under way: what was looked at, and what was trained shortly."""

    run: Run
    seed: int
    short: Short
    rows: dict[int, TrialRow] = field(default_factory=dict)
    tried: dict[int, Known] = field(default_factory=dict)

    def search(self, looked: int, startup: int) -> None:
        with suppress(NothingNew):
            while len(self.tried) < self.short.each * startup:
                number = self.look({"dice": 1})
                if number is not None:
                    self.begin(number)
        firsts, cost = list(self.tried), self.run.problem.cost
        points = [[1 - one.values["miou"], math.log(one.values[cost])] for one in self.tried.values()]
        for place in nearest(np.array(points), startup):
            self.finish(firsts[place])
        while not self.run.done:
            for _ in range(self.short.each):
                self.look_at(-(-looked // self.short.each))
                if (chosen := self.best(known=False)) is not None:
                    self.begin(chosen)
            if (chosen := self.best(known=True)) is None:
                break
            self.finish(chosen)

    def look_at(self, count: int) -> None:
        """Look until so many passed the gate, or nothing is new."""
        passed = 0
        with suppress(NothingNew):
            while passed < count:
                passed += self.look(screen.MIX) is not None

    def look(self, mix: Mapping[str, int]) -> int | None:
        """What passed the gate, by its number; None where it did not. Raises `NothingNew`."""
        problem, number = self.run.problem, len(self.rows)
        at, known = trial_seed(self.seed, number), list(self.rows.values())
        proposed = screen.propose(problem.draw, known, problem.study(), seed=at, mix=mix)
        if proposed is None:
            raise NothingNew
        params, candidate = proposed
        found = self.run.gate(candidate, params)
        over = found.values[problem.cost] > problem.limit
        self.rows[number] = row_of(number, "rejected" if over else "screened", candidate, params, found.values)
        return None if over else number

    def begin(self, number: int) -> None:
        """Train it shortly."""
        row, problem, short = self.rows[number], self.run.problem, self.short
        if short.epochs is not None:
            assert problem.short is not None, "no short trainings are known here"
            seen, spent = problem.short(row.params, short.epochs)
        else:
            found = problem.found(row.candidate, row.params)
            seen = 0.85 * (found.miou + short.noise * chance(self.seed, "short", row.candidate.key))
            spent = short.share * found.train_seconds
        self.run.seconds += spent
        values = {**row.values, "miou": max(0.02, seen)}
        self.tried[number] = Known(0, row.candidate, row.candidate.key, row.params, values)

    def finish(self, number: int) -> None:
        """Train it in full."""
        row, short = self.rows[number], self.short
        found = self.run.problem.found(row.candidate, row.params)
        saved = short.share if short.warm and short.epochs is None else 0.0
        self.run.train(replace(found, train_seconds=(1 - saved) * found.train_seconds))
        values = {**found.values, "miou": found.seen}
        self.rows[number] = replace(row, state="trained", values=values, finished=self.run.seconds)

    def best(self, *, known: bool) -> int | None:
        """The best of those that wait and were trained shortly, or were not."""
        earlier = Earlier((Source("short", 0, 0, data=True),), (), tuple(self.tried.values()))
        at, rows = trial_seed(self.seed, len(self.rows)), list(self.rows.values())
        ranking = screen.choose(rows, self.run.problem.study(), seed=at, earlier=earlier)
        return next((one for one in ranking.numbers if (one in self.tried) == known), None)
