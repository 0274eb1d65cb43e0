"""The search: asks Optuna, evaluates under a lease, keeps the row, tells Optuna. The only room with Optuna."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from segsearch.candidate import Candidate, Draw
from segsearch.evidence import Evidence
from segsearch.store import Counts, Store, TrialRow
from segsearch.workshop import Workshop

Evaluate = Callable[[int, Candidate, Workshop], Evidence]


@dataclass(frozen=True)
class Event:
    """Something that happened to a trial; `trained` of the `asked` trials are done.

    `started` and `resumed` come before the evaluation (`resumed`: a trial that an earlier worker left),
    `trained`, `rejected`, `failed`, `duplicate` after it, `put_back` where the search was interrupted.
    """

    kind: Literal["started", "resumed", "trained", "rejected", "failed", "duplicate", "put_back"]
    trial: TrialRow
    trained: int
    asked: int


@dataclass(frozen=True)
class Summary:
    """How a search ended: `done` (all asked trials are trained), `minutes` (time is up) or `nothing_to_do`."""

    reason: Literal["done", "minutes", "nothing_to_do"]
    asked: int
    counts: Counts
    seconds: float


def run_search(
    store: Store,
    study: str,
    *,
    draw: Callable[[Draw], Candidate],
    evaluate: Evaluate,
    trials: int | None = None,
    minutes: float | None = None,
    on_event: Callable[[Event], None] = lambda event: None,
) -> Summary:
    """Search until the stored study has as many trained trials as `trials` (else as its settings) ask for.

    Any number of processes may do so at once. `evaluate` may raise `Rejected` (kept, teaches), `TrialFailed` (kept,
    the study goes on), or `UserError` and `KeyboardInterrupt` (the trial is put back, the search ends).
    Raises `StudyError` for `trials` or `minutes` not above 0, and `SearchStuck` after `give_up_after`
    candidates in a row that could not be kept.
    """
    raise NotImplementedError
