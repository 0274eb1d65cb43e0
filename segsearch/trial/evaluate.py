"""One candidate: built, timed untrained, trained, compressed, exported, timed and scored, cheapest question first."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from segsearch.compression import GRAPH_STEPS, CalibrationImages
from segsearch.evidence.objectives import Rejected, broken_limits
from segsearch.evidence.timing import Timing
from segsearch.evidence.types import Confusion, Evidence
from segsearch.latency.measure import Effort, measure
from segsearch.networks import wear_in
from segsearch.space.candidate import AfterExport, Candidate
from segsearch.space.keys import content_key, from_json, to_json
from segsearch.trial.bench import Bench, in_the_room, scratch, stage_of, versions
from segsearch.trial.export import check_parity, count_macs, count_params, export
from segsearch.trial.score import score, to_input
from segsearch.trial.weights import Fidelity, compressed_shape, load_weights, trained_weights
from segsearch.workshop import Artifacts, Outcome, Progress, Workshop, sha256_of, silent

# The gate asks whether a candidate can be within the limits, not by how much.
GATE_SECONDS = 1.5
GATE_INTERVAL = 0.05
GATE_CALIBRATION_IMAGES = 2
CALIBRATION_IMAGES = 16


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
    fidelity = fidelity or Fidelity(bench.schedule.epochs)
    broken = broken_limits(bench.limits, gate := pass_gate(candidate, bench, workshop, progress=progress))
    if broken:
        raise Rejected(gate, broken)
    weights = trained_weights(candidate, bench, workshop, fidelity=fidelity, progress=progress)
    shipped = exported(candidate, weights, bench, workshop, progress=progress)
    model = str(shipped["model"])
    timing = _timed(model, bench, workshop, progress)
    confusion = _scored(model, bench, workshop, progress)
    return Evidence(
        artifact=model,
        size_bytes=workshop.artifacts.path(model).stat().st_size,
        params=int(shipped["params"]),
        macs=int(shipped["macs"]),
        timing=timing,
        seed=bench.schedule.seed,
        versions=versions(),
        confusion=confusion,
        parity_max_abs=float(shipped["parity"]),
    )


def pass_gate(candidate: Candidate, bench: Bench, workshop: Workshop, *, progress: Progress = silent) -> Evidence:
    """Size and latency of the candidate with random weights, through the same steps as the trained one."""
    key = content_key(
        [
            "gate of a worn-in network",
            *map(to_json, (candidate.architecture, candidate.before_export, candidate.after_export)),
        ],
        [*bench.size, bench.classes, bench.dataset.key, bench.machine.key, to_json(bench.effort)],
    )

    def make() -> Outcome:
        network = wear_in(compressed_shape(candidate, bench))
        params, macs = count_params(network), count_macs(network, bench.size)
        with scratch(workshop.artifacts) as plain:
            export(network, bench.size, plain)
            images = calibration_images(bench, GATE_CALIBRATION_IMAGES)
            with _after_export(plain, candidate.after_export, images, workshop.artifacts) as model:
                timing = _measure(model, bench, gate_effort(bench.effort))
                evidence = Evidence(
                    artifact=sha256_of(model),
                    size_bytes=model.stat().st_size,
                    params=params,
                    macs=macs,
                    timing=timing,
                    seed=bench.schedule.seed,
                    versions=versions(),
                )
        return {"evidence": to_json(evidence)}

    return from_json(Evidence, str(stage_of("gate", key, make, workshop, progress)["evidence"]))


def exported(
    candidate: Candidate, weights: str, bench: Bench, workshop: Workshop, *, progress: Progress = silent
) -> Outcome:
    """The file that ships (`model`), with what was counted and compared on its float graph."""
    architecture, size = to_json(candidate.architecture), list(bench.size)
    steps = [to_json(step) for step in candidate.before_export]

    def make_float() -> Outcome:
        network = compressed_shape(candidate, bench)
        load_weights(network, workshop.artifacts.path(weights))
        image = to_input(bench.dataset.validation.images[0])
        with scratch(workshop.artifacts) as target:
            export(network, bench.size, target)
            parity = check_parity(network, target, bench.runtime, image)
            counted = {"params": count_params(network), "macs": count_macs(network, bench.size)}
            return {"model": workshop.artifacts.keep(target), "parity": parity, **counted}

    key = content_key(["export", weights, architecture, *steps], size, [*map(list, versions())])
    plain = stage_of("export", key, make_float, workshop, progress)
    if not candidate.after_export:
        return plain

    def make_final() -> Outcome:
        images = calibration_images(bench, CALIBRATION_IMAGES)
        source = workshop.artifacts.path(str(plain["model"]))
        with _after_export(source, candidate.after_export, images, workshop.artifacts) as target:
            return {**plain, "model": workshop.artifacts.keep(target)}

    steps = [*map(to_json, candidate.after_export)]
    key = content_key(["quantize", str(plain["model"]), *steps, bench.dataset.key], [*map(list, versions())])
    return stage_of("quantize", key, make_final, workshop, progress)


def _timed(model: str, bench: Bench, workshop: Workshop, progress: Progress) -> Timing:
    key = content_key(["measure", model, bench.machine.key, to_json(bench.effort)])

    def make() -> Outcome:
        return {"timing": to_json(_measure(workshop.artifacts.path(model), bench, bench.effort))}

    return from_json(Timing, str(stage_of("measure", key, make, workshop, progress)["timing"]))


def _scored(model: str, bench: Bench, workshop: Workshop, progress: Progress) -> Confusion:
    def make() -> Outcome:
        session = bench.runtime.open(workshop.artifacts.path(model), threads=torch.get_num_threads())
        with in_the_room(bench, progress) as watched:
            found = score(session, bench.dataset.validation, classes=bench.classes, progress=watched)
        return {"confusion": to_json(found)}

    key = content_key(["score", model, bench.dataset.key, bench.runtime.name, bench.runtime.version])
    return from_json(Confusion, str(stage_of("score", key, make, workshop, progress)["confusion"]))


def gate_effort(effort: Effort) -> Effort:
    """What the gate spends of a measurement's effort."""
    return replace(
        effort, interval=max(effort.interval, GATE_INTERVAL), max_seconds=min(effort.max_seconds, GATE_SECONDS)
    )


def _measure(model: Path, bench: Bench, effort: Effort) -> Timing:
    with bench.room.quiet():
        return measure(model, bench.machine, bench.runtime, effort=effort)


def calibration_images(bench: Bench, count: int) -> CalibrationImages:
    """Training images spread over the split, as the exported model reads them."""
    images = bench.dataset.train.images
    chosen = np.unique(np.linspace(0, len(images) - 1, count).astype(int))
    return [to_input(images[index]) for index in chosen]


@contextlib.contextmanager
def _after_export(
    source: Path, steps: Sequence[AfterExport], images: CalibrationImages, artifacts: Artifacts
) -> Iterator[Path]:
    """The file after the steps on the graph; `source` itself where there are none."""
    with contextlib.ExitStack() as stack:
        for step in steps:
            target = stack.enter_context(scratch(artifacts))
            GRAPH_STEPS[type(step)](source, target, step, images=images)
            source = target
        yield source
