"""What the two sides of a trial hand one another; nothing here needs torch."""

from __future__ import annotations

from dataclasses import dataclass

from segsearch.space.candidate import Architecture, Named
from segsearch.space.draws import DrawCandidate
from segsearch.study import Study


@dataclass(frozen=True)
class Teacher:
    """Who teaches: an architecture and the epochs it trains for."""

    architecture: Architecture
    epochs: int


@dataclass(frozen=True)
class Estimate:
    """What a trial costs here, from a few candidates with random weights; the teacher comes once on top."""

    gate_seconds: float
    seconds_per_trial: float
    teacher_seconds: float
    bytes_per_trial: int


def teacher_of(study: Study, draw: DrawCandidate) -> Teacher | None:
    """The teacher that a study names, if any: a point of its space."""
    if study.teacher is None:
        return None
    return Teacher(draw(Named(study.teacher.choices)).architecture, study.teacher.epochs)
