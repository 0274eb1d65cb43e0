"""From a study to the bench that its candidates are evaluated on, and an estimate of what they cost."""

from __future__ import annotations

import contextlib
import itertools
import math
import time
from collections.abc import Sequence

import torch

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
from segsearch.settings.train import TrainSettings
from segsearch.space.architecture import Architecture
from segsearch.space.candidate import Candidate
from segsearch.space.own import OwnNetwork
from segsearch.study import Study
from segsearch.training.loop import train
from segsearch.training.schedule import Schedule, for_scale, pick_device
from segsearch.trial.bench import Bench
from segsearch.trial.gate import passed_gate
from segsearch.trial.making import network_of
from segsearch.trial.stages import Stages
from segsearch.trial.types import Estimate, Teacher
from segsearch.trial.weights import teacher_schedule
from segsearch.workshop import Artifacts, Forgetful, Progress, silent

# Candidates whose training an estimate looks at.
ESTIMATED = 4


def make_bench(
    study: Study,
    dataset: Dataset,
    *,
    teacher: Teacher | None = None,
    machine: Machine | None = None,
    start: str | None = None,
    own: Maker | GraphMaker | None = None,
) -> Bench:
    """What stays the same for all candidates of a study; `start` is the artifact of its pretrained weights, `own` makes
    the network that it brings.

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
            whole = 0 if isinstance(candidate.architecture, OwnNetwork) else 1  # what somebody brought has learned
            trainings.append(seconds * (whole + pruned + 2 * candidate.tail))  # a step in int8 runs the float file, too
            sizes.append(evidence.size_bytes + 8 * weights)
        except TrialFailed as error:
            problem = error
    if not trainings:
        count = len(candidates)
        raise StudyError(f"The space must draw candidates that can be built; none of {count} could: {problem}")
    teacher = 0.0
    if bench.teacher is not None and isinstance(bench.teacher.architecture, Architecture):
        teacher = _seconds_of(bench.teacher.architecture, teacher_schedule(bench.teacher, bench), bench)
    # The mean of the gates without the first one, which warms up.
    gate = sum(gates[1:]) / len(gates[1:]) if gates[1:] else gates[0]
    training = sum(trainings) / len(trainings)
    size = sum(sizes) // len(sizes)
    near = () if within else nearest_misses(bench.limits, [evidence for _, evidence in over])
    return Estimate(gate, gate + training, teacher, size, looked=len(gates), within=len(within), nearest=near)


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
