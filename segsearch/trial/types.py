"""What the two sides of a trial hand one another; nothing here needs torch."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from segsearch.evidence.images import PerImage
from segsearch.evidence.types import Confusion, Evidence
from segsearch.settings.retrain import TIMES, Recipe, TrainOn
from segsearch.space.architecture import Architecture
from segsearch.space.candidate import Named
from segsearch.space.draws import DrawFor, Facts
from segsearch.space.own import OwnNetwork
from segsearch.study import Study


@dataclass(frozen=True)
class Teacher:
    """Who teaches: an architecture and the epochs it trains for; one that somebody brought has learned already."""

    architecture: Architecture | OwnNetwork
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


def facts_of(study: Study, *, classes: int | None = None, start: str | None = None) -> Facts:
    """What a space is told of a study, whose data has so many classes; `start` is the artifact that it begins with."""
    brought = study.network
    return Facts(
        output=study.output,
        has_teacher=study.teacher is not None,
        classes=classes,
        height=study.data.height,
        width=study.data.width,
        network=OwnNetwork(start, brought.pixels) if brought is not None and start is not None else None,
        ways=brought.ways if brought is not None else (),
    )


def teacher_of(study: Study, draw: DrawFor, *, classes: int | None = None, start: str | None = None) -> Teacher | None:
    """The teacher that a study names, if any: a point of its space, whom nobody teaches."""
    if study.teacher is None:
        return None
    facts = replace(facts_of(study, classes=classes, start=start), has_teacher=False)
    return Teacher(draw(Named(study.teacher.choices), facts).architecture, study.teacher.epochs)
