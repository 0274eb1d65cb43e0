"""From a study to the bench that its candidates are evaluated on, and an estimate of what they cost."""

from __future__ import annotations

import contextlib
import itertools
import time
from collections.abc import Sequence

import torch

from segsearch.datasets import Dataset
from segsearch.errors import StudyError, TrialFailed
from segsearch.evidence.timing import Machine
from segsearch.latency.effort import effort_of
from segsearch.latency.measure import machine_for
from segsearch.latency.room import machine_room
from segsearch.networks import build
from segsearch.runtimes import RUNTIMES
from segsearch.space.candidate import Candidate
from segsearch.study import Study, TrainSettings
from segsearch.training.loop import train
from segsearch.training.schedule import Schedule, pick_device
from segsearch.trial.bench import Bench
from segsearch.trial.gate import passed_gate
from segsearch.trial.stages import Stages
from segsearch.trial.types import Estimate, Teacher
from segsearch.workshop import Artifacts, Forgetful, Progress, silent


def make_bench(
    study: Study, dataset: Dataset, *, teacher: Teacher | None = None, machine: Machine | None = None
) -> Bench:
    """What stays the same for all candidates of a study. Raises `UserError` where the study cannot be carried out."""
    runtime = RUNTIMES["onnxruntime"]
    if len(dataset.train) < study.train.batch_size:
        raise StudyError(
            f"train.batch_size must be at most the number of training images ({len(dataset.train)}), "
            f"got {study.train.batch_size}."
        )
    timing = study.timing
    return Bench(
        dataset=dataset,
        schedule=schedule_of(study.train, seed=study.seed),
        fine_tune_epochs=study.train.fine_tune_epochs,
        effort=effort_of(study),
        limits=study.bounds,
        runtime=runtime,
        machine=machine or machine_for(runtime, threads=timing.threads, cores=timing.cores),
        room=machine_room(timing.cores),
        device=pick_device(study.train.device),
        teacher=teacher,
    )


def schedule_of(settings: TrainSettings, *, seed: int) -> Schedule:
    return Schedule(
        epochs=settings.epochs,
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
    )


def estimate(
    candidates: Sequence[Candidate], bench: Bench, artifacts: Artifacts, *, progress: Progress = silent
) -> Estimate:
    """Time the gate and a few training steps of some candidates; nothing of it is kept.

    Raises `StudyError` where none of them can be built.
    """
    per_epoch = max(1, len(bench.dataset.train) // bench.schedule.batch_size)
    gates: list[float] = []
    steps: list[float] = []
    sizes: list[int] = []
    problem: TrialFailed | None = None
    for index, candidate in enumerate(candidates):
        try:
            start = time.perf_counter()
            evidence = passed_gate(candidate, bench, Stages(Forgetful(artifacts)))
            gates.append(time.perf_counter() - start)
            # The file, and float weights before and after: whole ones, with heads that do not ship.
            weights = sum(value.numel() for value in build(candidate.architecture, bench.classes).parameters())
            sizes.append(evidence.size_bytes + 8 * weights)
            steps.append(_seconds_per_step(candidate, bench))
        except TrialFailed as error:
            problem = error
        progress("estimate", index + 1, len(candidates))
    if not steps:
        count = len(candidates)
        raise StudyError(f"The space must draw candidates that can be built; none of {count} could: {problem}")
    teacher = 0.0
    if bench.teacher is not None:
        teacher = _seconds_per_step(Candidate(bench.teacher.architecture), bench) * per_epoch * bench.teacher.epochs
    # The mean of the gates without the first one, which warms up.
    gate = sum(gates[1:]) / len(gates[1:]) if gates[1:] else gates[0]
    training = sum(steps) / len(steps) * per_epoch * bench.schedule.epochs
    return Estimate(gate, gate + training, teacher, sum(sizes) // len(sizes))


def _seconds_per_step(candidate: Candidate, bench: Bench, *, steps: int = 3) -> float:
    """The quickest of a few training steps of a network that is thrown away: the first ones warm up."""
    network = build(candidate.architecture, bench.classes)
    marks: list[float] = []

    def mark(stage: str, done: int, total: int, /) -> None:
        marks.append(time.perf_counter())
        if done > steps:
            raise _Enough

    with torch.random.fork_rng(devices=[]), contextlib.suppress(_Enough):
        train(network, bench.dataset.train, bench.schedule, classes=bench.classes, device=bench.device, progress=mark)
    return min((after - before for before, after in itertools.pairwise(marks)), default=0.0)


class _Enough(Exception):
    """Enough steps were timed."""
