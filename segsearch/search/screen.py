"""A stand-in: random proposals, and the fastest first."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from segsearch.space.candidate import Candidate
from segsearch.space.draws import Dice, DrawCandidate, Noting
from segsearch.space.keys import from_json, to_json
from segsearch.space.mutate import Params
from segsearch.store import TrialRow
from segsearch.study import Study

# So many draws that are all known end the search for a new one.
DRAWS = 200


@dataclass(frozen=True)
class Ranking:
    """Trials of the pool by number, the best first, and why no surrogate ranked them, where none did."""

    numbers: tuple[int, ...]
    fell_back: str | None = None


def propose(
    draw: DrawCandidate, rows: Sequence[TrialRow], study: Study, *, seed: int
) -> tuple[Params, Candidate] | None:
    """A candidate that no trial has, with its parameters; None where none was found."""
    known, dice = {row.key for row in rows}, Dice(random.Random(seed))
    for _ in range(DRAWS):
        noted = Noting(dice)
        candidate = draw(noted)
        if from_json(Candidate, to_json(candidate)).key not in known:
            return noted.noted, candidate
    return None


def choose(rows: Sequence[TrialRow], study: Study, *, seed: int) -> Ranking:
    """The pool by latency."""
    pool = [row for row in rows if row.state == "screened"]
    ranked = sorted(pool, key=lambda row: (row.values["latency_ms"], row.number))
    return Ranking(tuple(row.number for row in ranked), "a stand-in ranks by latency alone")
