"""How candidates are drawn while somebody teaches, and once the teacher is found to be no better than they are."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from segsearch.errors import TrialFailed
from segsearch.space.draws import DrawCandidate
from segsearch.store import NO_TRIAL, Store, StudyRow, TrialRow
from segsearch.store.teaching import Verdict, awaits_teacher, verdict
from segsearch.store.worker import Worker
from segsearch.workshop import Workshop


@dataclass(frozen=True)
class Draws:
    """How candidates are drawn: with the study's teacher, or `alone` once it is found to be no better than they."""

    store: Store
    row: StudyRow
    worker: Worker
    taught: DrawCandidate
    alone: DrawCandidate
    teach: Callable[[Workshop], object] | None

    def refused(self) -> Verdict | None:
        """Why nobody is offered the teacher any more; None where it is offered, or there is none."""
        found = verdict(self.store, self.row)
        if found is None and self.teach is not None and awaits_teacher(self.store, self.row):
            with suppress(TrialFailed):  # the first candidate that asks for it tries once more, and says why
                self.teach(self.store.workshop(self.row.name, NO_TRIAL, worker=self.worker.id))
            found = verdict(self.store, self.row)
        return None if found is None or found.offered else found

    def now(self) -> DrawCandidate:
        return self.taught if self.refused() is None else self.alone

    def of(self, origin: TrialRow) -> DrawCandidate:
        """The draw that makes what a stored trial is near to."""
        return self.taught if origin.candidate.distill is not None else self.now()
