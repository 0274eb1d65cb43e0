"""What the two sides of a trial hand one another; nothing here needs torch."""

from __future__ import annotations

from dataclasses import dataclass, replace

from segsearch.evidence.images import PerImage
from segsearch.evidence.types import Confusion
from segsearch.space.architecture import Architecture
from segsearch.space.candidate import Named
from segsearch.space.draws import DrawFor, Facts
from segsearch.study import Study


@dataclass(frozen=True)
class Teacher:
    """Who teaches: an architecture and the epochs it trains for."""

    architecture: Architecture
    epochs: int


@dataclass(frozen=True)
class Estimate:
    """What a trial costs here, from a few candidates with random weights; the teacher comes once on top.

    Of `looked` candidates `within` met the limits; a trial's cost is that of these, where there are any. Where there
    are none, `nearest` tells of each limit how near they came.
    """

    gate_seconds: float
    seconds_per_trial: float
    teacher_seconds: float
    bytes_per_trial: int
    looked: int
    within: int
    nearest: tuple[str, ...] = ()


@dataclass(frozen=True)
class Again:
    """What a candidate that was trained again from another seed left: its file, and what that scored."""

    artifact: str
    confusion: Confusion
    images: PerImage | None


def facts_of(study: Study, *, classes: int | None = None) -> Facts:
    """What a space is told of a study, whose data has so many classes."""
    return Facts(
        output=study.output,
        has_teacher=study.teacher is not None,
        classes=classes,
        height=study.data.height,
        width=study.data.width,
    )


def teacher_of(study: Study, draw: DrawFor, *, classes: int | None = None) -> Teacher | None:
    """The teacher that a study names, if any: a point of its space, whom nobody teaches."""
    if study.teacher is None:
        return None
    facts = replace(facts_of(study, classes=classes), has_teacher=False)
    return Teacher(draw(Named(study.teacher.choices), facts).architecture, study.teacher.epochs)
