"""A search on a simulated clock: what it did so far, for every rival alike."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from problem import Found, Problem

from segsearch.search import features
from segsearch.space.candidate import Candidate
from segsearch.store.rows import TrialRow

GATE_SECONDS = 3.0
SIBLING_SECONDS = 3.0  # to export, time and score another file of a training, which has no gate


@dataclass
class Run:
    """What a search did so far."""

    problem: Problem
    trainings: int
    seconds: float = 0.0
    gated: int = 0
    trained: int = 0
    learnt: set[str] = field(default_factory=set)
    curve: list[tuple[float, float, float, int]] = field(default_factory=list)  # seconds, true mIoU, cost, trainings

    def gate(self, candidate: Candidate, params: Mapping[str, Any]) -> Found:
        self.seconds += GATE_SECONDS
        self.gated += 1
        return self.problem.found(candidate, params)

    def train(self, found: Found, *, learnt: str | None = None) -> None:
        """Train a candidate, or only make another file of a training that is done: `learnt` names what is learnt."""
        again = learnt is not None and learnt in self.learnt
        self.trained += not again
        self.seconds += SIBLING_SECONDS if again else found.train_seconds
        if learnt is not None:
            self.learnt.add(learnt)
        self.curve.append((self.seconds, found.miou, found.values[self.problem.cost], self.trained))

    @property
    def done(self) -> bool:
        return self.trained >= self.trainings or self.gated > 60 * self.trainings


@contextmanager
def leaving_out(names: Sequence[str]) -> Iterator[None]:
    """Blocks of features left out."""
    kept = {name: getattr(features, name) for name in names}
    try:
        for name in names:
            setattr(features, name, lambda rows: np.empty((len(rows), 0)))
        yield
    finally:
        for name, function in kept.items():
            setattr(features, name, function)


def row_of(number: int, state: Any, candidate: Candidate, params: Mapping[str, Any], values: Any) -> TrialRow:
    return TrialRow(
        number, state, candidate, candidate.key, params, values, None, "m", None, None, 0, 1, None, 0.0, None
    )
