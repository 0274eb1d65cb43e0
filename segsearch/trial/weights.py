"""The stages that make a candidate's weights: the teacher, training, pruning and fine-tuning."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from segsearch.compression import REPORTS, factors_of
from segsearch.compression.distill import Teaching
from segsearch.errors import TrialFailed
from segsearch.networks import Network
from segsearch.pretrained.header import header_of
from segsearch.pretrained.inherit import inherit
from segsearch.pretrained.match import match
from segsearch.pretrained.parent import kept
from segsearch.space.architecture import Architecture
from segsearch.space.candidate import Candidate
from segsearch.space.keys import content_key, to_json
from segsearch.space.own import OwnNetwork
from segsearch.space.steps import Distill
from segsearch.training.batch_norm import estimate_batch_norm
from segsearch.training.checkpoint import Keep
from segsearch.training.loop import Judge, train
from segsearch.training.sample import SAMPLED_BATCHES, losses_over
from segsearch.training.schedule import Schedule, around_pruning, at_epochs, for_scale, trains_in_bfloat16
from segsearch.trial.bench import Bench, in_the_room
from segsearch.trial.making import apply_model_steps, network_of
from segsearch.trial.score_network import score_network
from segsearch.trial.stages import Stages
from segsearch.trial.state import load_weights, save_weights
from segsearch.trial.teacher import cannot_teach, of_artifact, of_network, told
from segsearch.trial.types import AnyTeacher, GivenTeacher, Teacher
from segsearch.workshop import Outcome, Progress


@dataclass(frozen=True)
class Fidelity:
    """How much training an answer is worth: epochs in all, on top of the weights of an earlier answer where given."""

    epochs: int
    warm_start: Fidelity | None = None


def trained(candidate: Candidate, bench: Bench, stages: Stages, *, fidelity: Fidelity) -> str:
    """Name of the weights before any step of compression: where a higher fidelity goes on from.

    A network that somebody brought has its own, and none of them is trained.
    """
    if isinstance(candidate.architecture, OwnNetwork):
        return _brought(candidate.architecture, stages)
    start = None
    if fidelity.warm_start is not None:
        start = trained(candidate, bench, stages, fidelity=fidelity.warm_start)
    schedule = _schedules(candidate, bench, fidelity)[0]
    taught = _taught(candidate, bench)

    def make(keep: Keep) -> Outcome:
        network = network_of(candidate.architecture, bench, seed=schedule.seed)
        begun: Outcome = {}
        if start is not None:
            load_weights(network, stages.artifacts.verified(start))
        else:
            begun = begin(network, candidate.architecture, bench, stages)
        return {**_train(network, candidate.architecture, schedule, taught, bench, stages, "train", keep), **begun}

    key = content_key(["train", start or "from scratch"], _recipe(candidate.architecture, schedule, taught, bench))
    return str(stages.once_resumed("train", key, make)["weights"])


def _brought(own: OwnNetwork, stages: Stages) -> str:
    """Name of the weights of a network that somebody brought: the artifact that holds it."""
    key = content_key(["train", "brought", own.artifact])
    return str(stages.once("train", key, lambda: {"weights": own.artifact, "losses": []})["weights"])


def fine_tuned(candidate: Candidate, full: str, bench: Bench, stages: Stages, *, fidelity: Fidelity) -> str:
    """Name of the weights after the steps before the export, annealed once more; `full` where there are none.

    Candidates that differ only after the export share them.
    """
    steps = candidate.before_export
    if not steps:
        return full
    schedule = _schedules(candidate, bench, fidelity)[1]
    taught = _taught(candidate, bench)
    look = any(step.looks for step in steps)

    def make(keep: Keep) -> Outcome:
        network = network_of(candidate.architecture, bench, seed=schedule.seed)
        load_weights(network, stages.artifacts.verified(full))
        with in_the_room(bench, stages.progress) as watched:
            split, device = bench.dataset.train, bench.device
            losses = losses_over(split, schedule, classes=bench.classes, device=device, progress=watched)
            left: list[dict[str, str]] = []
            for step in steps:
                report = REPORTS.get(type(step))
                told = report(network, step, protected=network.protected) if report else ()
                left.append({one.layer: one.why for one in told})
                apply_model_steps(network, [step], losses if step.looks else None)
        return {**annealed(network, keep), "left": left}

    def annealed(network: Network, keep: Keep) -> Outcome:
        if schedule.epochs > 0:
            return _train(network, candidate.architecture, schedule, taught, bench, stages, "fine-tune", keep)
        with in_the_room(bench, stages.progress) as watched:  # a study of a single epoch has none to spare
            estimate_batch_norm(
                network,
                bench.dataset.train,
                device=bench.device,
                batch_size=schedule.batch_size,
                progress=watched,
            )
        return {"weights": save_weights(network, stages.artifacts), "losses": []}

    looked = [f"looked at {SAMPLED_BATCHES} batches"] if look else []
    key = content_key(
        ["fine-tune", full, *map(to_json, steps), *looked], _recipe(candidate.architecture, schedule, taught, bench)
    )
    return str(stages.once_resumed("fine-tune", key, make)["weights"])


def whole_schedule(candidate: Candidate, bench: Bench, fidelity: Fidelity) -> Schedule:
    """How a candidate is trained in all, with what comes after a pruning."""
    schedule = at_epochs(bench.schedule, fidelity.epochs)
    return for_scale(schedule, candidate.architecture.input_scale, len(bench.dataset.train))


def _schedules(candidate: Candidate, bench: Bench, fidelity: Fidelity) -> tuple[Schedule, Schedule]:
    """How the candidate is trained first, and how once more after the steps before the export, where there are any."""
    images, whole = len(bench.dataset.train), whole_schedule(candidate, bench, fidelity)
    if not candidate.before_export:
        return whole, whole
    return around_pruning(whole, bench.fine_tune_share, images, on_top=bench.fine_tune_on_top)


def _taught(candidate: Candidate, bench: Bench) -> Distill | None:
    """The distillation that takes place: weight 0, or no teacher, is none and costs nothing."""
    distill = candidate.distill
    return distill if bench.teacher is not None and distill is not None and distill.weight > 0 else None


def _recipe(
    architecture: Architecture | OwnNetwork, schedule: Schedule, taught: Distill | None, bench: Bench
) -> list[str]:
    """Everything that settles trained weights, for the key of their stage."""
    return [
        to_json(architecture.learnt),
        to_json(schedule),
        to_json(taught) if taught else "alone",
        to_json(bench.teacher) if taught else "no teacher",
        bench.dataset.key,
        bench.device.type,
        f"bfloat16 {trains_in_bfloat16(bench.device)}",
        f"torch {torch.__version__}",
        *([f"{bench.beside.share:g} beside {bench.beside.key}"] if taught and bench.beside is not None else []),
        *([f"begun with {bench.start}"] if bench.start is not None else []),
    ]


def begin(network: Network, architecture: Architecture | OwnNetwork, bench: Bench, stages: Stages) -> Outcome:
    """Give a new network the study's pretrained weights where it matches them, and say where; nothing without any."""
    if bench.start is None or isinstance(architecture, OwnNetwork):
        return {}
    parent = kept(stages.artifacts.verified(bench.start))
    report = inherit(network, architecture, parent.network, parent.architecture)
    return {"start": to_json(report), "parent": parent.name}


