"""From trained weights to the file that ships: exported, quantized, and trained on inside its own int8 graph."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import torch

from segsearch.compression.graph_module import GraphModule, float_module, written_back
from segsearch.compression.mixed import mixed
from segsearch.errors import TrialFailed
from segsearch.runtimes import Image
from segsearch.space.candidate import Candidate
from segsearch.space.keys import content_key, to_json
from segsearch.training.checkpoint import Keep
from segsearch.training.tail import tail_schedule, train_tail
from segsearch.trial.bench import Bench, in_the_room, scratch, versions
from segsearch.trial.files import Exported, exported, quantized, spread_over
from segsearch.trial.layers import Twins
from segsearch.trial.score import classes_of
from segsearch.trial.stages import Stages
from segsearch.trial.weights import Fidelity, whole_schedule
from segsearch.workshop import Outcome

# The share of pixels of which the trained graph and the file must say the same, on so many validation images. 99.6 % is
# what a trained network has, and what ONNX Runtime's own two forms of a file have, with and without its optimizations:
# where a value lies half-way between two steps, either will do. A wrong operator is off by far more.
AGREEMENT = 0.95
AGREEMENT_IMAGES = 8


def shipped_file(candidate: Candidate, weights: str, bench: Bench, stages: Stages, *, fidelity: Fidelity) -> Exported:
    """The file of trained weights after every step that follows the export."""
    plain = exported(candidate, weights, bench, stages)
    rounded = kept_in_float(candidate, plain, quantized(candidate, plain, bench, stages), bench, stages)
    return quantize_trained(candidate, plain, rounded, bench, stages, fidelity=fidelity)


def kept_in_float(
    candidate: Candidate, plain: Exported, calibrated: Exported, bench: Bench, stages: Stages
) -> Exported:
    """The int8 file with the layers in float that its tolerance asks for; the calibrated one where it has none."""
    if candidate.tolerance is None:
        return calibrated
    twins = Twins(plain.model, calibrated.model, bench, stages)
    choice = twins.choice(candidate.tolerance)

    def make() -> Outcome:
        with scratch(stages.artifacts) as target:
            onnx.save(mixed(twins.pair, choice.in_float), str(target))
            made = {"model": stages.artifacts.keep(target), "calibrated": calibrated.model}
        return {**made, "choice": to_json(choice)}

    key = content_key(["keep-in-float", plain.model, calibrated.model, *choice.in_float])
    return replace(calibrated, model=str(stages.once("keep-in-float", key, make)["model"]))


def quantize_trained(
    candidate: Candidate, plain: Exported, calibrated: Exported, bench: Bench, stages: Stages, *, fidelity: Fidelity
) -> Exported:
    """The int8 file after its tail of training; the calibrated one where the candidate has none.

    The graph stays: only its weights, their scales and the biases change, so that it is as quick as the calibrated one.
    """
    if candidate.tail == 0:
        return calibrated
    images = len(bench.dataset.train)
    schedule = tail_schedule(whole_schedule(candidate, bench, fidelity), candidate.tail, images)

    def make(keep: Keep) -> Outcome:
        source, rounded = (stages.artifacts.verified(file.model) for file in (plain, calibrated))
        model = onnx.load(str(rounded))
        module = GraphModule(model, source=onnx.load(str(source)))
        with in_the_room(bench, stages.progress) as watched:
            learned = train_tail(
                module,
                bench.dataset.train,
                schedule,
                original=float_module(source),
                classes=bench.classes,
                device=bench.device,
                keep=keep,
                progress=watched,
            )
        with scratch(stages.artifacts) as target:
            module.cpu()
            onnx.save(written_back(module, model), str(target))
            agreed = check_agreement(
                module, target, bench, spread_over(bench.dataset.validation.images, AGREEMENT_IMAGES)
            )
            made = {"model": stages.artifacts.keep(target), "calibrated": calibrated.model}
        return {**made, "agreement": agreed, "losses": list(learned.losses), "seconds": learned.seconds}

    key = content_key(
        ["quantize-train", plain.model, calibrated.model, to_json(schedule)],
        [bench.dataset.key, bench.device.type, f"torch {torch.__version__}"],
        [*map(list, versions())],
    )
    return replace(calibrated, model=str(stages.once_resumed("quantize-train", key, make)["model"]))


def check_agreement(module: GraphModule, model: Path, bench: Bench, images: Sequence[Image]) -> float:
    """The share of pixels of some images of which the trained graph and its file say the same class.

    Raises `TrialFailed` where it is too small: then something else was trained than what ships.
    """
    session = bench.runtime.open(model, threads=1)
    with torch.no_grad():
        alike = [
            np.mean(classes_of(module(torch.from_numpy(image)).numpy()) == classes_of(session.run(image)))
            for image in images
        ]
    agreed = float(np.mean(alike))
    if agreed < AGREEMENT:
        raise TrialFailed(
            "quantize-train",
            f"What was trained must be what is exported, {AGREEMENT:.0%} of the pixels alike; got {agreed:.1%}. "
            "Full-range weights overflow on processors without VNNI: keep Quantize.reduced_range.",
        )
    return agreed
