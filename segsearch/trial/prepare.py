"""From a study to the bench that its candidates are evaluated on, and an estimate of what they cost."""

from __future__ import annotations

import contextlib
import itertools
import math
import time
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from segsearch.datasets import Dataset
from segsearch.errors import StudyError, TrialFailed
from segsearch.evidence.objectives import broken_limits, nearest_misses
from segsearch.evidence.timing import Machine
from segsearch.evidence.types import Evidence
from segsearch.latency.effort import effort_of
from segsearch.latency.measure import machine_for
from segsearch.latency.room import machine_room
from segsearch.own.graph import GraphMaker
from segsearch.own.made import Maker
from segsearch.runtimes import RUNTIMES
from segsearch.settings.teacher import extra_images
from segsearch.settings.train import TrainSettings
from segsearch.space.architecture import Architecture
from segsearch.space.candidate import Candidate
from segsearch.space.own import OwnNetwork
from segsearch.study import Study
from segsearch.training.loop import train
from segsearch.training.schedule import Schedule, for_scale, pick_device
from segsearch.trial.bench import Bench, Beside
from segsearch.trial.gate import passed_gate
from segsearch.trial.making import network_of
from segsearch.trial.stages import Stages
from segsearch.trial.teacher import of_artifact, of_network
from segsearch.trial.types import AnyTeacher, Estimate, GivenTeacher, Teacher
from segsearch.trial.weights import teacher_schedule
from segsearch.workshop import Artifacts, Forgetful, Progress, silent

# Candidates whose training an estimate looks at.
ESTIMATED = 4
# Validation images that a teacher from elsewhere is scored on for an estimate.
ASKED = 64


def make_bench(
    study: Study,
    dataset: Dataset,
    *,
    teacher: AnyTeacher | None = None,
    machine: Machine | None = None,
    start: str | None = None,
    beside: Beside | None = None,
    own: Maker | GraphMaker | None = None,
) -> Bench:
    """What stays the same for all candidates of a study; `start` is the artifact of its pretrained weights, `own` makes
    the network that it brings.

    `beside` are the images without labels that its teacher speaks of.

    Raises `UserError` where the study cannot be carried out.
    """
    runtime = RUNTIMES["onnxruntime"]
    if len(dataset.train) < study.train.batch_size:
        raise StudyError(
            f"train.batch_size must be at most the number of training images ({len(dataset.train)}), "
            f"got {study.train.batch_size}; write a smaller one, 4 or 2 where images are few."
        )
    timing = study.timing
    return Bench(
        dataset=dataset,
        schedule=schedule_of(study.train, seed=study.seed, images=len(dataset.train)),
        fine_tune_share=study.train.share_after_pruning,
        fine_tune_on_top=study.train.fine_tune_on_top,
        effort=effort_of(study),
        limits=study.bounds,
        runtime=runtime,
        machine=machine or machine_for(runtime, threads=timing.threads, cores=timing.cores),
        room=machine_room(timing.cores),
        device=pick_device(study.train.device),
        teacher=teacher,
        beside=beside,
        output=study.output,
        start=start,
        own=own,
    )