def inherited_parameters(architecture: Architecture | OwnNetwork, bench: Bench, stages: Stages) -> frozenset[str]:
    """The names of the parameters that began with pretrained weights; pruning keeps the names, `factors_of` follows."""
    if bench.start is None or isinstance(architecture, OwnNetwork):
        return frozenset()
    return match(architecture, header_of(stages.artifacts.path(bench.start)).architecture).parameters


def _train(
    network: Network,
    architecture: Architecture | OwnNetwork,
    schedule: Schedule,
    taught: Distill | None,
    bench: Bench,
    stages: Stages,
    stage: str,
    keep: Keep,
) -> Outcome:
    teaching = None
    if taught is not None and bench.teacher is not None:
        logits = teacher_logits(bench.teacher, bench, stages)
        after = taught.after if stage == "train" else 0.0
        teaching = Teaching(logits, taught.weight, taught.temperature, taught.kind, after)
    with in_the_room(bench, stages.progress) as watched:
        learned = train(
            network,
            bench.dataset.train,
            schedule,
            classes=bench.classes,
            device=bench.device,
            teaching=teaching,
            more=bench.beside.more(schedule) if teaching is not None and bench.beside is not None else None,
            inherited=factors_of(network, inherited_parameters(architecture, bench, stages)),
            keep=keep,
            judge=judge_of(schedule, bench, stages),
            stage=stage,
            progress=watched,
        )
    looks = {"looks": [[look.step, look.loss, look.miou] for look in learned.looks]} if learned.looks else {}
    about = {"losses": list(learned.losses), "seconds": learned.seconds, **looks}
    return {"weights": save_weights(network, stages.artifacts), **about}


