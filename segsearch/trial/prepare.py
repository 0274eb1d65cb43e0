"""From a study to something that evaluates candidates: the bench, the teacher, and an estimate of the cost."""

from __future__ import annotations

import contextlib
import itertools
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch

from segsearch.datasets import Dataset
from segsearch.errors import StudyError, TrialFailed
from segsearch.evidence.objectives import samples_wanted
from segsearch.evidence.timing import Machine
from segsearch.evidence.types import Evidence
from segsearch.latency.energy import find_counter
from segsearch.latency.measure import Effort, machine_for
from segsearch.latency.room import machine_room
from segsearch.networks import build
from segsearch.runtimes import RUNTIMES
from segsearch.space.candidate import Candidate, Draw, Named
from segsearch.space.draws import Dice
from segsearch.study import Study, TrainSettings
from segsearch.training.loop import train
from segsearch.training.schedule import Schedule, pick_device
from segsearch.trial.bench import Bench, Teacher
from segsearch.trial.evaluate import evaluate, pass_gate
from segsearch.trial.settle import settle_in
from segsearch.workshop import Artifacts, Outcome, Progress, Workshop, silent

DrawCandidate = Callable[[Draw], Candidate]

# Candidates that an estimate looks at.
ESTIMATED = 4


def settled(draw: DrawCandidate, *, has_teacher: bool) -> DrawCandidate:
    """A space's `draw`, with what cannot matter taken out: candidates that would be trained alike are then equal."""

    def draw_settled(choose: Draw) -> Candidate:
        candidate = draw(choose)
        taught = has_teacher and candidate.distill is not None and candidate.distill.weight > 0
        steps = tuple(step for step in candidate.before_export if not step.idle)
        return replace(candidate, distill=candidate.distill if taught else None, before_export=steps)

    return draw_settled


def make_bench(study: Study, dataset: Dataset, draw: DrawCandidate, *, machine: Machine | None = None) -> Bench:
    """What stays the same for all candidates of a study. Raises `UserError` where the study cannot be carried out."""
    runtime = RUNTIMES["onnxruntime"]
    teacher = None
    if study.teacher is not None:
        architecture = draw(Named(study.teacher.choices)).architecture
        teacher = Teacher(architecture, study.teacher.epochs)
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


def effort_of(study: Study) -> Effort:
    """How hard a study's measurements try. Raises `StudyError` for energy where there is no counter."""
    wanted = {*study.objectives, *(limit.objective for limit in study.bounds)}
    if "energy_mj" in wanted and find_counter() is None:
        raise StudyError(
            "energy_mj needs an energy counter that may be read (RAPL); this machine has none. Leave it out."
        )
    timing = study.timing
    return Effort(timing.warmup_runs, timing.interval, timing.max_seconds, samples_wanted(wanted))


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


def make_evaluator(
    study: Study,
    dataset: Dataset,
    draw: DrawCandidate,
    *,
    machine: Machine | None = None,
    progress: Progress = silent,
) -> Callable[[int, Candidate, Workshop], Evidence]:
    """What `run_search` calls for each trial. This process settles where the study trains (`settle_in`)."""
    bench = make_bench(study, dataset, draw, machine=machine)
    settle_in(study.train.threads, study.timing.cores)

    def evaluate_trial(number: int, candidate: Candidate, workshop: Workshop) -> Evidence:
        return evaluate(candidate, bench, workshop, progress=progress)

    return evaluate_trial


@dataclass(frozen=True)
class Estimate:
    """What a trial costs here, from a few candidates with random weights; the teacher comes once on top."""

    gate_seconds: float
    seconds_per_trial: float
    teacher_seconds: float
    bytes_per_trial: int


@dataclass(frozen=True)
class Forgetful:
    """A workshop that remembers nothing."""

    artifacts: Artifacts

    def once(self, stage: str, key: str, make: Callable[[], Outcome], /) -> Outcome:
        return make()


def estimate(
    study: Study, dataset: Dataset, draw: DrawCandidate, artifacts: Artifacts, *, progress: Progress = silent
) -> Estimate:
    """Time the gate and a few training steps of some candidates; nothing of it is kept. This process settles in.

    Raises `StudyError` where none of them can be built.
    """
    bench = make_bench(study, dataset, draw)
    settle_in(study.train.threads, study.timing.cores)
    draw = settled(draw, has_teacher=bench.teacher is not None)
    per_epoch = max(1, len(dataset.train) // bench.schedule.batch_size)
    gates: list[float] = []
    steps: list[float] = []
    sizes: list[int] = []
    problem: TrialFailed | None = None
    for index in range(ESTIMATED):
        candidate = draw(Dice(random.Random(index)))
        try:
            start = time.perf_counter()
            evidence = pass_gate(candidate, bench, Forgetful(artifacts))
            gates.append(time.perf_counter() - start)
            sizes.append(evidence.size_bytes + 8 * evidence.params)  # the file, and float weights before and after
            steps.append(_seconds_per_step(candidate, bench))
        except TrialFailed as error:
            problem = error
        progress("estimate", index + 1, ESTIMATED)
    if not steps:
        raise StudyError(f"The space must draw candidates that can be built; none of {ESTIMATED} could: {problem}")
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
