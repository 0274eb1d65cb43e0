"""Whether a study's teacher is better than its students: decided once, from what is stored, and kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from segsearch.store.rows import NO_TRIAL, StageRow, StudyRow, TrialRow
from segsearch.store.store import Store
from segsearch.study import Study
from segsearch.workshop import Outcome

STAGE = "teaching"
_ENDED = ("trained", "rejected", "failed", "duplicate")


@dataclass(frozen=True)
class Verdict:
    """The teacher's mIoU beside that of the best student, trial `trial`, and by how much it must be the better one."""

    teacher: float
    student: float
    trial: int
    better_by: float

    @property
    def offered(self) -> bool:
        """Whether candidates may ask for the teacher."""
        return self.teacher - self.student >= self.better_by - 1e-9

    @property
    def words(self) -> str:
        apart = f"{abs(self.teacher - self.student):.3f} {'above' if self.teacher >= self.student else 'below'}"
        return f"mIoU {self.teacher:.3f}, {apart} the best of its students (trial {self.trial}: {self.student:.3f})"

    @property
    def consequence(self) -> str:
        """What follows where it is not offered, and the cure."""
        return (
            f"it must be {self.better_by:g} above them to have something to teach: no further candidate is offered it. "
            "A longer training, a larger design, a reference or a file may teach, under another study name."
        )


def verdict(store: Store, row: StudyRow) -> Verdict | None:
    """What is decided of a study's teacher, now where it can be; None where there is nothing to decide, or not yet.

    Whoever asks first decides; it stays so when the study is carried on.
    """
    if row.study.teacher is None or row.study.teacher.better_by == 0:
        return None
    stored = kept_verdict(store, row.name)
    if stored is not None:
        return stored
    found = weighed(row.study, store.trials(row.name), teacher_miou(store.stages(row.name, name="teacher"), row))
    if found is None:
        return None
    kept = store.workshop(row.name, NO_TRIAL).once(STAGE, STAGE, lambda: asdict(found))
    return Verdict(**kept)


def awaits_teacher(store: Store, row: StudyRow) -> bool:
    """Whether all that a verdict lacks is the mIoU of a teacher that needs no training of its own."""
    teacher = row.study.teacher
    if teacher is None or teacher.better_by == 0 or not (teacher.is_given or teacher.first is not None):
        return False
    if teacher_miou(store.stages(row.name, name="teacher"), row) is not None:
        return False
    return bool(students(row.study, store.trials(row.name)))


def kept_verdict(store: Store, study: str) -> Verdict | None:
    """What was decided of a study's teacher, if anything."""
    return next((Verdict(**stage.outcome) for stage in store.stages(study, name=STAGE)), None)


def weighed(study: Study, rows: Sequence[TrialRow], teacher: float | None) -> Verdict | None:
    """A teacher of that mIoU beside the best of its students; None where either is not known yet.

    Students are the first designs that nobody teaches, once all have ended; where a study names none, the first trials
    that were trained, as many as the sampler draws at random.
    """
    found = students(study, rows)
    if teacher is None or not found or study.teacher is None or study.teacher.better_by == 0:
        return None
    best = max(found, key=lambda row: (row.values["miou"], -row.number))
    return Verdict(teacher, best.values["miou"], best.number, study.teacher.better_by)


def students(study: Study, rows: Sequence[TrialRow]) -> list[TrialRow]:
    """The trained trials that a teacher is compared with; none while some have not ended."""
    own = [row for row in rows if row.origin is None and not row.gate_only]
    if not study.search.first:
        trained = [row for row in own if _learned_alone(row)][: study.search.trained_before_screening]
        return trained if len(trained) == study.search.trained_before_screening else []
    designs = [
        _row_of(design, own)
        for index, design in enumerate(study.search.first)
        if study.teacher is None or index != study.teacher.first
    ]
    if any(row is None or row.state not in _ENDED for row in designs):
        return []
    return [row for row in designs if row is not None and _learned_alone(row)]


def teacher_miou(stages: Sequence[StageRow], row: StudyRow) -> float | None:
    """The mIoU of a study's teacher, from the outcomes of the stage `teacher`; not of one that saw validation."""
    return next(
        (found for found in (_miou(stage.outcome, row.data_key) for stage in stages) if found is not None), None
    )


def _miou(outcome: Outcome, data_key: str) -> float | None:
    known: Any = outcome.get("miou")
    return float(known) if known is not None and outcome.get("on", data_key) == data_key else None


def _row_of(design: Mapping[str, Any], rows: Sequence[TrialRow]) -> TrialRow | None:
    return next((row for row in rows if all(row.params.get(key) == value for key, value in design.items())), None)


def _learned_alone(row: TrialRow) -> bool:
    taught = row.candidate.distill is not None and row.candidate.distill.weight > 0
    return row.state == "trained" and not taught and "miou" in row.values