def judge_of(schedule: Schedule, bench: Bench, stages: Stages) -> Judge | None:
    """Who looks at a training, as often as the bench says or once an epoch; None where nobody does."""
    if not bench.looks:
        return None

    def score(network: Network) -> float:
        return score_network(network, bench.dataset.validation, classes=bench.classes, device=bench.device).miou

    images = len(bench.dataset.train)
    every = max(schedule.steps_of_epoch(images), math.ceil(schedule.steps_for(images) / bench.looks))
    return Judge(every, score, stages.told)


def teacher_logits(teacher: AnyTeacher, bench: Bench, stages: Stages) -> NDArray[np.float16]:
    """The teacher's logits of every training image, then of those without labels; kept by the hash of its recipe.

    The outcome tells its own mIoU on the validation split, too: a teacher below its students has nothing to teach.
    """

    def as_teacher(stage: str, done: int, total: int, /) -> None:
        stages.progress("teacher", done, total)

    def make(keep: Keep) -> Outcome:
        if isinstance(teacher, Teacher):
            return _train_teacher(teacher, bench, stages, keep, as_teacher)
        if isinstance(teacher, GivenTeacher):
            return told(of_artifact(teacher.artifact, bench, stages.artifacts), bench, stages.artifacts, as_teacher)
        students = replace(bench, schedule=bench.teacher_by or bench.schedule, looks=0)
        try:
            weights = trained(teacher.candidate, students, stages, fidelity=Fidelity(students.schedule.epochs))
        except TrialFailed as failed:
            raise cannot_teach(failed) from failed
        network = network_of(teacher.candidate.architecture, bench, seed=0)
        load_weights(network, stages.artifacts.verified(weights))
        return told(of_network(network, bench), bench, stages.artifacts, as_teacher)

    name = str(stages.once_resumed("teacher", _teacher_key(teacher, bench), make)["logits"])
    logits: NDArray[np.float16] = np.load(stages.artifacts.path(name), mmap_mode="r", allow_pickle=False)
    return logits


def _teacher_key(teacher: AnyTeacher, bench: Bench) -> str:
    beside = [f"beside {bench.beside.key}"] if bench.beside is not None else []
    if isinstance(teacher, Teacher):
        recipe = _recipe(teacher.architecture, teacher_schedule(teacher, bench), None, bench)
        return content_key(["teacher", str(teacher.epochs)], recipe, *beside)
    if isinstance(teacher, GivenTeacher):
        runs = [f"torch {torch.__version__}", bench.runtime.name, bench.runtime.version]
        return content_key(["given teacher", teacher.artifact, bench.dataset.key], runs, *beside)
    schedule = bench.teacher_by or bench.schedule
    recipe = _recipe(teacher.candidate.architecture, schedule, None, bench)
    return content_key(["first teacher", to_json(teacher.candidate)], recipe, *beside)


def _train_teacher(teacher: Teacher, bench: Bench, stages: Stages, keep: Keep, progress: Progress) -> Outcome:
    schedule = teacher_schedule(teacher, bench)
    network = network_of(teacher.architecture, bench, seed=schedule.seed)
    begun = begin(network, teacher.architecture, bench, stages)
    try:
        with in_the_room(bench, progress) as watched:
            if isinstance(teacher.architecture, Architecture):  # what somebody brought has learned
                train(
                    network,
                    bench.dataset.train,
                    schedule,
                    classes=bench.classes,
                    device=bench.device,
                    inherited=inherited_parameters(teacher.architecture, bench, stages),
                    keep=keep,
                    progress=watched,
                )
    except TrialFailed as failed:
        raise cannot_teach(failed) from failed
    found = told(of_network(network, bench), bench, stages.artifacts, progress)
    return {**found, "weights": save_weights(network, stages.artifacts), **begun}


def teacher_schedule(teacher: Teacher, bench: Bench) -> Schedule:
    """How the teacher is trained: its own epochs, the rest as the study says."""
    schedule = replace(bench.teacher_by or bench.schedule, epochs=teacher.epochs, steps=None)
    return for_scale(schedule, teacher.architecture.input_scale, len(bench.dataset.train))