def schedule_of(settings: TrainSettings, *, seed: int, images: int) -> Schedule:
    """The schedule that a study asks for, on so many training images."""
    return Schedule(
        epochs=math.ceil(settings.steps_for(images) / max(1, images // settings.batch_size)),
        batch_size=settings.batch_size,
        learning_rate=settings.learning_rate,
        weight_decay=settings.weight_decay,
        height=settings.height,
        width=settings.width,
        class_weights=settings.class_weights,
        seed=seed,
        jaccard_weight=settings.jaccard_weight,
        smallest_zoom=settings.smallest_zoom,
        largest_zoom=settings.largest_zoom,
        recipe=settings.recipe,
        crop=settings.crop,
        steps=settings.steps,
        hold=settings.hold,
        start_rate=1.0 if settings.start_rate is None else settings.start_rate,
    )


def estimate(
    candidates: Sequence[Candidate], bench: Bench, artifacts: Artifacts, *, progress: Progress = silent
) -> Estimate:
    """Time the gate and a few training steps of candidates until `ESTIMATED` of them meet the limits; nothing is kept.

    A candidate over a limit is never trained, and would tell of another study: only where none of them meets the
    limits, the first few tell what it would cost. Raises `StudyError` where none of them can be built.
    """
    gates: list[float] = []
    within: list[tuple[Candidate, Evidence]] = []
    over: list[tuple[Candidate, Evidence]] = []
    problem: TrialFailed | None = None
    for candidate in candidates:
        if len(within) == ESTIMATED:
            break
        try:
            start = time.perf_counter()
            evidence = passed_gate(candidate, bench, Stages(Forgetful(artifacts)))
            gates.append(time.perf_counter() - start)
            (over if broken_limits(bench.limits, evidence) else within).append((candidate, evidence))
        except TrialFailed as error:
            problem = error
        progress("estimate", len(within), ESTIMATED)
    looked_at = within or over[:ESTIMATED]
    trainings: list[float] = []
    sizes: list[int] = []
    for candidate, evidence in looked_at:
        try:
            # The file, and float weights before and after: whole ones, with heads that do not ship.
            if isinstance(candidate.architecture, OwnNetwork) and candidate.architecture.is_graph:  # nothing learns
                trainings.append(0.0)
                sizes.append(2 * evidence.size_bytes)
                continue
            weights = sum(value.numel() for value in network_of(candidate.architecture, bench, seed=0).parameters())
            images, scale = len(bench.dataset.train), candidate.architecture.input_scale
            seconds = _seconds_of(candidate.architecture, for_scale(bench.schedule, scale, images), bench)
            pruned = bench.fine_tune_share if candidate.before_export and bench.fine_tune_on_top else 0.0
            beside = _seconds_beside(candidate, bench)
            whole = 0 if isinstance(candidate.architecture, OwnNetwork) else 1  # what somebody brought has learned
            # A step in int8 runs the float file, too.
            trainings.append(seconds * (whole * (1 + beside) + pruned + 2 * candidate.tail))
            sizes.append(evidence.size_bytes + 8 * weights)
        except TrialFailed as error:
            problem = error
    if not trainings:
        count = len(candidates)
        raise StudyError(f"The space must draw candidates that can be built; none of {count} could: {problem}")
    # The mean of the gates without the first one, which warms up.
    gate = sum(gates[1:]) / len(gates[1:]) if gates[1:] else gates[0]
    training = sum(trainings) / len(trainings)
    size = sum(sizes) // len(sizes)
    near = () if within else nearest_misses(bench.limits, [evidence for _, evidence in over])
    found = Estimate(gate, gate + training, 0.0, size, looked=len(gates), within=len(within), nearest=near)
    return found if bench.teacher is None else _with_teacher(found, bench.teacher, bench, artifacts, progress)


def _with_teacher(
    found: Estimate, teacher: AnyTeacher, bench: Bench, artifacts: Artifacts, progress: Progress
) -> Estimate:
    """The estimate with what the teacher costs: a first design is trained anyway, one from elsewhere is trained.

    That one is scored on some validation images.
    """
    images = len(bench.dataset.train) + (len(bench.beside.opened()) if bench.beside is not None else 0)
    if not isinstance(teacher, GivenTeacher):
        architecture = teacher.architecture if isinstance(teacher, Teacher) else teacher.candidate.architecture
        says = of_network(network_of(architecture, bench, seed=0), bench).says
        seconds = (
            _seconds_of(architecture, teacher_schedule(teacher, bench), bench)
            if isinstance(teacher, Teacher) and isinstance(architecture, Architecture)
            else 0.0
        )
        return replace(found, teacher_seconds=seconds, teacher_bytes=2 * images * says(_some_image(bench)).size)
    trained = of_artifact(teacher.artifact, bench, artifacts)
    split = bench.dataset.validation.first(ASKED)

    def scoring(stage: str, done: int, total: int, /) -> None:
        progress("teacher", done, total)

    miou = trained.scored(split, scoring).miou
    logits = trained.says(_some_image(bench))
    return replace(found, teacher_bytes=2 * images * logits.size, teacher_miou=miou, teacher_images=len(split))


def _some_image(bench: Bench) -> NDArray[np.uint8]:
    return np.asarray(bench.dataset.train.images[0])


def _seconds_beside(candidate: Candidate, bench: Bench) -> float:
    """What images without labels take of a taught candidate's training, as a share of the others'."""
    taught, beside = candidate.distill, bench.beside
    if taught is None or taught.weight == 0 or bench.teacher is None or beside is None:
        return 0.0
    return (1 - taught.after) * extra_images(bench.schedule.batch_size, beside.share) / bench.schedule.batch_size


def _seconds_of(architecture: Architecture | OwnNetwork, schedule: Schedule, bench: Bench) -> float:
    """What a whole training takes, from a few steps of it."""
    return _seconds_per_step(architecture, schedule, bench) * schedule.steps_for(len(bench.dataset.train))


def _seconds_per_step(
    architecture: Architecture | OwnNetwork, schedule: Schedule, bench: Bench, *, steps: int = 3
) -> float:
    """The quickest of a few training steps of a network that is thrown away: the first ones warm up."""
    network = network_of(architecture, bench, seed=0)
    marks: list[float] = []

    def mark(stage: str, done: int, total: int, /) -> None:
        marks.append(time.perf_counter())
        if done > steps:
            raise _Enough

    with torch.random.fork_rng(devices=[]), contextlib.suppress(_Enough):
        train(network, bench.dataset.train, schedule, classes=bench.classes, device=bench.device, progress=mark)
    return min((after - before for before, after in itertools.pairwise(marks)), default=0.0)


class _Enough(Exception):
    """Enough steps were timed."""
