"""What a search tells on its way, and how it ended."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from segsearch.search.outlook import Outlook
from segsearch.store import Counts, TrialRow

EventKind = Literal[
    "started",
    "resumed",
    "earlier",
    "fell_back",
    "untaught",
    "promoted",
    "waiting",
    "taught",
    "begun",
    "trained",
    "screened",
    "rejected",
    "failed",
    "duplicate",
    "put_back",
]


@dataclass(frozen=True)
class Event:
    """Something that happened to a trial; `trained` of the `asked` trials are done.

    `started` and `resumed` come before the evaluation (`resumed`: a trial that an earlier worker left), and so do
    `earlier` (once: `why` says what the study knows of earlier ones) and `promoted` (the best of `best_of` that were
    looked at; `fell_back` before it: `why` no surrogate said so). In it come `waiting` (another worker makes a stage
    that it needs), `taught` (the teacher was trained: its mIoU), `begun` (the first trial here that was trained from
    pretrained weights: what inherits in `start`), after it `trained`, `screened` (it was looked at, and waits to be
    promoted), `rejected`, `failed` and `duplicate`, and `put_back` where the search was interrupted. `untaught` is said
    once, of the best student: `why` nobody is offered the teacher.
    """

    kind: EventKind
    trial: TrialRow
    trained: int
    asked: int
    teacher_miou: float | None = None
    start: str | None = None
    best_of: int | None = None
    why: str | None = None

    @property
    def under_way(self) -> bool:
        """Whether its trial goes on after it."""
        return self.kind not in ("trained", "screened", "rejected", "failed", "duplicate", "put_back")


Reason = Literal["done", "minutes", "nothing_to_do", "converged", "used_up"]


@dataclass(frozen=True)
class Summary:
    """How a search ended.

    `done` (all asked trials are trained), `minutes` (time is up), `nothing_to_do`, `converged` (little is to be gained:
    the `outlook` says how little) or `used_up` (nothing was found in the space that was not tried).
    """

    reason: Reason
    asked: int
    counts: Counts
    seconds: float
    outlook: Outlook | None = None
