"""One candidate's life in a row of steps, the cheapest question first; each hands its work on to the next."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch

from segsearch.evidence.images import PerImage
from segsearch.evidence.objectives import Limit, Rejected, broken_limits
from segsearch.evidence.timing import Timing
from segsearch.evidence.types import Confusion, Evidence
from segsearch.space.candidate import Candidate
from segsearch.space.keys import content_key, from_json, to_json
from segsearch.trial.bench import Bench, in_the_room, versions
from segsearch.trial.files import Exported
from segsearch.trial.gate import passed_gate, timed
from segsearch.trial.score import Scored, score_images
from segsearch.trial.ship import shipped_file
from segsearch.trial.stages import Stages
from segsearch.trial.types import Again
from segsearch.trial.weights import Fidelity, fine_tuned, trained
from segsearch.workshop import Outcome, Progress, Workshop, silent


def evaluate(
    candidate: Candidate,
    bench: Bench,
    workshop: Workshop,
    *,
    fidelity: Fidelity | None = None,
    progress: Progress = silent,
) -> Evidence:
    """Evidence about the file that would ship. Asked again for more epochs, it can start from earlier weights.

    Raises `Rejected` where the untrained file breaks a limit already, `TrialFailed` where a stage cannot be finished.
    """
    gated(candidate, bench, workshop, progress=progress)
    return _shipped(candidate, bench, Stages(workshop, progress), fidelity or Fidelity(bench.schedule.epochs))


def finish(candidate: Candidate, bench: Bench, workshop: Workshop, *, progress: Progress = silent) -> Evidence:
    """What `evaluate` says of a candidate whose training is done, without its gate: that would save nothing.

    Raises `Rejected` where the file itself breaks a limit, before it is scored, and `TrialFailed` as `evaluate` does.
    """
    stages = Stages(workshop, progress)
    return _shipped(candidate, bench, stages, Fidelity(bench.schedule.epochs), limits=bench.limits)


def _shipped(
    candidate: Candidate, bench: Bench, stages: Stages, fidelity: Fidelity, *, limits: Sequence[Limit] = ()
) -> Evidence:
    weights = trained(candidate, bench, stages, fidelity=fidelity)
    weights = fine_tuned(candidate, weights, bench, stages, fidelity=fidelity)
    shipped = shipped_file(candidate, weights, bench, stages, fidelity=fidelity)
    timing = measured(shipped, bench, stages)
    unscored = evidence_of(shipped, timing, None, bench, stages)
    if broken := broken_limits(limits, unscored):
        raise Rejected(unscored, broken)
    found = scored(shipped, bench, stages)
    return replace(unscored, confusion=found.confusion, images=found.images)


def gated(candidate: Candidate, bench: Bench, workshop: Workshop, *, progress: Progress = silent) -> Evidence:
    """Evidence about the untrained file, the first part of `evaluate`. Raises as that does."""
    gate = passed_gate(candidate, bench, Stages(workshop, progress))
    if broken := broken_limits(bench.limits, gate):
        raise Rejected(gate, broken)
    return gate


def train_again(
    candidate: Candidate, bench: Bench, workshop: Workshop, *, seed: int, progress: Progress = silent
) -> Again:
    """The candidate from another seed, through the very same stages; nothing is timed: the design's latency stands.

    The seed settles weights, order and crops. The teacher stays that of the study's own seed.
    Raises `TrialFailed` where a stage cannot be finished.
    """
    other = replace(bench, schedule=replace(bench.schedule, seed=seed), teacher_by=bench.schedule)
    fidelity, stages = Fidelity(bench.schedule.epochs), Stages(workshop, progress)
    weights = trained(candidate, other, stages, fidelity=fidelity)
    weights = fine_tuned(candidate, weights, other, stages, fidelity=fidelity)
    shipped = shipped_file(candidate, weights, other, stages, fidelity=fidelity)
    found = scored(shipped, other, stages)
    return Again(shipped.model, found.confusion, found.images)


def measured(shipped: Exported, bench: Bench, stages: Stages) -> Timing:
    """The latency of the file that ships."""

    def make() -> Outcome:
        return {"timing": to_json(timed(stages.artifacts.verified(shipped.model), bench, bench.effort))}

    key = content_key(["measure", shipped.model, bench.machine.key, to_json(bench.effort)])
    return from_json(Timing, str(stages.once("measure", key, make)["timing"]))


def scored(shipped: Exported, bench: Bench, stages: Stages) -> Scored:
    """The counts of the file that ships, over the whole validation split and image by image.

    An outcome of before these were kept is as good: it has the first alone.
    """

    def make() -> Outcome:
        session = bench.runtime.open(stages.artifacts.verified(shipped.model), threads=torch.get_num_threads())
        with in_the_room(bench, stages.progress) as watched:
            found = score_images(session, bench.dataset.validation, classes=bench.dataset.classes, progress=watched)
        return {"confusion": to_json(found.confusion), "images": to_json(found.images)}

    key = content_key(["score", shipped.model, bench.dataset.key, bench.runtime.name, bench.runtime.version])
    outcome = stages.once("score", key, make)
    images = from_json(PerImage, str(outcome["images"])) if "images" in outcome else None
    return Scored(from_json(Confusion, str(outcome["confusion"])), images)


def evidence_of(shipped: Exported, timing: Timing, found: Scored | None, bench: Bench, stages: Stages) -> Evidence:
    """All that is known about the file, in one; without what was found where it learned from the validation split."""
    return Evidence(
        artifact=shipped.model,
        size_bytes=stages.artifacts.path(shipped.model).stat().st_size,
        params=shipped.params,
        macs=shipped.macs,
        timing=timing,
        seed=bench.schedule.seed,
        versions=versions(),
        confusion=found.confusion if found else None,
        parity_max_abs=shipped.parity,
        images=found.images if found else None,
    )
