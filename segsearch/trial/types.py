"""What the two sides of a trial hand one another; nothing here needs torch."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

from segsearch.errors import StudyError
from segsearch.evidence.images import PerImage
from segsearch.evidence.types import Confusion, Evidence
from segsearch.settings.retrain import TIMES, Recipe, TrainOn
from segsearch.space.architecture import Architecture
from segsearch.space.candidate import Candidate, Named
from segsearch.space.draws import DrawFor, Facts
from segsearch.space.keys import from_json
from segsearch.space.own import OwnNetwork
from segsearch.study import Study


@dataclass(frozen=True)
class Teacher:
    """Who teaches: an architecture and the epochs it trains for; one that somebody brought has learned already."""

    architecture: Architecture | OwnNetwork
    epochs: int


@dataclass(frozen=True)
class FirstTeacher:
    """Who teaches is one of the study's own first designs, before any compression: trained as that trial is."""

    candidate: Candidate


@dataclass(frozen=True)
class GivenTeacher:
    """Who teaches was trained elsewhere: the artifact with its network and weights, or with its ONNX file."""

    artifact: str


AnyTeacher = Teacher | FirstTeacher | GivenTeacher


def teacher_from(text: str) -> AnyTeacher:
    """The inverse of `to_json` of a teacher, whichever kind it is."""
    kinds: Any = AnyTeacher
    found: AnyTeacher = from_json(kinds, text)
    return found


@dataclass(frozen=True)
class Estimate:
    """What a trial costs here, from a few candidates with random weights; the teacher comes once on top.

    `teacher_bytes` are its logits. `teacher_miou` is known of one that was trained elsewhere: on `teacher_images`
    validation images.
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
    teacher_bytes: int = 0
    teacher_miou: float | None = None
    teacher_images: int = 0


@dataclass(frozen=True)
class Again:
    """What a candidate that was trained again from another seed left: its file, and what that scored."""

    artifact: str
    confusion: Confusion
    images: PerImage | None


@dataclass(frozen=True)
class Grown:
    """What a model trained to the end is: evidence of its file (without a confusion where it learned from validation
    images, too), and its counts on the test images, where there are any."""

    evidence: Evidence
    test: PerImage | None


def recipe_of(study: Study, images: int, *, epochs: int | None, train_on: TrainOn) -> Recipe:
    """The long schedule that a study asks for on so many training images, or one of so many epochs."""
    settings = study.retrain
    once = study.train.epochs or math.ceil(study.train.steps_for(images) / study.train.steps_of_epoch(images))
    return Recipe(
        epochs=epochs or settings.epochs or TIMES * once,
        ema=settings.ema,
        auxiliary=settings.auxiliary,
        small_start=settings.small_start,
        balanced=settings.balanced,
        train_on=train_on,
    )


def facts_of(study: Study, *, classes: int | None = None, start: str | None = None, taught: bool = True) -> Facts:
    """What a space is told of a study, whose data has so many classes; `start` is the artifact that it begins with.

    Not `taught`: as if nobody did.
    """
    brought = study.network
    return Facts(
        output=study.output,
        has_teacher=taught and study.teacher is not None,
        classes=classes,
        height=study.data.height,
        width=study.data.width,
        network=OwnNetwork(start, brought.pixels) if brought is not None and start is not None else None,
        ways=brought.ways if brought is not None else (),
    )


def teacher_of(
    study: Study,
    draw: DrawFor,
    *,
    classes: int | None = None,
    start: str | None = None,
    given: str | None = None,
) -> AnyTeacher | None:
    """The teacher that a study names, if any: a design, a network of the field, or the artifact of one that is `given`.

    Nobody teaches a teacher. Raises `StudyError` for a first design that asks for one.
    """
    settings = study.teacher
    if settings is None:
        return None
    if given is not None:
        return GivenTeacher(given)
    if settings.reference is not None:
        from segsearch.references.names import known_references

        return Teacher(known_references()[settings.reference].make(), settings.epochs or 1)
    if settings.first is not None:
        found = draw(Named(study.search.first[settings.first]), facts_of(study, classes=classes, start=start))
        if found.distill is not None and found.distill.weight > 0:
            raise StudyError(
                f"teacher.first must be a design that nobody teaches, got search.first.{settings.first}, which asks "
                "for a teacher; take that from it, or name another."
            )
        return FirstTeacher(replace(found.parent, distill=None))
    if settings.choices is None:
        raise ValueError(f"the teacher must be kept before it teaches: {settings.words}")
    facts = facts_of(study, classes=classes, start=start, taught=False)
    return Teacher(draw(Named(settings.choices), facts).architecture, settings.epochs or 1)
